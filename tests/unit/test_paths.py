"""Folders: private, ours, and short enough for a socket, or a clear error."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from fimble import paths
from fimble.errors import EngineUnreachable


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_folder_follows_the_environment(home: Path) -> None:
    """The XDG variables move settings, caches, logs and data."""
    assert paths.config_dir() == home / "config" / "fimble"
    assert paths.cache_dir() == home / "cache" / "fimble"
    assert paths.data_dir() == home / "data" / "fimble"
    assert paths.log_dir().is_relative_to(home / "state" / "fimble")


def test_a_private_folder_is_private(tmp_path: Path) -> None:
    """A new folder has mode 0700, one that was open to others is closed, and its content stays."""
    folder = tmp_path / "a" / "b"
    paths.make_private_dir(folder)
    assert mode(folder) == 0o700
    (folder / "kept").write_text("x")
    folder.chmod(0o777)
    paths.make_private_dir(folder)
    assert mode(folder) == 0o700
    assert (folder / "kept").read_text() == "x"


def test_a_link_is_no_private_folder(tmp_path: Path) -> None:
    """A link that somebody planted in the folder's place is refused, and what it points to is not touched."""
    target = tmp_path / "target"
    target.mkdir(mode=0o755)
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(NotADirectoryError):
        paths.make_private_dir(link)
    assert mode(target) == 0o755


def test_a_file_is_no_private_folder(tmp_path: Path) -> None:
    """A file in the folder's place is refused and stays."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="exist"):
        paths.make_private_dir(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that another user made first (in /tmp anybody can) is not used and not changed."""
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(PermissionError):
        paths.make_private_dir(folder)
    assert mode(folder) == 0o755


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without write permission is an error now, not a surprise later."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError):
        paths.make_private_dir(tmp_path / "mine")


def test_the_runtime_folder_is_the_sessions(home: Path) -> None:
    """Sockets live in XDG_RUNTIME_DIR where that can be used."""
    folder = paths.runtime_dir()
    assert folder == Path(os.environ["XDG_RUNTIME_DIR"]) / "fimble"
    assert mode(folder) == 0o700


@pytest.mark.parametrize("broken", ["a file", "a link", "too long", "missing"])
def test_the_runtime_folder_falls_back(home: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """A session folder that cannot hold our socket is passed over for the temporary folder."""
    temporary = Path(os.environ["XDG_RUNTIME_DIR"]) / "t"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(temporary))
    session = Path(os.environ["XDG_RUNTIME_DIR"]) / "s"
    if broken == "too long":
        session = home / ("x" * 90)
    if broken != "missing":
        session.mkdir()
    if broken == "a file":
        (session / "fimble").write_text("")
    if broken == "a link":
        (session / "fimble").symlink_to(home)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    assert paths.runtime_dir() == temporary / f"fimble-{os.getuid()}"


def test_a_socket_path_always_fits(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the folder, the path of a socket in it stays below the 104 bytes that every system takes."""
    base = Path(os.environ["XDG_RUNTIME_DIR"])
    for length in range(60, 90):
        session = base / ("ü" * ((length - len(str(base))) // 2))
        session.mkdir(exist_ok=True)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
        monkeypatch.setattr("tempfile.gettempdir", lambda: str(base))
        assert len(os.fsencode(paths.runtime_dir() / f"{'0' * 16}.sock")) < 104


def test_no_runtime_folder_is_an_error_with_a_fix(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no folder can be used, the error names each one that was tried and what to set."""
    base = Path(os.environ["XDG_RUNTIME_DIR"])
    candidates = [base / "one", base / "two"]
    for candidate in candidates:
        candidate.write_text("")
    monkeypatch.setattr(paths, "_runtime_candidates", lambda: candidates)
    with pytest.raises(EngineUnreachable) as caught:
        paths.runtime_dir()
    assert all(str(candidate) in caught.value.message for candidate in candidates)
    assert "XDG_RUNTIME_DIR" in caught.value.fix


def test_a_log_is_private_and_grows(home: Path) -> None:
    """A log file is 0600 and is appended to."""
    for line in (b"one\n", b"two\n"):
        log = paths.open_log("x.log")
        assert log is not None
        os.write(log, line)
        os.close(log)
    path = paths.log_dir() / "x.log"
    assert (path.read_bytes(), mode(path)) == (b"one\ntwo\n", 0o600)


def test_a_large_log_starts_anew(home: Path) -> None:
    """A log never grows without end."""
    for line in (b"0123456789", b"new"):
        log = paths.open_log("x.log", max_bytes=5)
        assert log is not None
        os.write(log, line)
        os.close(log)
    assert (paths.log_dir() / "x.log").read_bytes() == b"new"


def test_a_log_that_cannot_be_written_is_no_failure(home: Path) -> None:
    """Where no log can be kept, nothing else fails because of it."""
    shutil.rmtree(home / "state", ignore_errors=True)
    (home / "state").write_text("a file")
    assert paths.open_log("x.log") is None
