"""Where the index of a repository can be reached, and where it keeps what it knows.

Windows that agree on the repository, the settings and Fimble's version find the same key, hence the same process.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from fimble import __version__, paths
from fimble.index.wire import PROTOCOL, IndexSettings


def settings_key(settings: IndexSettings) -> str:
    """10 hex digits that stand for everything in which indexes can differ."""
    # As the process reads it from its command line: a whole number of minutes is written in another way than read.
    as_read = msgspec.json.decode(msgspec.json.encode(settings), type=IndexSettings)
    return _digest([__version__, PROTOCOL, as_read])


def root_key(root: str) -> str:
    """10 hex digits that stand for the repository alone."""
    return _digest(root)


def socket_path(folder: Path, key: str) -> Path:
    """The socket of the index with this key.  Its name is no longer than an engine's (``paths.runtime_dir``)."""
    return folder / f"index-{key}.sock"


def lock_path(folder: Path, key: str) -> Path:
    """What the process holds for as long as it lives."""
    return folder / f"index-{key}.lock"


def sockets(folder: Path) -> list[Path]:
    """The socket of every index in *folder*, those of killed ones included."""
    return sorted(folder.glob("index-*.sock"))


def database_path(settings: IndexSettings) -> Path:
    """The file that the index is kept in.  It may be deleted at any time."""
    return paths.cache_dir() / "index" / f"{root_key(settings.root)}-{settings_key(settings)}.db"


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:10]
