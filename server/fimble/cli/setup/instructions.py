"""Editors whose configuration is told and not written: what to put where, or honestly that nothing can be done."""

from __future__ import annotations

import json

from fimble.cli.setup.editors import server_command


def of(name: str) -> str:
    """What to do for the editor of this name."""
    return (
        _TEXTS[name]
        .replace("COMMAND", json.dumps(server_command()[0]))
        .replace("ARGUMENTS", json.dumps(list(server_command()[1:])))
        .replace("WHOLE", json.dumps(list(server_command())))
        .replace("LISP", " ".join(json.dumps(word) for word in server_command()))
    )


_VIM = """\
Vim has no LSP client of its own.  With coc.nvim, in its settings (:CocConfig):

  {
    "languageserver": {
      "fimble": { "command": COMMAND, "args": ARGUMENTS, "filetypes": ["*"] }
    }
  }
"""

_HELIX = """\
Helix cannot show ghost text; suggestions come in its completion menu.  In ~/.config/helix/languages.toml:

  [language-server.fimble]
  command = COMMAND
  args = ARGUMENTS

and for each language, with the servers that it has already (`hx --health LANGUAGE` names them):

  [[language]]
  name = "python"
  language-servers = ["pylsp", "fimble"]
"""

_EMACS = """\
With lsp-mode 10, which shows inline completions, in your init file:

  (with-eval-after-load 'lsp-mode
    (lsp-register-client
     (make-lsp-client :new-connection (lsp-stdio-connection '(LISP))
                      :activation-fn (lambda (&rest _) t)
                      :add-on? t
                      :server-id 'fimble)))

With Eglot, which knows one server for each mode and no ghost text (suggestions come as completions):

  (with-eval-after-load 'eglot
    (add-to-list 'eglot-server-programs '(python-mode . (LISP))))
"""

_KATE = """\
Kate cannot show ghost text; suggestions come in its completion menu.  It has one server for each language, so Fimble
takes the place of the one that is there.  Settings, LSP Client, User Server Settings:

  {
    "servers": {
      "python": { "command": WHOLE, "highlightingModeRegex": "^Python$" }
    }
  }
"""

_ZED = """\
Zed starts language servers only for its extensions, and Fimble has none for it yet: no line of settings helps.
"""

_SUBLIME = """\
With the package LSP, which shows no ghost text (suggestions come in the completion menu), in
Preferences, Package Settings, LSP, Settings:

  {
    "clients": {
      "fimble": { "enabled": true, "command": WHOLE, "selector": "source | text" }
    }
  }
"""

_TEXTS = {"vim": _VIM, "helix": _HELIX, "emacs": _EMACS, "kate": _KATE, "zed": _ZED, "sublime": _SUBLIME}
