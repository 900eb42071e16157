--- `:Fimble`.
local config = require('fimble.config')
local ghost = require('fimble.ghost')
local page = require('fimble.page')
local server = require('fimble.server')

local M = {}

--- Suggestions on or off, everywhere or in this buffer alone.
---@param is_on boolean
---@param scope? 'buffer'
function M.enable(is_on, scope)
  if scope == 'buffer' then
    vim.b.fimble_enabled = is_on
  else
    config.options.enabled = is_on
    vim.b.fimble_enabled = nil -- what was said last is meant
  end
  ghost.update()
  vim.cmd.redrawstatus()
end

local function show_status()
  local lines = {}
  for _, client in ipairs(server.clients()) do
    local buffer = next(client.attached_buffers or {})
    local status = buffer and require('fimble.status').get(buffer)
    if status then
      local model = status.model ~= '' and (' (%s)'):format(status.model) or ''
      local root = client.config.root_dir or ''
      lines[#lines + 1] = ('%s: %s%s, %s'):format(vim.fn.fnamemodify(root, ':~'), status.state, model, status.message)
    end
  end
  local is_on = ghost.is_on(0) and 'on' or 'off'
  lines[#lines + 1] = ('Suggestions are %s in this buffer.'):format(is_on)
  if #lines == 1 then
    table.insert(lines, 1, 'Fimble is not running. `:checkhealth fimble` may say why.')
  end
  vim.api.nvim_echo({ { table.concat(lines, '\n') } }, false, {})
end

--- The server's log, where fimble.paths has it.
function M.log_file()
  local state = vim.env.XDG_STATE_HOME
  if state and state ~= '' then
    return state .. '/fimble/log/lsp.log'
  elseif vim.fn.has('mac') == 1 then
    return vim.fn.expand('~/Library/Application Support/fimble/log/lsp.log')
  end
  return vim.fn.expand('~/.local/state/fimble/log/lsp.log')
end

local function show_log()
  local file = M.log_file()
  if vim.fn.filereadable(file) == 0 then
    return vim.notify(('Fimble: there is no log yet (%s).'):format(file), vim.log.levels.WARN)
  end
  vim.cmd.tabnew({ args = { vim.fn.fnameescape(file) }, magic = { file = false } })
  vim.bo.readonly, vim.bo.autoread = true, true
  vim.cmd('normal! G')
end

--- Run `fimble doctor` and show what it says.
local function run_doctor()
  local command, problem = server.find()
  if not command then
    return vim.notify('Fimble: ' .. problem, vim.log.levels.ERROR)
  end
  vim.notify('Fimble: looking at everything ...')
  vim.system({ command[1], 'doctor' }, { text = true, env = { NO_COLOR = '1' } }, function(done)
    vim.schedule(function()
      page.show('doctor', vim.split(vim.trim(done.stdout .. done.stderr), '\n'))
    end)
  end)
end

--- What follows `:Fimble`, and what may follow that.
M.commands = {
  enable = { ['buffer'] = true },
  disable = { ['buffer'] = true },
  toggle = { ['buffer'] = true },
  status = {},
  restart = {},
  log = {},
  explain = {},
  doctor = {},
}

local run = {
  enable = function(scope)
    M.enable(true, scope)
  end,
  disable = function(scope)
    M.enable(false, scope)
  end,
  toggle = function(scope)
    M.enable(not ghost.is_on(0), scope)
  end,
  status = show_status,
  restart = server.restart,
  log = show_log,
  explain = function()
    require('fimble.explain').show()
  end,
  doctor = run_doctor,
}

local function execute(given)
  local name, argument = given.fargs[1] or 'status', given.fargs[2]
  local known = M.commands[name]
  if not known or #given.fargs > 2 or (argument and not known[argument]) then
    local names = vim.tbl_keys(M.commands)
    table.sort(names)
    local sentence = ('Fimble: there is no `:Fimble %s`. There are: %s.'):format(given.args, table.concat(names, ', '))
    return vim.notify(sentence, vim.log.levels.ERROR)
  end
  run[name](argument)
end

local function complete(start, line)
  local before = vim.split(vim.trim(line:sub(1, #line - #start)), '%s+')
  local choices = #before > 1 and (M.commands[before[2]] or {}) or M.commands
  local fitting = vim.tbl_filter(function(name)
    return vim.startswith(name, start)
  end, #before > 2 and {} or vim.tbl_keys(choices))
  table.sort(fitting)
  return fitting
end

function M.define()
  vim.api.nvim_create_user_command('Fimble', execute, {
    nargs = '*',
    complete = complete,
    desc = 'Fimble: code completion from a model on this machine',
  })
end

return M
