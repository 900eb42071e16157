--- Keys in insert mode.  Each is for Fimble while there is something that it could be for, and else what it was before.
local config = require('fimble.config')
local ghost = require('fimble.ghost')
local server = require('fimble.server')

local M = {}

---@class fimble.Action
---@field is_for fun(): boolean whether the key is for Fimble now
---@field run fun()
---@field what string

---@type table<string, fimble.Action>
local actions = {
  accept = {
    what = 'accept the suggestion',
    is_for = ghost.is_acceptable,
    run = function()
      ghost.accept('all')
    end,
  },
  accept_word = {
    what = 'accept the next word of the suggestion',
    is_for = ghost.is_acceptable,
    run = function()
      ghost.accept('word')
    end,
  },
  accept_line = {
    what = 'accept the next line of the suggestion',
    is_for = ghost.is_acceptable,
    run = function()
      ghost.accept('line')
    end,
  },
  next = {
    what = 'next suggestion',
    is_for = function()
      return server.client_of(0) ~= nil
    end,
    run = function()
      ghost.cycle(1)
    end,
  },
  previous = {
    what = 'previous suggestion',
    is_for = function()
      return server.client_of(0) ~= nil
    end,
    run = function()
      ghost.cycle(-1)
    end,
  },
  dismiss = { what = 'dismiss the suggestion', is_for = ghost.is_shown, run = ghost.dismiss },
  show = {
    what = 'show a suggestion here',
    is_for = function()
      return server.client_of(0) ~= nil
    end,
    run = function()
      ghost.show()
    end,
  },
}

--- The keys that were mapped, by action, to take them back.
---@type table<string, { key: string, former: table? }>
local mapped = {}

--- How often keys were mapped.  Another plugin may keep an earlier mapping of ours as what it falls back on: that one
--- goes on with what was there before it, and not with what was there later, which would be the other plugin again.
local generation = 0

local function former_of(name, number)
  return ('<Plug>(fimble-former-%s-%d)'):format(name, number)
end

--- What the key did before, under another name.  A plain Tab also went to the next place of a snippet (as Neovim 0.11
--- and later have it by themselves).
local function keep_former(name, key, former)
  local plug = former_of(name, generation)
  if not vim.tbl_isempty(former) then
    local kept = vim.tbl_extend('force', former, { lhs = plug, lhsraw = vim.keycode(plug), buffer = 0 })
    kept.lhsrawalt = nil
    if kept.noremap == 0 and vim.startswith((kept.rhs or ''):lower(), key:lower()) then
      kept.noremap = 1 -- it began with itself, which is never mapped again
    end
    return vim.fn.mapset('i', false, kept)
  end
  vim.keymap.set('i', plug, function()
    if key:lower() == '<tab>' and vim.snippet.active({ direction = 1 }) then
      return '<Cmd>lua vim.snippet.jump(1)<CR>'
    end
    local after_escape = key:match('^<[MmAa]%-(.)>$')
    return after_escape and '<Esc>' .. after_escape or key -- as Neovim takes an Alt key that is typed
  end, { expr = true })
end

local function map(name, key)
  local action = actions[name]
  local former = vim.fn.maparg(key, 'i', false, true)
  if former.buffer == 1 then
    former = {} -- it stays the stronger one in its buffer
  end
  keep_former(name, key, former)
  -- No <expr> mapping: Neovim looks at those ahead of time, before what was typed just before is in the buffer.
  local press = '<Cmd>lua require("fimble.keys").press("%s", %d)<CR>'
  vim.keymap.set('i', key, press:format(name, generation), {
    desc = 'Fimble: ' .. action.what,
  })
  mapped[name] = { key = key, former = former }
end

--- Put keys in front of all that was typed since: they run in the turn of the key that they stand for.
local function feed(keys, mode)
  vim.api.nvim_feedkeys(vim.keycode(keys), mode .. 'i', false)
end

--- Do what an action does, in the turn of the key that was pressed.
local function take(name)
  local is_accepting = vim.startswith(name, 'accept')
  -- A menu is closed first, with the item that the user has selected in it.
  local is_menu_open = is_accepting and vim.fn.pumvisible() == 1
  -- An undo then takes back the suggestion alone.
  local break_undo = is_accepting and '<C-g>u' or ''
  feed((is_menu_open and '<C-y>' or '') .. break_undo .. ('<Cmd>lua require("fimble.keys").run("%s")<CR>'):format(name), 'n')
end

--- A key was pressed: it is Fimble's, or it does what it did before the mapping of this generation.
---@param name string
---@param number integer
function M.press(name, number)
  if actions[name].is_for() then
    take(name)
  else
    feed(former_of(name, number), 'm')
  end
end

--- Accept as the key does, for mappings of others: also from an <expr> mapping, and before the keys that came since.
---@param name 'accept'|'accept_word'|'accept_line'
---@return boolean whether there is anything
function M.accept(name)
  local is_wanted = actions[name].is_for()
  if is_wanted then
    take(name)
  end
  return is_wanted
end

--- Run an action.
function M.run(name)
  actions[name].run()
end

--- Map the keys that the options name.  Setting up again first takes back what was mapped before.
function M.map_all()
  generation = generation + 1
  for name, was in pairs(mapped) do
    if (vim.fn.maparg(was.key, 'i', false, true).desc or ''):find('^Fimble: ') then
      vim.keymap.del('i', was.key)
      if not vim.tbl_isempty(was.former) then
        vim.fn.mapset('i', false, was.former)
      end
    end
    mapped[name] = nil
  end
  for name in pairs(actions) do
    local key = config.options.keys[name]
    if key then
      map(name, key)
    end
  end
end

--- Who has a key now, in a sentence; nil if it is Fimble, or was left out.
---@param name string
---@return string?
function M.conflict(name)
  local key = config.options.keys[name]
  if not key then
    return nil
  end
  local now = vim.fn.maparg(key, 'i', false, true)
  if (now.desc or ''):find('^Fimble: ') then
    return nil
  elseif vim.tbl_isempty(now) then
    return ('%s is not mapped: something has taken it away'):format(key)
  end
  local who = now.desc or now.rhs or 'a function'
  return ('%s is taken%s by: %s'):format(key, now.buffer == 1 and ' in this buffer' or '', who)
end

return M
