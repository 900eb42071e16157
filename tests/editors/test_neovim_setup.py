"""A newcomer's way to Fimble in Neovim: an empty home, one command, and ghost text; and back again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from nvim_window import running
from waiting import until

ECHO_FILE = "connection = open_database_connection(settings.database_url, timeout=30)\n\n"


def everything_in(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder and what the files hold."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_one_command_and_back(neovim: Path, editor_environment: dict[str, str], tmp_path: Path) -> None:
    """`fimble setup neovim --yes` in an empty home: Neovim shows ghost text; `--undo` leaves the home as it was."""
    home = tmp_path / "home"
    home.mkdir()
    own = {"HOME": str(home), "FIMBLE_CACHE_ENABLED": "false"}
    moved = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
    environment = {name: value for name, value in editor_environment.items() if name not in moved} | own
    setup = [sys.executable, "-m", "fimble", "setup", "neovim", "--yes"]
    subprocess.run(setup, env=environment, check=True, capture_output=True)
    after_setup = everything_in(home)
    assert ".config/nvim/init.lua" in after_setup
    shown_home = tmp_path / "used"  # Neovim and the server leave caches and logs behind: in a copy of the home
    subprocess.run(["cp", "-a", str(home), str(shown_home)], check=True)
    command = [str(neovim), "--headless", "--embed", "-n"]
    with running(command, environment | {"HOME": str(shown_home)}) as nvim:
        nvim.start(tmp_path / "first.py", ECHO_FILE)
        nvim.append("connection = open_data")
        nvim.accept(nvim.expect_ghost("base_connection"))
        until(lambda: nvim.lua("return require('fimble').status()"), "a status")
    assert everything_in(home) == after_setup
    subprocess.run([*setup, "--undo"], env=environment, check=True, capture_output=True)
    assert everything_in(home) == {}


def test_a_configuration_that_was_there_comes_back(editor_environment: dict[str, str], tmp_path: Path) -> None:
    """Byte for byte, and the file's mode and its link as well."""
    config = tmp_path / ".config" / "nvim"
    config.mkdir(parents=True)
    dotfile = tmp_path / "dotfiles.lua"
    dotfile.write_bytes("vim.o.number = true\r\n-- é".encode())
    dotfile.chmod(0o640)
    (config / "init.lua").symlink_to(dotfile)
    before = everything_in(tmp_path)
    environment = {**os.environ, **editor_environment, "HOME": str(tmp_path)}
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        environment.pop(name)
    setup = [sys.executable, "-m", "fimble", "setup", "neovim", "--yes"]
    subprocess.run(setup, env=environment, check=True, capture_output=True)
    assert dotfile.read_bytes().startswith("vim.o.number = true\r\n-- é\r\n-- fimble: begin\r\n".encode())
    assert (config / "init.lua").is_symlink()
    subprocess.run([*setup, "--undo"], env=environment, check=True, capture_output=True)
    assert everything_in(tmp_path) == before
    assert dotfile.stat().st_mode & 0o777 == 0o640
