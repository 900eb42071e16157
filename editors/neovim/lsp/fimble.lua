-- Tells Neovim (0.11 or later) how to start Fimble: `vim.lsp.enable('fimble')` finds this file as lsp/fimble.lua
-- on the 'runtimepath'.  Change single values in your init.lua: `vim.lsp.config('fimble', { ... })`.

-- Says where the cursor is, which LSP has no word for: the first suggestion at a new place then comes as soon as the
-- later ones.  Nothing breaks without it.
local function tell_cursor(client, buffer)
  vim.api.nvim_create_autocmd({ 'CursorMoved', 'InsertEnter' }, {
    buffer = buffer,
    desc = 'Fimble: prepare suggestions at the cursor',
    callback = function()
      if client:is_stopped() then
        return true
      end
      vim.schedule(function() -- on InsertEnter the cursor has yet to move
        if vim.api.nvim_get_current_buf() == buffer and not client:is_stopped() then
          client:notify('fimble/didMoveCursor', vim.lsp.util.make_position_params(0, client.offset_encoding))
        end
      end)
    end,
  })
end

---@type vim.lsp.Config
return {
  cmd = { 'fimble', 'lsp' },

  -- No `filetypes`: Fimble completes whatever you edit.

  -- The folder whose other files Fimble may look at.  A file outside of any works as well, on its own.
  root_markers = { '.git', '.hg', '.fimble.toml' },

  on_attach = tell_cursor,

  -- The same names as in fimble.toml.  An empty Lua table would be sent as a list; this is sent as an object.
  settings = { fimble = vim.empty_dict() },
}
