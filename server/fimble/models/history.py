"""Which models worked, and which are put aside: one small file that all windows and commands share.

``history.json`` in the data folder.  Whoever changes it holds a lock, reads it anew and replaces it in one step, so
two that write at once lose nothing and nobody ever reads half of it.  A file that is broken counts as empty; one that
cannot be written costs only that the next window learns the same again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from fimble import paths
from fimble.engine.launch import quick_digest
from fimble.errors import MODEL_ERRORS, ModelError, ModelTooLarge
from fimble.memory import available

_log = logging.getLogger("fimble.models")

#: Two crashes that lie further apart are not taken for one model's fault.
_CRASHES_COUNT_S = 3600.0

#: As many crashes within that time, and the model is put aside.
CRASHES = 2

#: The file stays small, whatever happens.
_MOST_WORKED, _MOST_ASIDE, _MOST_CRASHES = 20, 50, 20

_LOCK_TIMEOUT_S = 2.0


class Worked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model that passed its canary, or that an engine answered with."""

    setting: str
    """What ``model`` in the settings says for it; empty: the bundled one."""
    path: str
    digest: str
    at: float = 0.0
    """When, in seconds since 1970."""
    prompt_tokens_per_s: float = 0.0
    decode_tokens_per_s: float = 0.0
    """Measured by the canary; 0 for a model that was only used."""
    memory_bytes: int = 0


class Aside(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model that is not used until it is asked for again, or its file is another one."""

    setting: str
    path: str
    digest: str
    kind: str
    """The name of the ModelError."""
    message: str
    fix: str = ""
    at: float = 0.0
    needed_bytes: int = 0
    """Of a model for which there was not enough memory: with so much it is used again."""
    mtime_ns: int = 0
    """When its file was written.  A digest sees the ends of a file, and damage may be in its middle."""

    @classmethod
    def of(cls, setting: str, path: Path, digest: str, failure: ModelError) -> Aside:
        """A model that is put aside now because of *failure*."""
        return cls(
            setting=setting,
            path=str(path),
            digest=digest,
            kind=type(failure).__name__,
            message=failure.message,
            fix=failure.fix,
            at=time.time(),
            needed_bytes=failure.needed_bytes if isinstance(failure, ModelTooLarge) else 0,
            mtime_ns=_mtime_ns(path),
        )

    def as_error(self) -> ModelError:
        """What was wrong with it."""
        kind = MODEL_ERRORS.get(self.kind, ModelError)
        return kind(self.message, self.fix)


class Crash(msgspec.Struct, frozen=True, kw_only=True):
    """An engine's process that ended while it loaded a model or answered with it."""

    digest: str
    pid: int
    at: float


class History(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is in the file; the newest of everything last."""

    worked: list[Worked] = []
    aside: list[Aside] = []
    crashes: list[Crash] = []


def load() -> History:
    """What is known; empty where nothing can be read."""
    with contextlib.suppress(OSError, ValueError, msgspec.DecodeError):
        return msgspec.json.decode(_file().read_bytes(), type=History)
    return History()


def last_good(besides: frozenset[str] = frozenset()) -> Worked | None:
    """The last model that worked, whose file is still what it was and which is not put aside.

    *besides* are digests of models that do not count.  None: only the bundled model is left.
    """
    history = load()
    out = besides | {one.digest for one in history.aside}
    good = (one for one in reversed(history.worked) if one.digest not in out and is_unchanged(one))
    return next(good, None)


def put_aside() -> dict[str, Aside]:
    """The models that are put aside now, by the path of their file; those whose file has changed are not."""
    return {one.path: one for one in load().aside if is_unchanged(one) and not was_written_anew(one)}


def aside(digest: str) -> Aside | None:
    """Why the model with this digest is put aside; None if it may be used."""
    for one in load().aside:
        has_room = one.needed_bytes and available().n_bytes >= one.needed_bytes
        if one.digest == digest and not has_room and not was_written_anew(one):
            return one
    return None


def note_worked(worked: Worked) -> bool:
    """*worked* is the last model that worked.  False if that cannot be kept."""

    def change(history: History) -> None:
        others = [one for one in history.worked if one.path != worked.path]
        history.worked = [*others, msgspec.structs.replace(worked, at=time.time())][-_MOST_WORKED:]

    return _change(change)


def note_crash(digest: str, pid: int) -> int:
    """An engine's process ended on a model; returns how many did within an hour.

    Every window that sees one process end counts it once.
    """
    count = 1

    def change(history: History) -> None:
        nonlocal count
        now = time.time()
        recent = [one for one in history.crashes if 0 <= now - one.at < _CRASHES_COUNT_S]
        if not any(one.digest == digest and one.pid == pid for one in recent):
            recent.append(Crash(digest=digest, pid=pid, at=now))
        history.crashes = recent[-_MOST_CRASHES:]
        count = sum(one.digest == digest for one in recent)

    _change(change)
    return count


def set_aside(entry: Aside) -> bool:
    """Put a model aside.  False if that cannot be kept."""

    def change(history: History) -> None:
        history.aside = [*_others(history, entry.path, entry.digest), entry][-_MOST_ASIDE:]

    return _change(change)


def try_again(path: Path, digest: str) -> bool:
    """A model is not put aside any more, and its crashes are forgotten.  False if that cannot be kept."""

    def change(history: History) -> None:
        history.aside = _others(history, str(path), digest)
        history.crashes = [one for one in history.crashes if one.digest != digest]

    return _change(change)


def _others(history: History, path: str, digest: str) -> list[Aside]:
    return [one for one in history.aside if digest != one.digest and path != one.path]


def forget(paths_gone: frozenset[str]) -> bool:
    """Models that were left behind are not gone back to.  False if that cannot be kept."""

    def change(history: History) -> None:
        history.worked = [one for one in history.worked if one.path not in paths_gone]

    return _change(change)


def is_unchanged(model: Worked | Aside) -> bool:
    """Whether its file is there and still the same."""
    with contextlib.suppress(OSError):
        return quick_digest(Path(model.path)) == model.digest
    return False


def was_written_anew(entry: Aside) -> bool:
    """Whether its file was written since it was put aside."""
    return _mtime_ns(Path(entry.path)) not in (0, entry.mtime_ns)


def _mtime_ns(path: Path) -> int:
    """0 if there is no such file (any more)."""
    with contextlib.suppress(OSError):
        return path.stat().st_mtime_ns
    return 0


def _file() -> Path:
    return paths.data_dir() / "history.json"


def _change(change: Callable[[History], None]) -> bool:
    """Apply *change* to the file; where it cannot be written, to what is read of it alone."""
    import filelock  # a window that starts only reads

    target = _file()
    try:
        paths.make_private_dir(target.parent)
        with filelock.FileLock(target.with_suffix(".lock"), timeout=_LOCK_TIMEOUT_S, mode=0o600):
            history = load()
            change(history)
            _replace(target, msgspec.json.encode(history))
    except (OSError, filelock.Timeout) as failure:
        _log.warning("%s cannot be written: %s", target, failure)
        change(load())
        return False
    return True


def _replace(target: Path, data: bytes) -> None:
    part = target.with_suffix(f".{os.getpid()}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        part.replace(target)
    except OSError:
        part.unlink(missing_ok=True)
        raise
