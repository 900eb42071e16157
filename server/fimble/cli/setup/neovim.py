"""Neovim: the plugin's folder and its setup, in the user's init file."""

from __future__ import annotations

import os
import re
from pathlib import Path

from fimble.cli.setup.block import Block
from fimble.cli.setup.editors import files_of, server_command


def init_file() -> Path:
    """``init.lua`` or ``init.vim``, whichever is there (Neovim refuses both); the first if there is none."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    folder = base / (os.environ.get("NVIM_APPNAME") or "nvim")
    vim = folder / "init.vim"
    return vim if vim.exists() and not (folder / "init.lua").exists() else folder / "init.lua"


def block(file: Path, text: str) -> Block:
    """Our lines for this file, which holds *text* now."""
    lua = tuple(_lua())
    if file.suffix == ".vim":
        return Block('"', ("lua << EOF", *lua, "EOF"))
    return Block("--", lua, is_first=_ends_with_return(text))


def is_set_up_by_hand(text: str) -> bool:
    """Whether the user calls it already, outside of our lines."""
    return re.search(r"""^[^\n]*require\s*\(?\s*(['"])fimble\1""", text, re.MULTILINE) is not None


def _lua() -> list[str]:
    # A Fimble that was uninstalled must not keep Neovim from starting.
    folder = _quote(str(files_of("neovim")))
    command = server_command()
    options = "" if command[0] == "fimble" else f" cmd = {{ {', '.join(map(_quote, command))} }} "
    return [
        f"if vim.fn.isdirectory({folder}) == 1 then",
        f"  vim.opt.runtimepath:append({folder})",
        f"  require('fimble').setup{{{options}}}",
        "end",
    ]


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def _ends_with_return(text: str) -> bool:
    """Whether the file's last statement is a ``return``: nothing may follow it in Lua."""
    lines = [line.strip() for line in text.replace("\r\n", "\n").split("\n")]
    code = [line for line in lines if line and not line.startswith("--")]
    return bool(code) and re.match(r"return\b", code[-1]) is not None
