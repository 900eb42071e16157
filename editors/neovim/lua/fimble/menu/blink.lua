--- The menu of blink.cmp.
---
--- Only modules that it has loaded are asked: its API would load them, perhaps before its `setup{}` has run.
local M = {}

local SNIPPET = vim.lsp.protocol.InsertTextFormat.Snippet
local EVENTS =
  { 'BlinkCmpMenuOpen', 'BlinkCmpMenuClose', 'BlinkCmpShow', 'BlinkCmpHide', 'BlinkCmpListSelect', 'BlinkCmpAccept' }

local function loaded(name)
  local module = package.loaded['blink.cmp.' .. name]
  return type(module) == 'table' and module or nil
end

local function is_open()
  local menu = loaded('completion.windows.menu')
  return menu ~= nil and menu.win:is_open()
end

--- The item that the user went to; one that was selected for them in advance (`preselect`) is no choice yet.
---@return fimble.Choice?
function M.choice()
  local list = loaded('completion.list')
  local item = list and list.is_explicitly_selected and list.get_selected_item()
  if not item or not (is_open() or M.is_drawing()) then
    return nil
  end
  return {
    id = list.selected_item_idx,
    read = function()
      local edits = loaded('lib.text_edits')
      if edits and item.insertTextFormat ~= SNIPPET then
        local edit = edits.get_from_item(item) -- in bytes
        return edit.newText, edit.range.start.character
      end
    end,
  }
end

--- Whether its ghost text is shown.
function M.is_drawing()
  local ghost_text = loaded('completion.windows.ghost_text')
  return ghost_text ~= nil and ghost_text.is_open()
end

---@param group integer
---@param changed fun()
function M.listen(group, changed)
  vim.api.nvim_create_autocmd('User', {
    group = group,
    pattern = EVENTS,
    desc = "Fimble: blink.cmp's menu",
    callback = vim.schedule_wrap(changed),
  })
end

return M
