--- What the server is doing, for a status line.
local M = {}

---@class fimble.Status
---@field state 'starting'|'loading'|'ready'|'working'|'off'|'error'
---@field message string
---@field model string
---@field percentage? integer

---@type table<integer, fimble.Status> by client
local told = {}
--- Whose model could not be asked, so that a place where nothing was found is worth another look.
local away = {} ---@type table<integer, boolean>
local AWAY = { starting = true, loading = true, error = true }

--- By words and signs, never by colour alone.
local TEXTS = {
  starting = 'Fimble …',
  loading = 'Fimble …',
  ready = 'Fimble',
  working = 'Fimble ⋯',
  off = 'Fimble off',
  error = 'Fimble !',
}

local function changed()
  vim.api.nvim_exec_autocmds('User', { pattern = 'FimbleStatus', modeline = false, data = M.get() })
  vim.cmd.redrawstatus()
end

--- LSP handler of `fimble/status`.
function M.handle(_, status, context)
  if status.percentage == vim.NIL then
    status.percentage = nil
  end
  told[context.client_id] = status
  changed()
  if AWAY[status.state] then
    away[context.client_id] = true
  elseif status.state == 'ready' and away[context.client_id] ~= false then
    away[context.client_id] = false
    require('fimble.ghost').refresh()
  end
end

--- A server has ended.
function M.forget(client_id)
  if told[client_id] then
    told[client_id] = nil
    changed()
  end
end

--- What the server of a buffer says of itself; nil if there is none.
---@param buffer? integer
---@return fimble.Status?
function M.get(buffer)
  local client = vim.lsp.get_clients({ name = 'fimble', bufnr = buffer or 0, _uninitialized = true })[1]
  if not client then
    return nil
  end
  return told[client.id] or { state = 'starting', message = 'Starting', model = '' }
end

--- A few characters for a status line; empty where Fimble is not.
---@return string
function M.text()
  local status = M.get()
  if not status then
    return ''
  elseif not require('fimble.ghost').is_on(0) then
    return TEXTS.off
  elseif status.state == 'loading' and status.percentage then
    return ('Fimble %d%%'):format(status.percentage)
  end
  return TEXTS[status.state] or 'Fimble'
end

return M
