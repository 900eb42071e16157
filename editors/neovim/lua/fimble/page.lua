--- A page to be read: in a window of its own, of a buffer that is nobody's file.
local M = {}

--- Show lines; `q` closes the page.
---@param title string
---@param lines string[]
---@param filetype? string
function M.show(title, lines, filetype)
  vim.cmd('botright new')
  local buffer = vim.api.nvim_get_current_buf()
  local options = { buftype = 'nofile', bufhidden = 'wipe', swapfile = false, filetype = filetype or '' }
  for name, value in pairs(options) do
    vim.bo[buffer][name] = value
  end
  pcall(vim.api.nvim_buf_set_name, buffer, 'fimble://' .. title)
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, lines)
  vim.bo[buffer].modifiable = false
  vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = buffer, desc = 'Close this page' })
end

return M
