--- Neovim's own completion menu, whoever fills it (nvim-cmp does with its view `native`).
local M = {}

--- The item that is selected.  Neovim does not tell whether the user or `completeopt` selected it.
---@return fimble.Choice?
function M.choice()
  if vim.fn.pumvisible() == 0 then
    return nil
  end
  local selected = vim.fn.complete_info({ 'selected' }).selected
  if selected == -1 then
    return nil
  end
  return {
    id = selected,
    read = function()
      local item = (vim.fn.complete_info({ 'items' }).items or {})[selected + 1]
      return item and item.word ~= '' and item.word or nil
    end,
  }
end

--- It has no ghost text.
function M.is_drawing()
  return false
end

---@param group integer
---@param changed fun()
function M.listen(group, changed)
  -- Within these nothing may be changed yet, and the menu is not what it will be.
  vim.api.nvim_create_autocmd({ 'CompleteChanged', 'CompleteDone' }, {
    group = group,
    desc = "Fimble: Neovim's menu",
    callback = vim.schedule_wrap(changed),
  })
end

return M
