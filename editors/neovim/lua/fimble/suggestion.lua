--- A suggestion, and how much of it is still to come in the buffer as it is now.
---
--- It stands at the place where it was asked for.  What has been typed into it since then is part of it, so nothing
--- here depends on when an answer came: either the buffer agrees with the suggestion, or there is nothing to show.
local M = {}

---@class fimble.Place
---@field buffer integer
---@field row integer from 0
---@field column integer in bytes, from 0
---@field line string as it was

---@class fimble.Suggestion
---@field buffer integer
---@field row integer where it starts, from 0
---@field before string what stands on its first line in front of it
---@field text string what it puts there, up to its end
---@field tail string what it takes the place of, right of the cursor
---@field after string the rest of the line
---@field command? table to be run by the server once it is accepted
---@field client_id integer

--- The column in bytes of an LSP character in a line.
local function to_byte(line, character, encoding)
  if encoding == 'utf-8' then
    return math.min(character, #line)
  elseif vim.fn.has('nvim-0.11') == 1 then
    return vim.str_byteindex(line, encoding, character, false)
  end
  local units = { vim.str_utfindex(line) }
  local length = encoding == 'utf-16' and units[2] or units[1]
  return vim.str_byteindex(line, math.min(character, length), encoding == 'utf-16')
end

--- Where the cursor is.
---@return fimble.Place
function M.here()
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local buffer = vim.api.nvim_get_current_buf()
  return { buffer = buffer, row = row - 1, column = column, line = vim.api.nvim_get_current_line() }
end

--- A suggestion from an item that the server answered for a place; nil if it says nothing that can be shown there.
---@param item table lsp.InlineCompletionItem
---@param place fimble.Place
---@param client vim.lsp.Client
---@return fimble.Suggestion?
function M.from_item(item, place, client)
  local text = type(item.insertText) == 'table' and item.insertText.value or item.insertText
  if type(text) ~= 'string' then
    return nil
  end
  local first, last = place.column, place.column
  local range = item.range
  if range and range ~= vim.NIL then
    if range.start.line ~= place.row or range['end'].line ~= place.row then
      return nil
    end
    first = to_byte(place.line, range.start.character, client.offset_encoding)
    last = to_byte(place.line, range['end'].character, client.offset_encoding)
    if first > place.column or last < place.column then
      return nil
    end
  end
  return {
    buffer = place.buffer,
    row = place.row,
    before = place.line:sub(1, first),
    text = (text:gsub('\r\n?', '\n')),
    tail = place.line:sub(place.column + 1, last),
    after = place.line:sub(last + 1),
    command = item.command ~= vim.NIL and item.command or nil,
    client_id = client.id,
  }
end

--- What is left of a suggestion at the cursor; nil if what stands in the buffer does not agree with it.
---@param self fimble.Suggestion
---@return string?
function M.rest(self)
  local here = M.here()
  if here.buffer ~= self.buffer or here.row < self.row then
    return nil
  end
  if here.row == self.row and here.column < #self.before then
    return nil
  end
  if here.line:sub(here.column + 1) ~= self.tail .. self.after then
    return nil
  end
  local lines = vim.api.nvim_buf_get_lines(self.buffer, self.row, here.row + 1, false)
  lines[#lines] = lines[#lines]:sub(1, here.column)
  if lines[1]:sub(1, #self.before) ~= self.before then
    return nil
  end
  lines[1] = lines[1]:sub(#self.before + 1)
  local typed = table.concat(lines, '\n')
  if not vim.startswith(self.text, typed) or #typed == #self.text then
    return nil
  end
  return self.text:sub(#typed + 1)
end

--- The first word of a text, with the white space before it: a name, or a row of other characters.
function M.first_word(text)
  return vim.fn.matchstr(text, [[^\_s*\%(\k\+\|\%(\k\@!\S\)\+\)]])
end

--- The first line of a text; of one that begins with line ends, they and the line that follows.
function M.first_line(text)
  return text:match('^\n*[^\n]*')
end

--- Put a part of the rest in at the cursor, and the cursor behind it.  Only with the last part goes the tail.
---@param self fimble.Suggestion
---@param part string with which M.rest(self) begins
---@param is_last boolean
function M.insert(self, part, is_last)
  local here = M.here()
  local lines = vim.split(part, '\n', { plain = true })
  local replaced = is_last and #self.tail or 0
  vim.api.nvim_buf_set_text(here.buffer, here.row, here.column, here.row, here.column + replaced, lines)
  local column = (#lines == 1 and here.column or 0) + #lines[#lines]
  vim.api.nvim_win_set_cursor(0, { here.row + #lines, column })
end

return M
