--- The menu of nvim-cmp.
---
--- Its view is asked and not `cmp.visible()` and its like: those wait until the entries are filtered, up to a second.
local M = {}

local SNIPPET = vim.lsp.protocol.InsertTextFormat.Snippet

local function loaded()
  local cmp = package.loaded.cmp
  return type(cmp) == 'table' and cmp.core and cmp or nil
end

local function is_open()
  local cmp = loaded()
  return cmp ~= nil and cmp.core.view:visible()
end

--- The entry that the user went to; one that was selected for them in advance is no choice yet.
---@return fimble.Choice?
function M.choice()
  local entry = is_open() and loaded().core.view:get_active_entry()
  if not entry then
    return nil
  end
  return {
    id = entry,
    read = function()
      if entry:get_completion_item().insertTextFormat ~= SNIPPET then
        return entry:get_insert_text(), entry:get_offset() - 1
      end
    end,
  }
end

--- Whether it shows ghost text: with its menu, of the first entry if none is selected.
function M.is_drawing()
  return is_open() and not not loaded().get_config().experimental.ghost_text
end

--- Where `listen` has told it already who listens: it cannot be told to forget.
local heard
local on_change = function() end

local function hear()
  local cmp = loaded()
  if cmp and cmp.event and heard ~= cmp.event then
    heard = cmp.event
    for _, name in ipairs({ 'menu_opened', 'menu_closed' }) do
      cmp.event:on(
        name,
        vim.schedule_wrap(function()
          on_change()
        end)
      )
    end
  end
end

---@param group integer
---@param changed fun()
function M.listen(group, changed)
  on_change = changed
  hear()
  vim.api.nvim_create_autocmd('User', {
    group = group,
    pattern = 'CmpReady',
    desc = 'Fimble: nvim-cmp is loaded',
    callback = vim.schedule_wrap(hear),
  })
  vim.api.nvim_create_autocmd('InsertEnter', { group = group, desc = 'Fimble: nvim-cmp', callback = hear })
  -- It tells nobody when another entry is selected and nothing put in.
  vim.on_key(function()
    local is_well, is_wanted = pcall(is_open)
    if is_well and is_wanted then
      vim.schedule(on_change)
    end
  end, vim.api.nvim_create_namespace('fimble.menu.cmp'))
end

return M
