--- The completion menu that may stand beside a suggestion: Neovim's own, or that of nvim-cmp or blink.cmp.
local M = {}

---@class fimble.Choice an item of a menu that the user has gone to, but not confirmed
---@field id any what tells it from another
---@field read fun(): string?, integer? its text, and the column in bytes (from 0) where that begins, if it is known;
--- nothing if it is more than a text, such as a snippet

---@class fimble.Menu
---@field choice fun(): fimble.Choice?
---@field is_drawing fun(): boolean whether it shows ghost text of its own
---@field listen fun(group: integer, changed: fun())

---@type fimble.Menu[]
local menus = { require('fimble.menu.native'), require('fimble.menu.cmp'), require('fimble.menu.blink') }

--- What a menu answers; nothing where it fails: two of them are other people's plugins, in versions nobody knows.
local function ask(question, ...)
  local is_well, answer, more = pcall(question, ...)
  if is_well then
    return answer, more
  end
end

--- The item that the user has gone to, in the menu that is open.
---@return fimble.Choice?
function M.choice()
  for _, menu in ipairs(menus) do
    local choice = ask(menu.choice)
    if choice then
      return choice
    end
  end
end

--- Whether a word at this place would go on one that stands there.
local function is_within_word(before, word)
  return vim.fn.matchstr(before, [[\k$]]) ~= '' and vim.fn.match(word, [[^\k]]) == 0
end

--- Where a word begins whose end is still to come: as far left as the text before the cursor begins it.
local function find_start(before, word)
  for length = math.min(#word, #before), 0, -1 do
    if vim.endswith(before, word:sub(1, length)) then
      return not (length == 0 and is_within_word(before, word)) and #before - length or nil
    end
  end
end

--- What a chosen item puts in at a place and does not yet show.
---@return { first: integer, text: string }? pending nil if there is nothing chosen, or all of it is in the text
---@return boolean is_unclear whether something is chosen, but not how the text will be
local function pending(place)
  local choice = M.choice()
  if not choice then
    return nil, false
  end
  local before = place.line:sub(1, place.column)
  local word, first = ask(choice.read)
  if not word or word:find('\n', 1, true) then
    return nil, true
  elseif vim.endswith(before, word) then
    return nil, false
  end
  first = first or find_start(before, word)
  -- The menu may match otherwise than from the left: then it replaces what stands there.
  if not first or first > #before or not vim.startswith(word, before:sub(first + 1)) then
    return nil, true
  end
  return { first = first, text = word }, false
end

--- Whether nothing can be shown at a place: the menu shows ghost text there, or who knows what its item puts in.
---@param place fimble.Place
---@return boolean
function M.is_in_the_way(place)
  for _, menu in ipairs(menus) do
    if ask(menu.is_drawing) then
      return true
    end
  end
  local _, is_unclear = pending(place)
  return is_unclear
end

--- What the chosen item would put in and does not yet show, as LSP's selectedCompletionInfo.
---@param place fimble.Place
---@param encoding string
---@return table?
function M.selected_info(place, encoding)
  local what = pending(place)
  if not what then
    return nil
  end
  local position = vim.lsp.util.make_position_params(0, encoding).position
  local typed = place.line:sub(what.first + 1, place.column)
  local first = { line = position.line, character = position.character - M._units(typed, encoding) }
  return { range = { start = first, ['end'] = position }, text = what.text }
end

--- The length of a text in the units of an encoding.
function M._units(text, encoding)
  if encoding == 'utf-8' then
    return #text
  elseif vim.fn.has('nvim-0.11') == 1 then
    return vim.str_utfindex(text, encoding)
  end
  local utf32, utf16 = vim.str_utfindex(text)
  return encoding == 'utf-16' and utf16 or utf32
end

--- Hear when a menu changes in a way that is no change of the text.
---@param group integer
---@param changed fun()
function M.listen(group, changed)
  for _, menu in ipairs(menus) do
    menu.listen(group, changed)
  end
end

return M
