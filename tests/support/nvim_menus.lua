-- What tests/support/nvim_menus.py sets up in Neovim: nvim-cmp or blink.cmp with words of the test's own, or a stand-in.
local M = {}

--- The words that a menu offers.  The one with a call is a snippet.
M.words = { 'open_database_connection', 'open_database_console', 'open_database_call(${1:what})' }

local function items()
  return vim.tbl_map(function(word)
    local is_snippet = word:find('$', 1, true) ~= nil
    return { label = word:match('^[%w_]+'), insertText = word, insertTextFormat = is_snippet and 2 or 1 }
  end, M.words)
end

--- The mapping that fimble.txt shows for a plugin, as a table.
local function recipe(text)
  return text == '' and {} or assert(load('local cmp = package.loaded.cmp; return {' .. text .. '}'))()
end

--- nvim-cmp as it is, with the keys of its own preset.
function M.cmp(folders, options)
  vim.opt.runtimepath:prepend(folders)
  vim.cmd('runtime! plugin/cmp.lua')
  local cmp = require('cmp')
  cmp.register_source('words', {
    complete = function(_, _, callback)
      callback(items())
    end,
  })
  cmp.setup({
    sources = { { name = 'words' } },
    mapping = cmp.mapping.preset.insert(recipe(options.recipe)),
    experimental = { ghost_text = options.ghost_text },
  })
end

--- blink.cmp as it is, with its default keys and what its README calls default otherwise: the first item is selected.
function M.blink(folders, options)
  vim.opt.runtimepath:prepend(folders)
  package.loaded.fimble_words = {
    new = function()
      return {
        get_completions = function(_, _, callback)
          callback({ items = items(), is_incomplete_forward = false, is_incomplete_backward = false })
        end,
      }
    end,
  }
  local keys = recipe(options.recipe)
  keys.preset = 'default'
  keys['<Down>'] = {
    function(blink)
      return blink.select_next({ auto_insert = false })
    end,
    'fallback',
  }
  require('blink.cmp').setup({
    keymap = keys,
    fuzzy = { implementation = 'lua' },
    completion = { ghost_text = { enabled = options.ghost_text } },
    sources = { default = { 'words' }, providers = { words = { name = 'Words', module = 'fimble_words' } } },
  })
end

--- A menu of our own, which has what both plugins have in common: it opens by itself at words that begin like the one
--- that is typed, changes its selection with or without putting the item in, and may draw ghost text.
local function stand_in(options)
  local menu = { is_open = false, matching = {}, draws = options.ghost_text }
  local function before()
    local column = vim.api.nvim_win_get_cursor(0)[2]
    return vim.api.nvim_get_current_line():sub(1, column)
  end
  local function typed()
    return before():match('[%w_]*$')
  end
  function menu.close()
    menu.is_open, menu.index, menu.was_typed = false, nil, nil
    menu.tell()
  end
  function menu.filter()
    if typed() == menu.left or menu.index and menu.put_in == typed() then
      return
    end
    menu.left = nil
    local prefix = typed()
    menu.index, menu.put_in, menu.was_typed = nil, nil, nil
    menu.matching = vim.tbl_filter(function(item)
      return prefix ~= '' and item.label ~= prefix and vim.startswith(item.label, prefix)
    end, items())
    menu.is_open = #menu.matching > 0
    menu.first = #before() - #prefix
    menu.tell()
  end
  function menu.replace(text)
    local row, column = unpack(vim.api.nvim_win_get_cursor(0))
    menu.put_in = text
    vim.api.nvim_buf_set_text(0, row - 1, menu.first, row - 1, column, { text })
    vim.api.nvim_win_set_cursor(0, { row, menu.first + #text })
  end
  function menu.go(is_inserting)
    menu.was_typed = menu.was_typed or typed()
    menu.index = (menu.index or 0) % #menu.matching + 1
    if is_inserting then
      menu.replace(menu.matching[menu.index].label)
    else
      menu.put_in = typed()
    end
    menu.tell_selection()
  end
  function menu.confirm()
    local word = (menu.matching[menu.index or 1]).insertText
    menu.replace(word)
    menu.close()
  end
  function menu.abort()
    if menu.index and menu.put_in ~= menu.was_typed then
      menu.replace(menu.was_typed)
    end
    menu.left = typed()
    menu.close()
  end
  vim.api.nvim_create_autocmd({ 'TextChangedI', 'CursorMovedI' }, { callback = menu.filter })
  vim.api.nvim_create_autocmd('InsertLeave', { callback = menu.close })
  return menu
end

local function map(menu, key, action, ...)
  local arguments = { ... }
  vim.keymap.set('i', key, function()
    if menu.is_open then
      action(unpack(arguments))
    end
  end)
end

local function map_all(menu, tab)
  map(menu, '<C-n>', menu.go, true)
  map(menu, '<Down>', menu.go, false)
  map(menu, '<C-y>', menu.confirm)
  map(menu, '<C-e>', menu.abort)
  return tab and tab()
end

--- Stands for nvim-cmp: those parts of its `core.view`, its entries, events and mappings that the plugin and the recipe
--- in fimble.txt use, as they are in its main branch of March 2026.
function M.cmp_stand_in(_, options)
  local menu, listeners = stand_in(options), {}
  local view = {}
  function view.visible()
    return menu.is_open
  end
  function view.get_active_entry()
    local item = menu.matching[menu.index]
    return item
      and {
        get_completion_item = function()
          return item
        end,
        get_insert_text = function()
          return item.insertText
        end,
        get_offset = function()
          return menu.first + 1
        end,
      }
  end
  function menu.tell()
    for _, listener in ipairs(listeners[menu.is_open and 'menu_opened' or 'menu_closed'] or {}) do
      listener({})
    end
  end
  menu.tell_selection = function() end -- nobody is told
  package.loaded.cmp = {
    core = { view = view },
    -- Whoever asks these waits for the filter.
    visible = function()
      error('must not be asked at a keystroke')
    end,
    event = {
      on = function(_, name, listener)
        listeners[name] = vim.list_extend(listeners[name] or {}, { listener })
      end,
    },
    mapping = function(action)
      return { i = action }
    end,
    get_config = function()
      return { experimental = { ghost_text = menu.draws } }
    end,
  }
  vim.api.nvim_exec_autocmds('User', { pattern = 'CmpReady', modeline = false })
  -- It maps over a global mapping as soon as insert mode begins, and keeps that to fall back on.
  local tab = recipe(options.recipe)['<Tab>']
  vim.api.nvim_create_autocmd('InsertEnter', {
    callback = function()
      local former = vim.fn.maparg('<Tab>', 'i', false, true)
      if tab and former.desc ~= 'cmp.utils.keymap.set_map' then
        vim.keymap.set('i', '<Tab>', function()
          tab.i(function()
            local keys = vim.tbl_isempty(former) and '<Tab>' or former.rhs
            vim.api.nvim_feedkeys(vim.keycode(keys), 'in', true)
          end)
        end, { desc = 'cmp.utils.keymap.set_map' })
      end
    end,
  })
  map_all(menu)
  M.stand_in = menu
end

--- Stands for blink.cmp: those modules, events and mappings that the plugin and the recipe in fimble.txt use, as they are
--- in its release 1.8.
function M.blink_stand_in(_, options)
  local menu = stand_in(options)
  local function tell(pattern)
    vim.api.nvim_exec_autocmds('User', { pattern = pattern, modeline = false })
  end
  local list = {}
  function list.get_selected_item()
    return menu.matching[menu.index or 1] -- it selects the first one in advance
  end
  local ghost_text = {}
  function ghost_text.is_open()
    return menu.is_open and menu.draws
  end
  local edits = {}
  function edits.get_from_item(item)
    local row, column = unpack(vim.api.nvim_win_get_cursor(0))
    local range = { start = { line = row - 1, character = menu.first }, ['end'] = { line = row - 1, character = column } }
    return { newText = item.insertText, range = range }
  end
  local window = {}
  function window.is_open()
    return menu.is_open
  end
  local function update_list()
    list.is_explicitly_selected, list.selected_item_idx = menu.index ~= nil, menu.index or 1
  end
  function menu.tell()
    update_list()
    tell(menu.is_open and 'BlinkCmpMenuOpen' or 'BlinkCmpMenuClose')
  end
  function menu.tell_selection()
    update_list()
    tell('BlinkCmpListSelect')
  end
  package.loaded['blink.cmp'] = {}
  package.loaded['blink.cmp.completion.list'] = list
  package.loaded['blink.cmp.completion.windows.menu'] = { win = window }
  package.loaded['blink.cmp.completion.windows.ghost_text'] = ghost_text
  package.loaded['blink.cmp.lib.text_edits'] = edits
  -- Its mappings are <expr> ones in each buffer, within which no text may be changed.
  vim.api.nvim_create_autocmd('InsertEnter', {
    callback = function(event)
      local commands = recipe(options.recipe)['<Tab>'] or { 'fallback' }
      vim.keymap.set('i', '<Tab>', function()
        if type(commands[1]) ~= 'function' or not commands[1](package.loaded['blink.cmp']) then
          for _, mapping in ipairs(vim.api.nvim_get_keymap('i')) do
            if mapping.lhs == '<Tab>' then
              return vim.keycode(mapping.rhs)
            end
          end
          return vim.keycode('<Tab>')
        end
      end, { buffer = event.buf, expr = true, replace_keycodes = false, desc = 'blink.cmp' })
    end,
  })
  map_all(menu)
  M.stand_in = menu
end

--- Whether the menu is open, and the label of the item that was gone to, as the plugin itself says it.
function M.cmp_state()
  local view = package.loaded.cmp.core.view
  local entry = view:get_active_entry()
  return { is_open = view:visible() == true, is_settled = true, chosen = entry and entry:get_completion_item().label or '' }
end

function M.blink_state()
  local list, menu = package.loaded['blink.cmp.completion.list'], package.loaded['blink.cmp.completion.windows.menu']
  local is_open = menu ~= nil and menu.win:is_open()
  local item = is_open and list.is_explicitly_selected and list.get_selected_item()
  -- For 10 ms after its menu has changed it takes no notice of a cursor that moves without a key.
  local trigger = package.loaded['blink.cmp.completion.trigger']
  local is_settled = not (trigger and trigger.buffer_events and trigger.buffer_events.ignore_next_cursor_moved)
  return { is_open = is_open, is_settled = is_settled, chosen = item and item.label or '' }
end

return M
