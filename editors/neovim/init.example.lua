require('fimble').setup{}
