"""Where an engine can be reached: what it writes down and what windows read.

Two engines differ in their settings or their version, and then in their key; windows that agree on all of it
find the same key, hence the same engine.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from pathlib import Path

import msgspec

from fimble import __version__
from fimble.engine.wire import PROTOCOL, EngineSettings


class Endpoint(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The address of one engine: a Unix socket, or a port on loopback and the token that it asks for."""

    key: str
    model_path: str
    socket: str = ""
    port: int = 0
    token: str = ""
    pid: int = 0
    command: list[str] = []
    """The command line of the process: with it, a number that another process has been given since is found out."""

    @classmethod
    def for_engine(cls, folder: Path, settings: EngineSettings) -> Endpoint:
        """The endpoint that an engine with *settings* is to open; a port and a token are still to be chosen."""
        key = settings_key(settings)
        unix = settings.transport == "unix" or (settings.transport == "auto" and hasattr(socket, "AF_UNIX"))
        return cls(key=key, model_path=settings.model_path, socket=str(folder / f"{key}.sock") if unix else "")

    def write(self, path: Path) -> None:
        """Write to *path*, readable by this user alone, in one step: a reader never sees half of it."""
        part = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(self))
        part.replace(path)


def settings_key(settings: EngineSettings) -> str:
    """16 hex digits that stand for everything in which engines can differ."""
    text = msgspec.json.encode([__version__, PROTOCOL, settings])
    return hashlib.sha256(text).hexdigest()[:16]


def read(folder: Path, key: str) -> Endpoint | None:
    """The endpoint of the engine with this key, if one has written it down."""
    with contextlib.suppress(OSError, ValueError, msgspec.DecodeError):
        return msgspec.json.decode((folder / f"{key}.json").read_bytes(), type=Endpoint)
    return None


def read_all(folder: Path) -> list[Endpoint]:
    """Every endpoint in *folder*, those of killed engines included."""
    found = (read(folder, path.stem) for path in sorted(folder.glob("*.json")))
    return [endpoint for endpoint in found if endpoint]
