"""A file of the user's: read as it is, replaced at once or not at all, with a backup beside it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from datetime import datetime
from pathlib import Path

from fimble.errors import ConfigError

#: What a file is made with that was not there: the user's umask decides as for any other.
_NEW_FILE_MODE = 0o666


def real(path: Path) -> Path:
    """The file that *path* leads to: dotfiles are often links into a repository."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"{path} is a link that leads nowhere: {error}.", "Mend or remove it.") from error


def read(path: Path) -> str | None:
    """The text of a file, its line ends as they are; None if there is no file.  Raises ConfigError."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8, so it was left alone.", "Add the lines of `--print` yourself."
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", "Make it readable for you.") from error


def digest(text: str) -> str:
    """What tells whether a file is still as it was written."""
    return hashlib.sha256(text.encode()).hexdigest()


def make_folders(folder: Path) -> list[Path]:
    """Make *folder* and what it lies in; return those that were made, the innermost last.  Raises ConfigError."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return missing[::-1]


def back_up(path: Path, text: str, now: datetime) -> Path:
    """Keep *text* beside the file, as ``NAME.fimble-backup-DATE``, readable by those who may read the file."""
    backup = path.with_name(f"{path.name}.fimble-backup-{now:%Y%m%d-%H%M%S-%f}")
    write(backup, text, path.stat().st_mode & 0o777)
    return backup


def write(path: Path, text: str, mode: int | None = None) -> None:
    """Replace a file as a whole: whoever reads it meanwhile sees the old or the new one.  Raises ConfigError."""
    if path.exists() and not os.access(path, os.W_OK):
        raise ConfigError(f"{path} is read-only, so it was left alone.", f"`chmod u+w {path}`, or use `--print`.")
    partial = None
    try:
        mode = _mode_for(path) if mode is None else mode
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        partial = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(mode)
        partial.replace(path)
    except OSError as error:
        if partial:
            with contextlib.suppress(OSError):
                partial.unlink()
        raise _unwritable(path, error) from error


def _mode_for(path: Path) -> int:
    if path.exists():
        return path.stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return _NEW_FILE_MODE & ~umask


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be written: {error.strerror}.", "Make its folder writable, or use `--print`.")
