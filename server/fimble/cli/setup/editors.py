"""The editors that ``fimble setup`` knows, and where their parts of Fimble lie."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import fimble
from fimble.errors import ConfigError

#: What is done for an editor: its file is written, an extension is installed, or it is only told what to do.
Action = Literal["write", "install", "print"]


@dataclass(frozen=True, slots=True)
class Editor:
    """One editor: its name on the command line, what people call it, its programs (the best first)."""

    name: str
    title: str
    programs: tuple[str, ...]
    action: Action = "print"

    def found(self) -> str:
        """The path of its program; empty if it is not installed."""
        return next((path for program in self.programs if (path := shutil.which(program))), "")


EDITORS = (
    Editor("vscode", "Visual Studio Code", ("code", "codium", "code-insiders"), "install"),
    Editor("neovim", "Neovim", ("nvim",), "write"),
    Editor("vim", "Vim", ("vim",)),
    Editor("helix", "Helix", ("hx", "helix")),
    Editor("emacs", "Emacs", ("emacs",)),
    Editor("kate", "Kate", ("kate",)),
    Editor("zed", "Zed", ("zed", "zeditor")),
    Editor("sublime", "Sublime Text", ("subl",)),
)


def find(name: str) -> Editor:
    """The editor of this name.  Raises ConfigError with all of the names."""
    for editor in EDITORS:
        if editor.name == name.lower():
            return editor
    names = ", ".join(editor.name for editor in EDITORS)
    raise ConfigError(f"There is no editor called {name!r} here.", f"Choose one of: {names}.")


def files_of(name: str) -> Path:
    """The folder of an editor's part of Fimble: in a wheel inside the package, else in the checkout.

    Raises ConfigError if it is missing.
    """
    package = Path(fimble.__file__).resolve().parent
    for folder in (package / "_editors" / name, package.parents[1] / "editors" / name):
        if folder.is_dir():
            return folder
    raise ConfigError(f"Fimble's own files for {name} are missing.", "Reinstall Fimble.")


def server_command() -> tuple[str, ...]:
    """What starts the server from any place: the plain name where the PATH leads to this very program."""
    own = Path(sys.executable).with_name("fimble")
    on_path = shutil.which("fimble")
    if on_path and (not own.exists() or Path(on_path).resolve() == own.resolve()):
        return ("fimble", "lsp")
    return (str(own), "lsp") if own.exists() else (sys.executable, "-P", "-m", "fimble", "lsp")
