"""Small JSON files that several processes change: one after another, in one step, for their user alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from fimble import paths

T = TypeVar("T")

#: Who holds the lock writes a few kilobytes.  One that takes longer is stopped, or on a disk that is gone.
_LOCK_S = 2.0


def read(path: Path, kind: type[T]) -> T | None:
    """What *path* holds; None where that is nothing that can be understood."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, ValueError, msgspec.DecodeError):
        return None


def change(path: Path, kind: type[T], to: Callable[[T | None], T]) -> bool:
    """Replace what *path* holds by what *to* makes of it; False where it could not be written.

    Blocks while another process does the same, two seconds at most.
    """
    import filelock  # only now: windows that start do not need it

    with contextlib.suppress(OSError, filelock.Timeout):
        paths.make_private_dir(path.parent)
        with filelock.FileLock(path.with_suffix(".lock"), timeout=_LOCK_S, mode=0o600):
            part = path.with_suffix(f".{os.getpid()}")
            try:
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(msgspec.json.encode(to(read(path, kind))))
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        return True
    return False
