"""``fimble setup``: what it writes, what it leaves alone, and that it can be taken back."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from fimble.cli.app import app
from fimble.cli.setup import block, editors, records
from fimble.cli.setup.block import Block
from fimble.errors import ConfigError


@pytest.fixture
def init(home: Path) -> Path:
    """Where Neovim's init.lua is, or will be."""
    return home / "config" / "nvim" / "init.lua"


def setup(*arguments: str, answer: str = "") -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, ["setup", *arguments], input=answer)


def written(init: Path, text: str) -> None:
    init.parent.mkdir(parents=True, exist_ok=True)
    init.write_bytes(text.encode())


def backups(init: Path) -> list[Path]:
    return sorted(init.parent.glob("*.fimble-backup-*"))


def test_the_diff_comes_first_and_nothing_is_done_without_a_yes(home: Path, init: Path) -> None:
    """Where nobody can be asked, nothing is changed, and the command says so."""
    written(init, "vim.o.number = true\n")
    shown = setup("neovim")
    assert "+  require('fimble').setup{" in shown.stdout
    assert " vim.o.number = true" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert shown.exit_code == 1
    assert init.read_text() == "vim.o.number = true\n"
    assert not backups(init)


@pytest.mark.parametrize(("answer", "is_done"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_it_asks(home: Path, init: Path, monkeypatch: pytest.MonkeyPatch, answer: str, is_done: bool) -> None:
    monkeypatch.setattr("fimble.cli.setup.command._is_somebody_there", lambda: True)
    assert setup("neovim", answer=answer).exit_code == (0 if is_done else 1)
    assert init.exists() == is_done


def test_twice_is_once(home: Path, init: Path) -> None:
    """The second run changes nothing; lines around ours stay, and an old block of ours is replaced where it is."""
    written(init, "first = 1\n")
    assert setup("neovim", "--yes").exit_code == 0
    once = init.read_text()
    assert setup("neovim", "--yes").exit_code == 0
    assert init.read_text() == once
    assert len(backups(init)) == 1
    init.write_text(once.replace("runtimepath", "oldpath") + "last = 1\n")
    assert setup("neovim", "--yes").exit_code == 0
    assert init.read_text() == once + "last = 1\n"


@pytest.mark.parametrize("text", ["", "a = 1", "a = 1\n", "a = 1\r\nb = 2\r\n", "-- é 🚀\n\n\n", "x\x0cy\n\u2028\n"])
def test_undo_brings_back_every_byte(home: Path, init: Path, text: str) -> None:
    written(init, text)
    assert setup("neovim", "--yes").exit_code == 0
    now = init.read_bytes()
    assert (b"\r\n-- fimble: end\r\n" in now) == ("\r\n" in text)
    assert setup("neovim", "--undo", "--yes").exit_code == 0
    assert init.read_bytes() == text.encode()
    assert not backups(init)
    assert not records.load()


def test_undo_removes_what_was_made(home: Path, init: Path) -> None:
    """A file and folders that were not there are gone again; without anything to undo the command says so."""
    before = sorted(home.rglob("*"))
    assert setup("neovim", "--yes").exit_code == 0
    assert setup("neovim", "--undo", "--yes").exit_code == 0
    assert sorted(home.rglob("*")) == before
    again = setup("neovim", "--undo", "--yes")
    assert again.exit_code == 1
    assert "nothing to undo" in again.stderr


def test_undo_keeps_what_was_written_since(home: Path, init: Path) -> None:
    """A file that was changed since is not replaced by the backup: only our lines go, and the backup stays."""
    written(init, "first = 1\n")
    setup("neovim", "--yes")
    init.write_text("zero = 0\n" + init.read_text() + "last = 1\n")
    asked = setup("neovim", "--undo")
    assert asked.exit_code == 1
    assert "changed since" in asked.stdout
    assert "fimble: begin" in init.read_text()
    assert setup("neovim", "--undo", "--yes").exit_code == 0
    assert init.read_text() == "zero = 0\nfirst = 1\nlast = 1\n"
    assert [backup.read_text() for backup in backups(init)] == ["first = 1\n"]


def test_undo_without_a_record_takes_our_lines_out(home: Path, init: Path) -> None:
    written(init, "first = 1\n")
    setup("neovim", "--yes")
    records.drop("neovim")
    assert setup("neovim", "--undo", "--yes").exit_code == 0
    assert init.read_text() == "first = 1\n"


def test_a_linked_dotfile_stays_a_link(home: Path, init: Path) -> None:
    real = home / "dotfiles" / "init.lua"
    written(real, "a = 1\n")
    real.chmod(0o600)
    init.parent.mkdir(parents=True)
    init.symlink_to(real)
    assert setup("neovim", "--yes").exit_code == 0
    assert init.is_symlink()
    assert "fimble: begin" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o600
    assert [path.stat().st_mode & 0o777 for path in backups(real)] == [0o600]


def test_a_read_only_file_is_left_alone(home: Path, init: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(init, "a = 1\n")
    init.chmod(0o444)
    real_access = os.access
    # Root may write everywhere: what an ordinary user would hear is said here.
    monkeypatch.setattr(
        os, "access", lambda path, mode: real_access(path, mode) and not (mode & os.W_OK and path == init)
    )
    failed = setup("neovim", "--yes")
    assert failed.exit_code == 1
    assert "read-only" in failed.stderr
    assert "chmod u+w" in failed.stderr
    assert init.read_text() == "a = 1\n"
    assert not backups(init)
    assert not records.load()


@pytest.mark.parametrize("text", ["-- fimble: begin\n", "-- fimble: end\n-- fimble: begin\n", "-- fimble: end\n"])
def test_half_a_block_is_a_clear_error(home: Path, init: Path, text: str) -> None:
    written(init, text)
    failed = setup("neovim", "--yes")
    assert failed.exit_code == 1
    assert "fimble: end" in failed.stderr
    assert init.read_text() == text


def test_a_file_that_is_no_utf8_is_left_alone(home: Path, init: Path) -> None:
    init.parent.mkdir(parents=True)
    init.write_bytes(b"-- \xe9\n")
    assert setup("neovim", "--yes").exit_code == 1
    assert init.read_bytes() == b"-- \xe9\n"


def test_lines_of_the_users_own_are_respected(home: Path, init: Path) -> None:
    written(init, "require('fimble').setup{}\n")
    done = setup("neovim", "--yes")
    assert done.exit_code == 0
    assert "by lines of your own" in done.stdout
    assert init.read_text() == "require('fimble').setup{}\n"


def test_init_vim_gets_lua_lines_of_its_kind(home: Path, init: Path) -> None:
    vim = init.with_suffix(".vim")
    written(vim, "set number\n")
    assert setup("neovim", "--yes").exit_code == 0
    assert not init.exists()
    lines = vim.read_text().split("\n")
    assert lines[:3] == ["set number", '" fimble: begin', "lua << EOF"]
    assert lines[-3:] == ["EOF", '" fimble: end', ""]


def test_nothing_follows_a_return(home: Path, init: Path) -> None:
    """In Lua that would be an error: our lines stand at the top instead."""
    written(init, "local x = 1\nreturn x\n-- the end\n")
    assert setup("neovim", "--yes").exit_code == 0
    assert init.read_text().startswith("-- fimble: begin\n")
    assert init.read_text().endswith("-- fimble: end\nlocal x = 1\nreturn x\n-- the end\n")


def test_print_and_json(home: Path, init: Path) -> None:
    printed = setup("neovim", "--print")
    assert printed.stdout.startswith("-- fimble: begin\n")
    assert not init.exists()
    told = json.loads(setup("neovim", "--json", "--yes").stdout)
    assert (told["done"], told["file"], told["action"]) == (True, str(init), "write")
    assert any("fimble: begin" in line for line in told["diff"])
    listed = json.loads(setup("--json").stdout)
    assert [one["editor"] for one in listed] == [editor.name for editor in editors.EDITORS]


@pytest.mark.parametrize("name", ["vim", "helix", "emacs", "kate", "zed", "sublime"])
def test_what_is_only_told_names_the_server(home: Path, name: str) -> None:
    """Lines that start this very server; for Zed, that there are none."""
    told = setup(name)
    assert told.exit_code == 0
    assert ("fimble" in told.stdout) == (name != "zed") or "no line of settings helps" in told.stdout
    assert not [word for word in ("COMMAND", "ARGUMENTS", "WHOLE", "LISP") if word in told.stdout]


def test_an_unknown_editor_is_told_the_known_ones(home: Path) -> None:
    failed = setup("notepad")
    assert failed.exit_code == 1
    assert "vscode, neovim, vim" in failed.stderr


def test_vscode_is_installed_by_its_own_command(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `code` that writes down how it was called: with the package that was given, and to take it away again."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "code"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    package = tmp_path / "fimble.vsix"
    assert "no file" in setup("vscode", "--yes", "--vsix", str(package)).stderr
    package.touch()
    assert setup("vscode", "--vsix", str(package)).exit_code == 1
    assert not (tmp_path / "calls").exists()
    assert setup("vscode", "--yes", "--vsix", str(package)).exit_code == 0
    assert setup("vscode", "--yes", "--undo").exit_code == 0
    calls = (tmp_path / "calls").read_text().split("\n")
    assert calls == [f"--install-extension {package}", "--uninstall-extension fimble.fimble", ""]
    program.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    assert "broken" in setup("vscode", "--yes", "--undo").stderr


def test_without_vscode_it_says_how(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told = setup("vscode", "--yes")
    assert told.exit_code == 1
    assert "Install from VSIX" in told.stdout


@given(
    st.text(st.sampled_from("ab -\n\r\t\"'é🚀\x0c\u2028"), max_size=60),
    st.booleans(),
    st.sampled_from(["--", '"', "#"]),
)
def test_what_is_put_in_can_be_taken_out(text: str, is_first: bool, comment: str) -> None:
    """Of any file; but for a line end that its last line may have lacked."""
    ours = Block(comment, ("one", "two"), is_first)
    with_it = block.put_in(text, ours)
    assert block.put_in(with_it, ours) == with_it
    left = block.take_out(with_it)
    assert left in (text, text + "\n", text + "\r\n")
    assert block.is_in(with_it)
    assert not block.is_in(left)


def test_the_lua_is_lua(home: Path) -> None:
    """Odd characters in the plugin's folder stay what they are."""
    from fimble.cli.setup.neovim import _quote

    assert _quote("it's\\here") == "'it\\'s\\\\here'"
    with pytest.raises(ConfigError):
        editors.files_of("no such editor")
    assert (editors.files_of("neovim") / "lua" / "fimble" / "init.lua").is_file()
    assert subprocess.run([*editors.server_command()[:-1], "--version"], capture_output=True).returncode == 0
