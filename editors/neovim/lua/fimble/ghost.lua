--- What is shown, and what becomes of it.  One suggestion at most: there is one cursor that somebody types at.
local draw = require('fimble.draw')
local menu = require('fimble.menu')
local request = require('fimble.request')
local server = require('fimble.server')
local suggestion = require('fimble.suggestion')
local config = require('fimble.config')

local M = {}

---@class fimble.Shown
---@field found fimble.Suggestion[]
---@field index integer
---@field is_complete boolean whether all that the server has for the place were asked for

---@type fimble.Shown?
local shown
--- Where the latest question was asked, as `place_key` writes it; what is asked once is not asked again.
local asked = ''
--- Where the user wanted to see nothing, likewise.
local dismissed = ''
--- Whether that question found nothing.
local was_empty = false

local function place_key()
  local here = suggestion.here()
  return ('%d %d %d %d'):format(here.buffer, vim.api.nvim_buf_get_changedtick(here.buffer), here.row, here.column)
end

local function is_inserting()
  return vim.startswith(vim.api.nvim_get_mode().mode, 'i')
end

--- The suggestion that is shown and its rest at the cursor, looked at now; nil if there is none.
local function current()
  local now = shown and shown.found[shown.index]
  local rest = now and suggestion.rest(now)
  if rest then
    return now, rest
  end
end

local function redraw()
  local now, rest = current()
  if now and rest then
    local is_one_of_many = shown.is_complete and #shown.found > 1
    draw.show(now, rest, is_one_of_many and ('%d/%d'):format(shown.index, #shown.found) or nil)
  end
end

local function forget()
  local old = shown and shown.found[1]
  shown = nil
  if old then
    draw.clear(old.buffer)
  end
end

--- Keep those that say something at the cursor, and nothing twice.
local function fitting(found)
  local seen, kept = {}, {}
  for _, one in ipairs(found) do
    local rest = suggestion.rest(one)
    if rest and not seen[rest] then
      seen[rest] = true
      kept[#kept + 1] = one
    end
  end
  return kept
end

--- Whether something can be shown at the cursor now.
local function is_possible()
  return is_inserting() and not menu.is_in_the_way(suggestion.here())
end

local function take_over(found)
  if not is_possible() then
    return
  end
  local kept = fitting(found)
  was_empty = #kept == 0
  if #kept > 0 then
    forget()
    shown = { found = kept, index = 1, is_complete = false }
    redraw()
  elseif not current() or menu.choice() then -- what is shown may go on otherwise than the chosen item
    forget()
  end
end

--- Something was typed, the cursor went somewhere, or a menu changed: show what still fits, else ask.
function M.update()
  if not is_inserting() or not M.is_on(0) then
    return M.clear()
  end
  if menu.is_in_the_way(suggestion.here()) then
    request.cancel()
    asked = ''
    return forget()
  end
  local choice = menu.choice()
  if current() and not choice then
    return redraw()
  end
  local place = place_key()
  local key = place .. (choice and ' ' .. tostring(choice.id) or '')
  if current() then
    redraw()
  else
    forget()
  end
  if key ~= asked and place ~= dismissed and vim.fn.reg_executing() == '' then
    asked = key
    request.send_soon(take_over)
  end
end

--- Ask again for a place where nothing was found: the server has come to know more since.
function M.refresh()
  if was_empty and not shown then
    asked = ''
    M.update()
  end
end

--- Show nothing, and wait for no answer.
function M.clear()
  asked, dismissed = '', ''
  request.cancel()
  forget()
end

--- Whether suggestions come by themselves in a buffer.
function M.is_on(buffer)
  local here = vim.b[buffer].fimble_enabled
  if here == nil then
    return config.options.enabled
  end
  return here
end

--- Whether there is something that the keys could be for.
function M.is_shown()
  return current() ~= nil and is_inserting()
end

--- Whether it may be accepted now: not while an item of a menu is chosen, unless the user says so.
function M.is_acceptable()
  return M.is_shown() and (config.options.accept_in_menu or menu.choice() == nil)
end

local function tell_accepted(now, part, is_last)
  vim.api.nvim_exec_autocmds('User', {
    pattern = 'FimbleAccepted',
    modeline = false,
    data = { text = part, is_last = is_last, buffer = now.buffer },
  })
  local client = vim.lsp.get_client_by_id(now.client_id)
  if is_last and now.command and client and not server.is_stopped(client) then
    local params = { command = now.command.command, arguments = now.command.arguments }
    server.call(client, 'request', 'workspace/executeCommand', params, function() end, now.buffer)
  end
end

--- Accept what is shown, or its first word or line; the rest stays.
---@param how? 'all'|'word'|'line'
---@return boolean whether something was accepted
function M.accept(how)
  local now, rest = current()
  if not now or not rest or not M.is_acceptable() then
    return false
  end
  local part = rest
  if how == 'word' then
    part = suggestion.first_word(rest)
  elseif how == 'line' then
    part = suggestion.first_line(rest)
  end
  local is_last = part == '' or #part == #rest
  part = is_last and rest or part
  request.cancel()
  suggestion.insert(now, part, is_last)
  if is_last then
    forget()
  end
  tell_accepted(now, part, is_last)
  M.update()
  return true
end

--- Take what is shown away.  At this place nothing comes by itself any more.
---@return boolean whether something was shown
function M.dismiss()
  if not M.is_shown() then
    return false
  end
  request.cancel()
  forget()
  asked, dismissed = place_key(), place_key()
  return true
end

local function go(steps)
  shown.index = (shown.index - 1 + steps) % #shown.found + 1
  redraw()
end

--- What the server has for this place when it is asked expressly, with what is shown already as the first.
local function take_all(found, steps)
  if not is_possible() then
    return
  end
  local now = current()
  local all = fitting(now and vim.list_extend({ now }, found) or found)
  was_empty = #all == 0
  forget()
  if #all > 0 then
    shown = { found = all, index = 1, is_complete = true }
    go(now and steps or 0)
  end
end

--- Show the next suggestions, or with a negative number the previous ones; asks for them the first time.
---@param steps integer
function M.cycle(steps)
  if shown and shown.is_complete and current() then
    shown.found = fitting(shown.found)
    shown.index = math.min(shown.index, #shown.found)
    return go(steps)
  end
  M.show(steps)
end

--- Show a suggestion here, however unlikely it is to be taken.
---@param steps? integer how many to go on from the one that is shown
function M.show(steps)
  asked = place_key()
  request.send('invoked', function(found)
    take_all(found, steps or 0)
  end)
end

local function listen(group, events, action)
  vim.api.nvim_create_autocmd(events, {
    group = group,
    desc = 'Fimble: ghost text',
    callback = function()
      if server.client_of(0) then
        action()
      end
    end,
  })
end

--- Begin to watch what is typed.
function M.start()
  local group = vim.api.nvim_create_augroup('fimble.ghost', { clear = true })
  listen(group, { 'InsertEnter', 'CursorMovedI', 'TextChangedI', 'TextChangedP' }, M.update)
  menu.listen(group, function()
    if server.client_of(0) then
      M.update()
    end
  end)
  vim.api.nvim_create_autocmd({ 'InsertLeave', 'BufLeave' }, {
    group = group,
    desc = 'Fimble: no ghost text any more',
    callback = M.clear,
  })
end

return M
