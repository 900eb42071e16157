--- Finds the server, starts it, tells it where the cursor is, and starts it again when it has died.
local config = require('fimble.config')

local M = {}

--- A server that dies as often within so long is left alone: it would only die again.
local MAX_DEATHS, DEATHS_WITHIN_MS = 5, 180000
local FIRST_DELAY_MS, MAX_DELAY_MS = 200, 5000

local deaths = {} ---@type number[] when
local has_complained = false
local is_leaving = false

--- Call a client's method: with Neovim 0.11 they came to want the client first.
function M.call(client, method, ...)
  if vim.fn.has('nvim-0.11') == 1 then
    return client[method](client, ...)
  end
  return client[method](...)
end

function M.is_stopped(client)
  return M.call(client, 'is_stopped')
end

--- The folder of the plugin: editors/neovim in a checkout.
function M.plugin_folder()
  local file = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p')
  return vim.fs.dirname(vim.fs.dirname(vim.fs.dirname(file)))
end

--- Where the server may be, the best first.
---@return string[]
local function candidates()
  local folder = vim.uv.fs_realpath(M.plugin_folder()) or M.plugin_folder()
  local checkout = vim.fs.dirname(vim.fs.dirname(folder))
  return { vim.fn.exepath('fimble'), checkout .. '/.venv/bin/fimble', checkout .. '/.venv/Scripts/fimble.exe' }
end

--- The command that starts the server; nil and a sentence if there is none.
---@return string[]? command, string? problem
function M.find()
  local given = config.options.cmd
  if given then
    if vim.fn.executable(given[1] or '') == 1 then
      return given
    end
    return nil, ('`cmd` is %s, and that is no program'):format(vim.inspect(given))
  end
  for _, program in ipairs(candidates()) do
    if program ~= '' and vim.fn.executable(program) == 1 then
      return { program, 'lsp' }
    end
  end
  return nil,
    'there is no `fimble` on the PATH. Install it (`pip install fimble`), or tell where it is: '
      .. "require('fimble').setup{ cmd = { '/path/to/fimble', 'lsp' } }"
end

--- The server of a buffer, once it answers.
---@param buffer integer
---@return vim.lsp.Client?
function M.client_of(buffer)
  local client = vim.lsp.get_clients({ name = 'fimble', bufnr = buffer })[1]
  return client and client.initialized and client or nil
end

--- Every server of this Neovim.
function M.clients()
  return vim.lsp.get_clients({ name = 'fimble' })
end

--- Whether Fimble is for a buffer: it has a name, and is a text that somebody writes.
local function is_wanted(buffer)
  return vim.api.nvim_buf_is_loaded(buffer)
    and vim.bo[buffer].buftype == ''
    and vim.api.nvim_buf_get_name(buffer) ~= ''
    and not vim.tbl_contains(config.options.excluded_filetypes, vim.bo[buffer].filetype)
end

local function capabilities()
  return vim.tbl_deep_extend('force', vim.lsp.protocol.make_client_capabilities(), {
    textDocument = { inlineCompletion = { dynamicRegistration = false } },
    experimental = { fimbleStatus = true },
  })
end

local function settings()
  local given = config.options.settings
  return vim.tbl_isempty(given) and vim.empty_dict() or given -- an empty table would be sent as a list
end

--- Leave to others what is theirs.
local function on_init(client)
  -- Without this Neovim would let us answer 'omnifunc', in place of the one that the file type has.
  local wanted = vim.tbl_get(config.options.settings, 'suggest', 'completion_menu')
  if wanted ~= 'always' then
    client.server_capabilities.completionProvider = nil
  end
  if vim.lsp.inline_completion then -- Neovim 0.12 would show the same a second time, where it is turned on
    vim.lsp.inline_completion.enable(false, { client_id = client.id })
  end
end

--- While the server is away, something must hold Neovim's end of each buffer: when a key is typed without any client,
--- Neovim 0.10 to 0.12 stops listening to the buffer for good, and the next server would never hear of an edit.
local function hold(buffer)
  vim.lsp.start({
    name = 'fimble-away',
    cmd = function()
      local is_closing = false
      return {
        request = function()
          return true, 1
        end,
        notify = function()
          return true
        end,
        is_closing = function()
          return is_closing
        end,
        terminate = function()
          is_closing = true
        end,
      }
    end,
  }, { bufnr = buffer, silent = true })
end

local function let_go(buffer)
  for _, client in ipairs(vim.lsp.get_clients({ name = 'fimble-away', bufnr = buffer, _uninitialized = true })) do
    vim.lsp.buf_detach_client(buffer, client.id)
  end
end

local function delay_ms()
  local now = vim.uv.now()
  deaths = vim.tbl_filter(function(died)
    return now - died < DEATHS_WITHIN_MS
  end, deaths)
  deaths[#deaths + 1] = now
  return math.min(FIRST_DELAY_MS * 2 ^ (#deaths - 1), MAX_DELAY_MS)
end

--- The server has ended.  If nobody wanted that, it comes back.
local function on_exit(code, signal, client_id)
  if is_leaving or M._wanted_to_end[client_id] or (code == 0 and signal == 0) then
    return
  end
  vim.schedule(function()
    require('fimble.status').forget(client_id)
    local buffers = vim.tbl_filter(function(buffer)
      return vim.api.nvim_buf_is_valid(buffer)
    end, M._buffers[client_id] or {})
    M._buffers[client_id] = nil
    vim.tbl_map(hold, buffers)
    local wait_ms = delay_ms()
    if #deaths > MAX_DEATHS then
      vim.notify('Fimble: the server keeps ending. `:Fimble log` may say why, `:Fimble restart` tries again.', 3)
      return
    end
    vim.defer_fn(function()
      vim.tbl_map(M.attach, buffers)
    end, wait_ms)
  end)
end

M._wanted_to_end = {} ---@type table<integer, true>
M._buffers = {} ---@type table<integer, integer[]> by client

local function on_attach(client, buffer)
  M._buffers[client.id] = M._buffers[client.id] or {}
  table.insert(M._buffers[client.id], buffer)
  let_go(buffer)
  if buffer == vim.api.nvim_get_current_buf() then
    require('fimble.ghost').update()
  end
end

--- Start the server for a buffer, or let the one that runs have it too.
---@param buffer integer
function M.attach(buffer)
  if not is_wanted(buffer) or #vim.lsp.get_clients({ name = 'fimble', bufnr = buffer, _uninitialized = true }) > 0 then
    return
  end
  local command, problem = M.find()
  if not command then
    if not has_complained then
      has_complained = true
      vim.notify('Fimble: ' .. problem, vim.log.levels.ERROR)
    end
    return
  end
  local name = vim.api.nvim_buf_get_name(buffer)
  local project = vim.fs.root(buffer, config.options.root_markers)
  vim.lsp.start({
    name = 'fimble',
    cmd = command,
    root_dir = project or vim.fs.dirname(vim.fs.normalize(name)),
    fimble_project = project,
    capabilities = capabilities(),
    init_options = settings(),
    settings = { fimble = settings() },
    flags = { debounce_text_changes = 0 }, -- what was typed ends, or goes on with, what the server computes
    handlers = { ['fimble/status'] = require('fimble.status').handle },
    on_init = on_init,
    on_attach = on_attach,
    on_exit = on_exit,
  }, {
    bufnr = buffer,
    -- One server for each project, and one for all files that belong to none.
    reuse_client = function(client)
      return client.name == 'fimble' and client.config.fimble_project == project and not M.is_stopped(client)
    end,
  })
end

--- End every server and start new ones for the same buffers.
function M.restart()
  deaths, has_complained = {}, false
  local buffers = {}
  for _, client in ipairs(vim.lsp.get_clients({ name = 'fimble', _uninitialized = true })) do
    M._wanted_to_end[client.id] = true
    vim.list_extend(buffers, M._buffers[client.id] or {})
    M._buffers[client.id] = nil
    require('fimble.status').forget(client.id)
    M.call(client, 'stop', true)
  end
  vim.list_extend(buffers, vim.api.nvim_list_bufs())
  for _, buffer in ipairs(buffers) do
    if is_wanted(buffer) then
      hold(buffer)
    end
  end
  local function is_gone()
    return #vim.lsp.get_clients({ name = 'fimble', _uninitialized = true }) == 0
  end
  local timer = assert(vim.uv.new_timer())
  timer:start(20, 20, vim.schedule_wrap(function()
    if is_gone() and not timer:is_closing() then
      timer:close()
      vim.tbl_map(M.attach, buffers)
    end
  end))
end

--- Says where the cursor is, which LSP has no word for: the first suggestion at a new place then comes as soon as the
--- later ones.
local function tell_cursor()
  local buffer = vim.api.nvim_get_current_buf()
  vim.schedule(function() -- on InsertEnter the cursor has yet to move
    local client = vim.api.nvim_get_current_buf() == buffer and M.client_of(buffer)
    if client and not M.is_stopped(client) then
      M.call(client, 'notify', 'fimble/didMoveCursor', vim.lsp.util.make_position_params(0, client.offset_encoding))
    end
  end)
end

--- Start the server for every buffer that is open, and for those that will be.
function M.start()
  local group = vim.api.nvim_create_augroup('fimble.server', { clear = true })
  local function listen(events, callback)
    vim.api.nvim_create_autocmd(events, { group = group, desc = 'Fimble: the server', callback = callback })
  end
  -- The file type is told last; a file without one is heard of as well.
  listen({ 'FileType', 'BufReadPost', 'BufNewFile', 'BufFilePost', 'BufEnter', 'InsertEnter' }, function(event)
    vim.schedule(function()
      M.attach(event.buf)
    end)
  end)
  listen({ 'CursorMoved', 'InsertEnter' }, tell_cursor)
  listen('VimLeavePre', function()
    is_leaving = true
  end)
  vim.tbl_map(M.attach, vim.api.nvim_list_bufs())
end

return M
