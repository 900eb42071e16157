--- The plugin's own options.  Those of the server are `settings`, by the names that fimble.toml has.
local M = {}

---@class fimble.Options
M.defaults = {
  --- The command that starts the server, such as { '/opt/fimble/bin/fimble', 'lsp' }; nil: found by itself.
  ---@type string[]?
  cmd = nil,
  --- Settings for the server, for example { suggest = { multiline = false } }.
  settings = {},
  --- Whether suggestions come while you type; `:Fimble toggle` changes it.
  enabled = true,
  --- File types that Fimble is not started for.
  excluded_filetypes = { 'help', 'qf', 'netrw', 'TelescopePrompt' },
  --- What marks the folder of a project.
  root_markers = { '.git', '.hg', '.fimble.toml' },
  --- How long the keyboard must rest before the server is asked.  It answers in milliseconds, so: hardly at all.
  debounce_ms = 10,
  --- Whether a suggestion may be accepted while an item of a completion menu is selected.
  accept_in_menu = false,
  --- Keys in insert mode; false leaves one out.
  keys = {
    accept = '<Tab>',
    accept_word = '<M-w>',
    accept_line = '<M-l>',
    next = '<M-n>',
    previous = '<M-p>',
    dismiss = '<M-e>',
    show = '<M-\\>',
  },
}

---@type fimble.Options
M.options = vim.deepcopy(M.defaults)

local function check(name, value, default, path)
  local wanted = path == 'cmd' and 'table' or type(default)
  local is_off = value == false and vim.startswith(path, 'keys.')
  if path ~= 'cmd' and default == nil then
    return ('setup{}: there is no option `%s` (`:help fimble-options` lists them)'):format(path)
  elseif type(value) ~= wanted and not is_off then
    return ('setup{}: `%s` must be a %s, not %s'):format(path, wanted, vim.inspect(value))
  elseif name == 'keys' and path == 'keys' then
    for key, mapped in pairs(value) do
      local problem = check(key, mapped, default[key], 'keys.' .. tostring(key))
      if problem then
        return problem
      end
    end
  end
end

--- Take the user's options over.  One that cannot be used is told and left at its default.
---@param given? table
function M.set(given)
  M.options = vim.deepcopy(M.defaults)
  for name, value in pairs(given or {}) do
    local problem = check(name, value, M.defaults[name], tostring(name))
    if problem then
      vim.notify('Fimble: ' .. problem, vim.log.levels.WARN)
    elseif name == 'keys' then
      M.options.keys = vim.tbl_extend('force', M.options.keys, value)
    else
      M.options[name] = vim.deepcopy(value)
    end
  end
end

return M
