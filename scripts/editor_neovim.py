"""Neovim 0.12 or newer: the one on PATH, or a private one from a newer Debian."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from editor_debian import install_from_debian
from editor_setup import EditorError, editors_folder, only_one_installer, run

NEOVIM_MIN_VERSION = (0, 12)  # the first one that shows inline completions by itself
NEOVIM_PROGRAM = "usr/bin/nvim"


def is_recent_neovim(binary: Path) -> bool:
    """Whether this program runs and is a Neovim that is new enough."""
    try:
        banner = run([str(binary), "--version"]).decode(errors="replace")
    except EditorError:
        return False
    version = re.match(r"NVIM v(\d+)\.(\d+)", banner)
    return version is not None and (int(version[1]), int(version[2])) >= NEOVIM_MIN_VERSION


def find_neovim() -> Path | None:
    """A recent Neovim: the one on PATH, else the private one, else None."""
    on_path = shutil.which("nvim")
    private = editors_folder() / "neovim" / "root" / NEOVIM_PROGRAM
    candidates = [*([Path(on_path)] if on_path else []), *([private] if private.is_file() else [])]
    return next((binary for binary in candidates if is_recent_neovim(binary)), None)


def neovim_path() -> Path:
    """The path of a Neovim >= 0.12; raise `EditorError` if there is none yet."""
    if found := find_neovim():
        return found
    raise EditorError("no Neovim >= 0.12 here: run `python3 scripts/editors.py install neovim`")


def install_neovim() -> Path:
    """Set up a private Neovim >= 0.12 unless there is one, and return its path."""
    if found := find_neovim():
        return found
    folder = editors_folder() / "neovim"
    with only_one_installer(folder):
        try:
            if find_neovim() is None:  # else another process was faster
                install_from_debian("neovim", NEOVIM_PROGRAM, folder)
        except EditorError as problem:
            raise EditorError(f"{problem}\nOr install Neovim >= 0.12 yourself and put it on PATH.") from problem
    if found := find_neovim():
        return found
    raise EditorError(f"what was unpacked in {folder} is no Neovim >= 0.12: put one on PATH")
