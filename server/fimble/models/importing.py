"""Bringing a GGUF of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from fimble import catalog, digests
from fimble.engine.launch import probe
from fimble.engine.wire import Probe
from fimble.errors import ModelNotFound
from fimble.models import licences
from fimble.models.downloads.source import parts_of


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
    path = path.expanduser().absolute()
    catalog.check_name(name or path.stem.lower())
    on_try()
    found = probe(path)
    try:
        sha256 = digests.sha256(path, on_check)
    except OSError as error:
        raise ModelNotFound(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    name = catalog.add_import(path, name, sha256, found.licence, found.family)
    digests.remember(path, sha256)
    return Brought(name=name, path=str(path), sha256=sha256, probe=found, warnings=_warnings(path, found))


def _warnings(path: Path, found: Probe) -> list[str]:
    warnings = [licences.warning(found.licence)]
    if count := parts_of(path.name):
        warnings.append(f"It is one of {count} parts, and only this one is compared with what it was.")
    if found.why_no_roll_back:
        warnings.append(
            f"Its cache cannot be cut ({found.why_no_roll_back}): after an edit it reads much of the prompt anew, and "
            "answers later than others of its size."
        )
    return [warning for warning in warnings if warning]
