"""Finding the index of a repository, and starting one where there is none."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import filelock
import msgspec

from fimble import background, paths
from fimble.errors import NoProject, WorkspaceError
from fimble.index import endpoint
from fimble.index.wire import IndexSettings, Stop
from fimble.settings import Config

#: An index that nobody asked anything for this long ends; starting again takes it a second.
IDLE_MINUTES = 15.0


def repository_of(folder: Path) -> Path:
    """The repository that *folder* belongs to: the nearest folder around it with a ``.git``, else itself."""
    folder = folder.resolve()
    for candidate in (folder, *folder.parents):
        if candidate == Path.home():
            break
        if (candidate / ".git").exists():
            return candidate
    return folder


def settings_for(folder: Path, config: Config) -> IndexSettings:
    """What the index of the repository around *folder* is told.

    Raises NoProject for a home folder or a whole disk, WorkspaceError if the index is switched off.
    """
    if not config.index.enabled:
        raise WorkspaceError("The index is switched off (index.enabled).")
    root = repository_of(folder)
    if root in (Path.home(), *Path.home().parents):
        raise NoProject(f"{root} is no project, so its files are not read.", "Open the project's own folder.")
    try:
        str(root).encode("utf-8")
    except UnicodeEncodeError:
        raise WorkspaceError(f"The path {str(root)!r} is not UTF-8.", "Rename the folder.") from None
    return IndexSettings(
        root=str(root),
        max_files=config.index.max_files,
        max_file_kb=config.index.max_file_kb,
        idle_minutes=IDLE_MINUTES,
        exclude=tuple(_excluded(config.privacy.exclude, folder.resolve().relative_to(root).as_posix())),
        languages_off=config.privacy.languages_off,
    )


def _excluded(patterns: Iterable[str], folder: str) -> Iterator[str]:
    """Patterns for the repository that keep out what *patterns* keep out of *folder* in it.

    One with a slash before its end speaks of the folder that it was written for (gitignore(5)).
    """
    for pattern in patterns:
        yield pattern
        if folder != "." and "/" in pattern.strip().rstrip("/"):
            sign = "!" if pattern.startswith("!") else ""
            yield f"{sign}/{folder}/{pattern.removeprefix('!').lstrip('/')}"


class IndexLauncher:
    """Finds or starts the index for one set of settings.

    Raises EngineUnreachable if there is no folder for sockets.
    """

    def __init__(self, settings: IndexSettings) -> None:
        self.settings = settings
        self.key = endpoint.settings_key(settings)
        self.folder = paths.runtime_dir()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where the index listens if there is one."""
        return endpoint.socket_path(self.folder, self.key)

    def command(self) -> Sequence[str]:
        """The index's command line."""
        settings = msgspec.json.encode(self.settings).decode()
        return (sys.executable, "-m", "fimble.index.server", settings, str(self.folder))

    def spawn(self) -> None:
        """Start an index that outlives this process.  It ends at once if another one is there already."""
        self._child = background.start(self.command(), f"index-{self.key}.log", self.folder)

    def exit_status(self) -> int | None:
        """How the index that was started from here ended; None while it runs or if there was none."""
        return self._child.poll() if self._child else None

    @property
    def is_starting(self) -> bool:
        """Whether an index that was started from here is alive."""
        return self._child is not None and self._child.poll() is None


def stop(path: Path, timeout_s: float = 10.0) -> bool:
    """End the index that listens at *path*; True if it is gone.  Blocks: for the command line and tests."""
    key = path.stem.removeprefix("index-")
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(2.0)
        asking.connect(str(path))
        asking.sendall(msgspec.json.encode(Stop()) + b"\n")
        while asking.recv(4096):
            pass
    path.unlink(missing_ok=True)  # one that does not answer ends when it finds that nobody can reach it
    # An index holds its lock to its end, however that comes.
    with (
        contextlib.suppress(filelock.Timeout),
        filelock.FileLock(endpoint.lock_path(path.parent, key), timeout=timeout_s),
    ):
        return True
    return False
