"""Are these still the bytes that were recorded?  Cheap where nothing changed, the whole SHA-256 where something did."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from fimble import installed, paths
from fimble.errors import ModelCorrupt

_PART_BYTES = 1 << 20

#: Of how many files is remembered that they were right; the oldest are forgotten.
_MOST_SEEN = 100


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """How a file looked when the whole of it was read last, and what it hashed to."""

    size_bytes: int
    mtime_ns: int
    quick_digest: str
    sha256: str


def quick_digest(path: Path) -> str:
    """32 hex digits that tell two models apart in a millisecond: the size and both ends of the file, hashed.

    It is for telling files apart, not for trust: a download is verified by its whole SHA-256.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(str(size).encode())
        digest.update(file.read(_PART_BYTES))
        file.seek(max(size - _PART_BYTES, 0))
        digest.update(file.read(_PART_BYTES))
    return digest.hexdigest()[:32]


def sha256(path: Path, on_progress: Callable[[float], None] | None = None) -> str:
    """The SHA-256 of the whole file, in hex.  *on_progress* hears the share that is done, from 0 to 1.

    Raises OSError if it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while part := file.read(_PART_BYTES):
            digest.update(part)
            if on_progress:
                on_progress(min(file.tell() / size, 1.0))
    return digest.hexdigest()


def check(path: Path, expected: str, on_progress: Callable[[float], None] | None = None) -> None:
    """Refuse the model in *path* if its SHA-256 is not *expected* (nothing is expected of it if that is empty).

    It takes milliseconds if size, time of change and both ends are as they were when the whole was read last, and
    else as long as reading the file does: never on an event loop.  So bytes that a disk lost in the middle, without
    a word, are found by `fimble models verify` alone.  A file that cannot be read is for whoever loads it to refuse.

    Raises ModelCorrupt with the fix.
    """
    with contextlib.suppress(OSError):
        if not expected or was_right(path, expected):
            return
        found = sha256(path, on_progress)
        if found != expected:
            raise refusal(path, expected, found)
        remember(path, found)


def was_right(path: Path, expected: str) -> bool:
    """Whether the file looks as it did when it had this SHA-256.  Raises OSError if it cannot be read."""
    return _seen().get(str(path)) == _look(path, expected)


def remember(path: Path, found: str) -> None:
    """The whole of *path* was read, and its SHA-256 was *found*.  Nothing is said if that cannot be kept: the next look
    takes longer then.
    """
    with contextlib.suppress(OSError):
        seen = _seen()
        seen.pop(str(path), None)
        seen[str(path)] = _look(path, found)
        latest = dict(list(seen.items())[-_MOST_SEEN:])
        paths.make_private_dir(paths.state_dir())
        part = _file().with_suffix(f".{os.getpid()}")
        part.write_bytes(msgspec.json.encode(latest))
        part.replace(_file())


def refusal(path: Path, expected: str, found: str) -> ModelCorrupt:
    """What is said of a model whose bytes are not those that were recorded."""
    known = installed.by_path(path)
    if known is None:
        fix = "Reinstall Fimble."
    elif known[1].origin == "pulled":
        fix = f"Get it again with `fimble models pull {known[0]}`."
    else:
        fix = f"If you changed it yourself, run `fimble models import {path} --name {known[0]}` again."
    return ModelCorrupt(
        f"{path} is not the file that was recorded: its SHA-256 is {found[:12]}..., not {expected[:12]}....", fix
    )


def _look(path: Path, sha256: str) -> Seen:
    info = path.stat()
    return Seen(info.st_size, info.st_mtime_ns, quick_digest(path), sha256)


def _seen() -> dict[str, Seen]:
    with contextlib.suppress(OSError, ValueError, msgspec.DecodeError):
        return msgspec.json.decode(_file().read_bytes(), type=dict[str, Seen])
    return {}


def _file() -> Path:
    return paths.state_dir() / "checked.json"
