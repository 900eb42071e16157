--- `:checkhealth fimble`.
local config = require('fimble.config')
local server = require('fimble.server')

local M = {}

local health = vim.health

local function check_neovim()
  local version = tostring(vim.version())
  if vim.fn.has('nvim-0.10') == 1 then
    health.ok('Neovim ' .. version)
  else
    health.error(('Neovim %s is too old'):format(version), 'Fimble needs Neovim 0.10 or later.')
  end
  if vim.g.fimble_is_set_up ~= true then
    health.error('it is not set up', "Put `require('fimble').setup{}` into your init.lua.")
  end
end

local function check_server()
  local command, problem = server.find()
  if not command then
    return health.error(problem)
  end
  local done = vim.system({ command[1], '--version' }, { text = true, timeout = 20000 }):wait()
  if done.code == 0 then
    health.ok(('%s: %s'):format(vim.trim(done.stdout), table.concat(command, ' ')))
  else
    local advice = 'Run it in a terminal to see what is wrong, or set `cmd`.'
    health.error(('`%s --version` failed: %s'):format(command[1], vim.trim(done.stderr)), advice)
  end
end

local function check_running()
  local clients = server.clients()
  if #clients == 0 then
    return health.warn('the server is not running', 'It starts with the first file that you open.')
  end
  for _, client in ipairs(clients) do
    local buffers = vim.tbl_keys(client.attached_buffers or {})
    health.ok(('a server for %s, with %d open files'):format(client.config.root_dir or 'files of no folder', #buffers))
    local status = buffers[1] and require('fimble.status').get(buffers[1])
    if status then
      local model = status.model ~= '' and status.model or 'not known yet'
      local tell = status.state == 'error' and health.error or health.ok
      tell(('engine: %s (%s); model: %s'):format(status.state, status.message, model))
    end
  end
  health.info('the log: ' .. require('fimble.commands').log_file())
end

local function check_keys()
  local keys, well = require('fimble.keys'), true
  for name in pairs(config.defaults.keys) do
    local conflict = keys.conflict(name)
    if conflict then
      well = false
      health.warn(
        ('`%s`: %s'):format(name, conflict),
        "nvim-cmp's and blink.cmp's mappings pass it on where they end in their fallback (`:help fimble-menus`). "
          .. "Else call require('fimble').accept() from that mapping, or choose another key (`keys`)."
      )
    end
  end
  if well then
    health.ok('every key is mapped; `accept` is ' .. tostring(config.options.keys.accept))
  end
end

--- Others that draw in the same place.
local function check_neighbours()
  for _, name in ipairs({ 'copilot', 'supermaven-nvim', 'codeium', 'minuet', 'tabnine' }) do
    if package.loaded[name] then
      health.warn(('%s is loaded, too'):format(name), 'Two ghost texts at one place are hard to read: turn one off.')
    end
  end
end

function M.check()
  health.start('Fimble')
  check_neovim()
  check_server()
  check_running()
  health.start('Keys')
  check_keys()
  check_neighbours()
end

return M
