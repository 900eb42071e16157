--- Asking the server: one question at a time, the newest.
local config = require('fimble.config')
local menu = require('fimble.menu')
local server = require('fimble.server')
local suggestion = require('fimble.suggestion')

local M = {}

local METHOD = 'textDocument/inlineCompletion'
local TRIGGER = { invoked = 1, automatic = 2 }

---@type { client: vim.lsp.Client, id: integer }?
local running
local timer = assert(vim.uv.new_timer())
--- How many questions were ended.  A timer that is stopped may have had its say already, which is then still to be heard.
local ended = 0

--- End the question that is waiting or under way.
function M.cancel()
  timer:stop()
  ended = ended + 1
  if running then
    local old = running
    running = nil
    if not server.is_stopped(old.client) then
      server.call(old.client, 'cancel_request', old.id)
    end
  end
end

--- Ask about the place where the cursor is; the answer may be empty.  Nothing comes if another question is asked.
---@param kind 'automatic'|'invoked'
---@param answered fun(found: fimble.Suggestion[])
---@return boolean whether there is anybody to ask
function M.send(kind, answered)
  M.cancel()
  local client = server.client_of(0)
  if not client then
    return false
  end
  local place = suggestion.here()
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = {
    triggerKind = TRIGGER[kind],
    selectedCompletionInfo = menu.selected_info(place, client.offset_encoding),
  }
  local mine = {}
  local function handle(failure, result)
    if running ~= mine then
      return
    end
    running = nil
    local found = {}
    for _, item in ipairs(not failure and result and (result.items or result) or {}) do
      found[#found + 1] = suggestion.from_item(item, place, client)
    end
    answered(found)
  end
  running = mine
  local is_sent, id = server.call(client, 'request', METHOD, params, handle, place.buffer)
  if not is_sent then
    running = nil
    return false
  end
  mine.client, mine.id = client, id
  return true
end

--- Ask once the keyboard has rested for a moment.
---@param answered fun(found: fimble.Suggestion[])
function M.send_soon(answered)
  M.cancel()
  local mine = ended
  timer:start(
    config.options.debounce_ms,
    0,
    vim.schedule_wrap(function()
      if vim.startswith(vim.api.nvim_get_mode().mode, 'i') and ended == mine then
        M.send('automatic', answered)
      end
    end)
  )
end

return M
