"""What ``fimble setup`` has written, so that it can be undone: one small file in the state folder."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from fimble import paths
from fimble.cli.setup import dotfile
from fimble.errors import ConfigError


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One file that was written."""

    file: str
    written: str
    """`dotfile.digest` of what was written: is it still the same?"""
    backup: str = ""
    """What was there before; empty if there was no file."""
    is_whole: bool = True
    """Whether the backup is the file without any line of ours, so that it may be put back."""
    made_folders: tuple[str, ...] = ()


def load() -> dict[str, Record]:
    """By editor's name.  A file that cannot be read knows nothing."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(_file().read_bytes(), type=dict[str, Record])
    return {}


def keep(editor: str, record: Record) -> None:
    """Remember what was written for an editor.  Raises ConfigError."""
    try:
        paths.make_private_dir(folder())
    except OSError as error:
        raise ConfigError(f"{folder()} cannot be written: {error.strerror or error}.", "Make it writable.") from error
    _save(load() | {editor: record})


def drop(editor: str) -> None:
    """Forget it, and with the last one the file, too."""
    left = {name: record for name, record in load().items() if name != editor}
    if left:
        _save(left)
        return
    with contextlib.suppress(OSError):
        _file().unlink()


def _save(records: dict[str, Record]) -> None:
    dotfile.write(_file(), msgspec.json.format(msgspec.json.encode(records)).decode(), 0o600)


def folder() -> Path:
    """Where the file is."""
    return paths.state_dir()


def _file() -> Path:
    return folder() / "setup.json"
