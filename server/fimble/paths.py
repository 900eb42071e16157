"""Where Fimble keeps things on this machine.

Everything that holds source code or lets somebody talk to the engine is readable by its owner alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

import platformdirs

from fimble.errors import EngineUnreachable

_APP = "fimble"

# sun_path holds 108 bytes on Linux and 104 on macOS, the final NUL included (unix(7)).
_SOCKET_PATH_MAX = 100


def config_dir() -> Path:
    """The user's ``fimble.toml`` lives here."""
    return Path(platformdirs.user_config_dir(_APP, appauthor=False))


def cache_dir() -> Path:
    """Suggestions remembered between sessions; may be deleted at any time."""
    return Path(platformdirs.user_cache_dir(_APP, appauthor=False))


def state_dir() -> Path:
    """Logs and what was measured about this machine."""
    return Path(platformdirs.user_state_dir(_APP, appauthor=False))


def data_dir() -> Path:
    """Models that the user brought, and what is known of models."""
    return Path(platformdirs.user_data_dir(_APP, appauthor=False))


def runtime_dir() -> Path:
    """The folder of the engines' sockets: private, on a local disk, with a path short enough for a socket.

    Raises EngineUnreachable, with every folder that was tried, if none can be used.
    """
    tried: list[str] = []
    for candidate in _runtime_candidates():
        try:
            make_private_dir(candidate)
        except OSError as error:
            tried.append(f"{candidate} ({error.strerror or error})")
            continue
        return candidate
    raise EngineUnreachable(
        "There is no folder for the engine's socket: " + "; ".join(tried) + ".",
        "Set XDG_RUNTIME_DIR to a folder that only you can write to.",
    )


def _runtime_candidates() -> list[Path]:
    user = os.getuid() if hasattr(os, "getuid") else hashlib.sha256(str(Path.home()).encode()).hexdigest()[:8]
    session = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{user}"
    candidates = [Path(session) / _APP] if Path(session).is_dir() else []
    candidates += [Path(base) / f"{_APP}-{user}" for base in (tempfile.gettempdir(), "/tmp")]  # noqa: S108
    return [
        c for c in dict.fromkeys(candidates) if len(os.fsencode(c)) <= _SOCKET_PATH_MAX - len("/0123456789abcdef.sock")
    ]


def make_private_dir(path: Path) -> None:
    """Make *path* a folder that belongs to this user and that nobody else can enter.

    Raises OSError if it cannot be made, is a link, belongs to somebody else, or cannot be written to.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "nt":
        return
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode):
        raise NotADirectoryError(20, "is not a folder", str(path))
    if info.st_uid != os.getuid():
        raise PermissionError(13, "belongs to another user", str(path))
    if info.st_mode & 0o077:
        path.chmod(0o700)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(13, "cannot be written to", str(path))


def open_log(name: str, max_bytes: int = 1_000_000) -> int | None:
    """Open ``name`` in the log folder for appending, 0600; a log over *max_bytes* starts anew.

    Returns a file descriptor, or None where nothing can be written: a log is never worth a failure.
    """
    with contextlib.suppress(OSError):
        folder = log_dir()
        make_private_dir(folder)
        path = folder / name
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        if path.exists() and path.stat().st_size > max_bytes:
            flags |= os.O_TRUNC
        return os.open(path, flags, 0o600)
    return None


def log_dir() -> Path:
    """The folder of the log files."""
    return state_dir() / "log"
