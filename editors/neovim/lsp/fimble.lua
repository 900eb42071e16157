-- Tells Neovim (0.11 or later) how to start Fimble: `vim.lsp.enable('fimble')` finds this file as lsp/fimble.lua
-- on the 'runtimepath'.  Change single values in your init.lua: `vim.lsp.config('fimble', { ... })`.

---@type vim.lsp.Config
return {
  cmd = { 'fimble', 'lsp' },

  -- No `filetypes`: Fimble completes whatever you edit.

  -- The folder whose other files Fimble may look at.  A file outside of any works as well, on its own.
  root_markers = { '.git', '.hg', '.fimble.toml' },

  -- The same names as in fimble.toml.  An empty Lua table would be sent as a list; this is sent as an object.
  settings = { fimble = vim.empty_dict() },
}
