--- The completion menu that may stand beside a suggestion: Neovim's own, or that of nvim-cmp or blink.cmp.
local M = {}

--- What a loaded module's function answers; nil where there is none or it fails: it is another plugin's.
local function ask(module, name)
  local loaded = package.loaded[module]
  local found = type(loaded) == 'table' and loaded[name]
  if not found then
    return nil
  end
  local is_well, answer = pcall(found)
  return is_well and answer or nil
end

--- Whether an item of a menu is selected, so that the keys are meant for it.
function M.has_selection()
  if vim.fn.pumvisible() == 1 then
    return vim.fn.complete_info({ 'selected' }).selected ~= -1
  end
  if ask('cmp', 'visible') then
    return ask('cmp', 'get_active_entry') ~= nil
  end
  return ask('blink.cmp', 'is_visible') == true and ask('blink.cmp', 'get_selected_item') ~= nil
end

--- What the selected item of Neovim's menu would put in and does not yet show, as LSP's selectedCompletionInfo.
--- (An item that is in the text already, as without 'noinsert', needs no mention.)
---@param place fimble.Place
---@param encoding string
---@return table?
function M.selected_info(place, encoding)
  if vim.fn.pumvisible() == 0 then
    return nil
  end
  local info = vim.fn.complete_info({ 'selected', 'items' })
  local item = info.items and info.items[info.selected + 1]
  local word = item and item.word
  if not word or word == '' or vim.endswith(place.line:sub(1, place.column), word) then
    return nil
  end
  -- Neovim does not tell where its completion began: it is the longest beginning of the word before the cursor.
  for length = math.min(#word, place.column), 0, -1 do
    local start = place.column - length
    if place.line:sub(start + 1, place.column) == word:sub(1, length) then
      local position = vim.lsp.util.make_position_params(0, encoding).position
      local typed = word:sub(1, length)
      if length == 0 and M._is_within_word(place, word) then
        return nil -- the menu matches otherwise, so who knows what it replaces
      end
      local units = encoding == 'utf-8' and length or M._units(typed, encoding)
      local first = { line = position.line, character = position.character - units }
      return { range = { start = first, ['end'] = position }, text = word }
    end
  end
end

--- Whether a word at this place would go on one that stands there.
function M._is_within_word(place, word)
  local before = vim.fn.matchstr(place.line:sub(1, place.column), [[\k$]])
  return before ~= '' and vim.fn.match(word, [[^\k]]) == 0
end

--- The length of a text in the units of an encoding.
function M._units(text, encoding)
  if vim.fn.has('nvim-0.11') == 1 then
    return vim.str_utfindex(text, encoding)
  end
  local utf32, utf16 = vim.str_utfindex(text)
  return encoding == 'utf-16' and utf16 or utf32
end

return M
