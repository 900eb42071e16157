"""Getting a model from the hub: found, agreed to, fetched, checked, and only then known by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from fimble import catalog, digests, installed, paths
from fimble.engine import launch
from fimble.errors import ConfigError, ModelCorrupt
from fimble.installed import Installed
from fimble.models.downloads import hub
from fimble.models.downloads.source import Source, find


class Watcher(Protocol):
    """Whoever waits for the model."""

    def begins(self, source: Source, licence: str, size_bytes: int, missing_bytes: int) -> None:
        """It was found.  Raises a FimbleError if that is not agreed to."""

    def fetched(self, done_bytes: int, size_bytes: int) -> None:
        """So much is there."""

    def checked(self, share: float) -> None:
        """So much is checked, from 0 to 1."""

    def waits(self) -> None:
        """Another process is fetching the same file."""


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is here now."""

    name: str
    path: str
    size_bytes: int
    fetched_bytes: int
    """0: it was here before."""
    licence: str
    repository: str
    revision: str
    sha256: str
    sha256_said_by: str
    """Who said what it must hash to: ``catalog``, ``hub``, ``record`` (it was here), or ``nobody``."""


def pull(text: str, watcher: Watcher, name: str = "") -> Pulled:
    """Have the model that *text* means on this machine (`source.find`), under *name* if it is not the catalog's.

    Raises DownloadError, ModelNotFound or ConfigError with what to do.  Whatever happens, no name leads to a file
    that is not whole or not right.
    """
    source = find(text)
    name = _name_for(source, name)
    here = installed.read().get(name)
    if here and _is_here(here, source):
        return _told(name, here, 0, "record")
    remote = hub.look_up(source)
    licence = source.licence or hub.licence_of(source)
    missing_bytes = remote.missing_bytes
    watcher.begins(source, licence, remote.size_bytes, missing_bytes)
    hub.require_room(remote)
    path, sha256 = hub.fetch(remote, watcher.fetched, watcher.checked, watcher.waits)
    digests.remember(path, sha256)
    one = Installed(
        path=str(path),
        origin="pulled",
        repository=source.repository,
        revision=remote.commit,
        file=source.file,
        licence=licence,
        size_bytes=remote.size_bytes,
        sha256=sha256,
    )
    installed.add(name, one)
    if here and here.path != one.path:
        hub.delete(Path(here.path))
    return _told(name, one, missing_bytes, "catalog" if source.sha256 else "hub" if remote.sha256 else "nobody")


def _name_for(source: Source, wanted: str) -> str:
    known = installed.read()
    if source.name:
        if source.name in known and known[source.name].origin != "pulled":
            fix = f"Take it away first: `fimble models rm {source.name}`."
            raise ConfigError(f"You have another model called {source.name}.", fix)
        return source.name
    pulled = {name: one for name, one in known.items() if one.origin == "pulled"}
    same = [name for name, one in pulled.items() if (one.repository, one.file) == (source.repository, source.file)]
    name = catalog.check_name(wanted or (same[0] if same else Path(source.file).stem.lower()))
    if name in known and name not in same:
        raise ConfigError(f"You have another model called {name}.", "Choose another name with --name.")
    return name


def _is_here(here: Installed, source: Source) -> bool:
    """Whether nothing has to be fetched.  A file whose bytes have changed is taken away: it will come anew."""
    path = Path(here.path)
    if not path.is_file() or (source.revision and source.revision != here.revision):
        return False
    try:
        digests.check(path, here.sha256)
    except ModelCorrupt:
        hub.delete(path)
        _end_engines(path)
        return False
    return True


def _end_engines(path: Path) -> None:
    """Engines that have the old bytes, or refused them, end; windows start new ones when they need them."""
    for found in launch.running_engines(paths.runtime_dir()):
        if found.model_path == str(path):
            launch.stop(found)


def remove(name: str) -> int:
    """Forget a model by its name, and take it out of the hub's cache if it was pulled and has no other name.

    Returns how many bytes that freed.  Raises DownloadError or ConfigError if it cannot be done.
    """
    models = installed.read()
    one = models[name]
    freed_bytes = 0
    others = [other for key, other in models.items() if key != name and other.path == one.path]
    if one.origin == "pulled" and not others:
        freed_bytes = hub.delete(Path(one.path))
    installed.forget(name)
    return freed_bytes


def _told(name: str, one: Installed, fetched_bytes: int, said_by: str) -> Pulled:
    return Pulled(
        name=name,
        path=one.path,
        size_bytes=one.size_bytes,
        fetched_bytes=fetched_bytes,
        licence=one.licence,
        repository=one.repository,
        revision=one.revision,
        sha256=one.sha256,
        sha256_said_by=said_by,
    )
