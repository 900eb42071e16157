--- What the model is told at the cursor and why, and what speaks for each suggestion: a page that the server writes.
local page = require('fimble.page')
local server = require('fimble.server')

local M = {}

local function tell(sentence)
  vim.notify('Fimble: ' .. sentence, vim.log.levels.WARN)
end

--- Ask the server about the cursor's place and show what it says.
function M.show()
  local client = server.client_of(0)
  if not client then
    return tell('it is not running in this buffer. `:checkhealth fimble` may say why.')
  end
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  server.call(client, 'request', 'fimble/explain', params, function(failure, answer)
    if failure or type(answer) ~= 'table' or type(answer.markdown) ~= 'string' then
      tell('this place could not be explained. ' .. (failure and failure.message or ''))
    else
      page.show('explain', vim.split(vim.trim(answer.markdown), '\n', { plain = true }), 'markdown')
    end
  end, vim.api.nvim_get_current_buf())
end

return M
