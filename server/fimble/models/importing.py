"""Bringing a GGUF of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from fimble import catalog, digests, installed
from fimble.engine.launch import probe
from fimble.engine.wire import Probe
from fimble.errors import ConfigError, ModelNotFound
from fimble.installed import Installed
from fimble.models import licences


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is known now, and what its owner should hear of it."""

    name: str
    path: str
    sha256: str
    probe: Probe
    warnings: list[str]


def bring(path: Path, name: str, on_try: Callable[[], None], on_check: Callable[[float], None]) -> Brought:
    """Make the GGUF in *path* known by *name* (default: the file's), after trying it; it stays where it is.

    Raises the ModelError that describes what is wrong with it, ConfigError if the name is taken.
    """
    path = path.expanduser()
    name = catalog.check_name(name or path.stem.lower())
    other = installed.read().get(name)
    if other and other.origin == "pulled":
        raise ConfigError(f"You pulled a model called {name}.", "Choose another name with --name.")
    on_try()
    found = probe(path)
    path = path.resolve()
    try:
        sha256 = digests.sha256(path, on_check)
    except OSError as error:
        raise ModelNotFound(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    one = Installed(
        path=str(path),
        licence=found.licence,
        size_bytes=path.stat().st_size,
        sha256=sha256,
        family=found.family,
    )
    installed.add(name, one)
    digests.remember(path, sha256)
    return Brought(name=name, path=str(path), sha256=sha256, probe=found, warnings=_warnings(found))


def _warnings(found: Probe) -> list[str]:
    warnings = [licences.warning(found.licence)]
    if found.why_no_roll_back:
        warnings.append(
            f"Its cache cannot be cut ({found.why_no_roll_back}): after an edit it reads much of the prompt anew, and "
            "answers later than others of its size."
        )
    return [warning for warning in warnings if warning]
