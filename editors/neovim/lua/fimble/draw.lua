--- Ghost text: virtual text behind the cursor and virtual lines below it.
local M = {}

M.namespace = vim.api.nvim_create_namespace('fimble')

--- The highlight groups, unless a colour scheme or the user has them.
function M.define_highlights()
  vim.api.nvim_set_hl(0, 'FimbleGhost', { link = 'Comment', default = true })
  vim.api.nvim_set_hl(0, 'FimbleHint', { link = 'NonText', default = true })
end

function M.clear(buffer)
  if vim.api.nvim_buf_is_valid(buffer) then
    vim.api.nvim_buf_clear_namespace(buffer, M.namespace, 0, -1)
  end
end

--- Virtual text shows a tab as `^I`: spaces up to the stops that the buffer has, from a display column on.
local function expand_tabs(text, column)
  if not text:find('\t', 1, true) then
    return text
  end
  local pieces, stop = {}, vim.bo.tabstop
  for piece, tab in text:gmatch('([^\t]*)(\t?)') do
    column = column + vim.fn.strdisplaywidth(piece, column)
    local spaces = tab == '' and 0 or stop - column % stop
    column = column + spaces
    pieces[#pieces + 1] = piece .. (' '):rep(spaces)
  end
  return table.concat(pieces)
end

--- Show what a suggestion has left at the cursor, and only that.
---@param suggestion fimble.Suggestion
---@param rest string
---@param hint? string such as "2/3"
function M.show(suggestion, rest, hint)
  local buffer, here = suggestion.buffer, require('fimble.suggestion').here()
  M.clear(buffer)
  local lines = vim.split(rest, '\n', { plain = true })
  local tail, after = suggestion.tail, suggestion.after
  local column = vim.fn.strdisplaywidth(here.line:sub(1, here.column))
  lines[1] = expand_tabs(lines[1], column)
  for number = 2, #lines do
    lines[number] = expand_tabs(lines[number], 0)
  end
  -- What is replaced, or moves to another line, is drawn over: what is seen is how it will be.
  local covered = (#lines > 1 or tail ~= '') and tail .. after or ''
  if covered ~= '' then
    lines[#lines] = lines[#lines] .. expand_tabs(after, #lines == 1 and column or 0)
    local missing = vim.fn.strdisplaywidth(covered, column) - vim.fn.strdisplaywidth(lines[1], column)
    lines[1] = lines[1] .. (' '):rep(missing)
  end
  local chunks = vim.tbl_map(function(line)
    return { { line, 'FimbleGhost' } }
  end, lines)
  if hint then
    table.insert(chunks[#chunks], { ' ' .. hint, 'FimbleHint' })
  end
  vim.api.nvim_buf_set_extmark(buffer, M.namespace, here.row, here.column, {
    virt_text = chunks[1],
    virt_text_pos = covered ~= '' and 'overlay' or 'inline',
    virt_lines = vim.list_slice(chunks, 2),
    hl_mode = 'combine',
  })
end

return M
