"""The models on this machine that did not ship with Fimble: pulled from the hub, or brought by the user."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import filelock
import msgspec

from fimble import paths
from fimble.errors import ConfigError

_LOCK_TIMEOUT_S = 10.0


class Installed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model, as it was when it came."""

    path: str
    origin: Literal["pulled", "imported"] = "imported"
    repository: str = ""
    """On the hub, with the commit and the file's name there; empty for what was brought."""
    revision: str = ""
    file: str = ""
    licence: str = ""
    size_bytes: int = 0
    sha256: str = ""
    """What the whole file hashed to, in hex; empty for imports of versions that did not record it."""
    family: str = ""
    """Whose prompt it was trained on."""


def read() -> dict[str, Installed]:
    """Every model by its name; none where the list is missing or broken."""
    found = {}
    with contextlib.suppress(OSError, ValueError, msgspec.DecodeError):
        for name, one in msgspec.json.decode(_file().read_bytes(), type=dict[str, str | Installed]).items():
            # The first version kept the path alone.
            found[name] = Installed(path=one) if isinstance(one, str) else one
    return found


def by_path(path: Path) -> tuple[str, Installed] | None:
    """The name and record of the model in *path*."""
    return next(((name, one) for name, one in read().items() if one.path == str(path)), None)


def add(name: str, model: Installed) -> None:
    """Remember *model* by *name*, in place of what had that name.  Raises ConfigError if that cannot be written."""
    _change(lambda models: models.__setitem__(name, model))


def forget(name: str) -> None:
    """Forget the model of that name; its file stays.  Raises ConfigError if that cannot be written."""
    _change(lambda models: models.pop(name, None))


def _file() -> Path:
    return paths.data_dir() / "models.json"


def _change(change: Callable[[dict[str, Installed]], object]) -> None:
    target = _file()
    try:
        paths.make_private_dir(target.parent)
        # A download that ends while another one does must not be lost.
        with filelock.FileLock(target.with_suffix(".lock"), timeout=_LOCK_TIMEOUT_S):
            models = read()
            change(models)
            part = target.with_suffix(f".{os.getpid()}")
            part.write_bytes(msgspec.json.format(msgspec.json.encode(models)))
            part.replace(target)
    except filelock.Timeout:
        raise ConfigError(f"{target} is being written by another Fimble.", "Try again.") from None
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}.", "Check its permissions.") from None
