--- Fimble in Neovim 0.10 and later.  `:help fimble`
local M = {}

--- Start Fimble.
---@param options? fimble.Options see `:help fimble-options`
function M.setup(options)
  if vim.fn.has('nvim-0.10') == 0 then
    vim.notify('Fimble needs Neovim 0.10 or later.', vim.log.levels.ERROR)
    return
  end
  require('fimble.config').set(options)
  local draw = require('fimble.draw')
  draw.define_highlights()
  vim.api.nvim_create_autocmd('ColorScheme', {
    group = vim.api.nvim_create_augroup('fimble.highlights', { clear = true }),
    desc = 'Fimble: its colours',
    callback = draw.define_highlights,
  })
  require('fimble.commands').define()
  require('fimble.keys').map_all()
  require('fimble.ghost').start()
  require('fimble.server').start()
  vim.g.fimble_is_set_up = true
end

--- Accept what is shown: all of it, or its next word or line.  It goes in as soon as the mapping that asks is done.
---@param how? 'all'|'word'|'line'
---@return boolean whether there is anything
function M.accept(how)
  return require('fimble.keys').accept((how or 'all') == 'all' and 'accept' or 'accept_' .. how)
end

--- Whether a suggestion is shown.
---@return boolean
function M.is_shown()
  return require('fimble.ghost').is_shown()
end

--- Take what is shown away.
---@return boolean whether there was anything
function M.dismiss()
  return require('fimble.ghost').dismiss()
end

--- Show a suggestion here, however unlikely it is to be taken.
function M.show()
  require('fimble.ghost').show()
end

--- Go to the next suggestion, or with a negative number to a previous one.
---@param steps? integer
function M.cycle(steps)
  require('fimble.ghost').cycle(steps or 1)
end

--- Turn suggestions on or off, everywhere or in this buffer.
---@param is_on boolean
---@param scope? 'buffer'
function M.enable(is_on, scope)
  require('fimble.commands').enable(is_on, scope)
end

--- A few characters for a status line; empty where Fimble is not.
---@return string
function M.status()
  return require('fimble.status').text()
end

return M
