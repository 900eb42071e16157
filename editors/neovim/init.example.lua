vim.lsp.enable('fimble')
vim.lsp.inline_completion.enable()

-- Neovim 0.12.4 inserts a suggestion where it was asked for.  Keys that were typed into it since then, and for
-- which the next one has not come yet, would stay behind it: let it replace them, or drop it if it no longer fits.
-- (Neovim issue 36529; a version that does this by itself is not disturbed.)
local function catch_up(item)
  local first_row, first_col, last_row, last_col = item.range:to_extmark()
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  local typed = vim.api.nvim_get_current_line():sub(first_col + 1, col)
  if row - 1 ~= first_row or col < first_col or not vim.startswith(item.insert_text, typed) then
    return nil
  end
  if last_row == first_row and last_col < col then
    item.range = vim.range(0, first_row, first_col, first_row, col)
  end
  return item
end

-- Tab takes what is shown.  When nothing is, it does what it did before.
vim.keymap.set('i', '<Tab>', function()
  if vim.lsp.inline_completion.get({ on_accept = catch_up }) then
    return ''
  elseif vim.snippet.active({ direction = 1 }) then
    return '<Cmd>lua vim.snippet.jump(1)<CR>'
  end
  return '<Tab>'
end, { expr = true, desc = 'Fimble: accept the suggestion, or a plain Tab' })

-- Alt-n and Alt-p leaf through the suggestions, where there is more than one.
vim.keymap.set('i', '<M-n>', function()
  vim.lsp.inline_completion.select({ count = 1 })
end, { desc = 'Fimble: next suggestion' })
vim.keymap.set('i', '<M-p>', function()
  vim.lsp.inline_completion.select({ count = -1 })
end, { desc = 'Fimble: previous suggestion' })
