"""LoRA adapters: which there are, and which one a workspace uses.

What a workspace uses is kept in the user's own data folder, by the repository's path: a project's files may not choose
what a model computes with.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import msgspec

from fimble import paths
from fimble.digests import quick_digest
from fimble.engine.children import try_adapter
from fimble.engine.wire import Adapter
from fimble.errors import AdapterUnusable, ConfigError
from fimble.index.launch import repository_of

#: What `fimble adapters use` takes for the bare model.
NONE = "none"

_LOCK_PATIENCE_S = 10.0


class Known(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An adapter that was added, after it was tried."""

    name: str
    path: str
    digest: str
    """Of the file as it was then: another one is not used, for it was not tried."""
    model_digest: str = ""
    """Of the only model that it is for; empty: whichever it fits."""
    scale: float = 1.0
    note: str = ""
    """What a person should know: where it comes from, what it was measured to do."""


class _Book(msgspec.Struct, kw_only=True):
    """The file ``adapters.json``."""

    adapters: list[Known] = []
    chosen: dict[str, str] = {}
    """Repository to the adapter's name."""


def folder() -> Path:
    """Where adapters that were trained here are kept."""
    return paths.data_dir() / "adapters"


def workspace_of(place: Path) -> str:
    """What choices are kept by: the repository around *place*."""
    return str(repository_of(place))


def listing() -> list[Known]:
    """Every adapter, by name."""
    return sorted(_read().adapters, key=lambda one: one.name)


def chosen(place: Path) -> str:
    """The name of the adapter that the workspace around *place* uses; empty if none."""
    return _read().chosen.get(workspace_of(place), "")


def for_engine(place: Path | None, model_path: Path) -> Adapter | None:
    """What the engine of a window on *place* computes with; None for the bare model.

    An adapter that is for another model waits until that is chosen again.  Raises AdapterUnusable if its file is gone
    or is another one than was tried.
    """
    book = _read()
    if place is None or not (name := book.chosen.get(workspace_of(place), "")):
        return None
    one = next((one for one in book.adapters if one.name == name), None)
    if one is None:
        return None
    fix = f"Add it again with `fimble adapters add`, or run `fimble adapters use {NONE}` in {workspace_of(place)}."
    try:
        digest = quick_digest(Path(one.path))
        is_for_it = one.model_digest in ("", quick_digest(model_path))
    except OSError as error:
        raise AdapterUnusable(f"The adapter {name} cannot be read: {error.strerror}.", fix) from None
    if digest != one.digest:
        raise AdapterUnusable(f"The file of the adapter {name} has changed since it was tried.", fix)
    return Adapter(path=one.path, digest=digest, scale=one.scale) if is_for_it else None


def for_window(place: Path | None, model_path: Path, tell: Callable[[str], None]) -> Adapter | None:
    """As `for_engine`, but what is wrong is told, and the bare model taken."""
    try:
        return for_engine(place, model_path)
    except AdapterUnusable as failure:
        tell(f"{failure}  Until then the model works without it.")
        return None


def add(path: Path, model_path: Path, name: str = "", scale: float = 1.0) -> Known:
    """Make an adapter known, after trying it on *model_path*; its file stays where it is.

    Raises AdapterUnusable if it does not fit, ConfigError if the name is taken or nothing can be written.
    """
    name = name or path.stem.lower()
    if name == NONE or not name.strip():
        raise ConfigError(f"An adapter cannot be called {name!r}.", "Choose another name with --name.")
    path = path.expanduser().resolve()
    try_adapter(model_path, path)
    try:
        one = Known(name=name, path=str(path), digest=quick_digest(path), scale=scale)
    except OSError as error:
        raise AdapterUnusable(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    with _changing() as book:
        if any(other.name == name and other.path != one.path for other in book.adapters):
            raise ConfigError(f"There is an adapter called {name}.", "Choose another name with --name.")
        _put(book, one)
    return one


def keep(one: Known, place: Path) -> None:
    """Remember an adapter that was made here, and let the workspace around *place* use it.  Raises ConfigError."""
    with _changing() as book:
        _put(book, one)
        book.chosen[workspace_of(place)] = one.name


def use(name: str, place: Path) -> None:
    """Let the workspace around *place* use the adapter *name*, or ``none``.  Raises ConfigError."""
    with _changing() as book:
        if name == NONE:
            book.chosen.pop(workspace_of(place), None)
        else:
            _find(book, name)
            book.chosen[workspace_of(place)] = name


def remove(name: str) -> Known:
    """Forget the adapter, everywhere; its file goes only if it was made here.  Raises ConfigError."""
    with _changing() as book:
        one = _find(book, name)
        book.adapters.remove(one)
        book.chosen = {place: used for place, used in book.chosen.items() if used != name}
    if Path(one.path).parent == folder():
        with contextlib.suppress(OSError):
            Path(one.path).unlink()
    return one


def _put(book: _Book, one: Known) -> None:
    book.adapters = [*(other for other in book.adapters if other.name != one.name), one]


def _find(book: _Book, name: str) -> Known:
    for one in book.adapters:
        if one.name == name:
            return one
    raise ConfigError(f"There is no adapter called {name}.", "See `fimble adapters list`.")


def _file() -> Path:
    return paths.data_dir() / "adapters.json"


def _read() -> _Book:
    with contextlib.suppress(OSError, ValueError, msgspec.DecodeError):
        return msgspec.json.decode(_file().read_bytes(), type=_Book)
    return _Book()


@contextlib.contextmanager
def _changing() -> Iterator[_Book]:
    """The book, written back in one step when nothing went wrong; one process at a time."""
    target = _file()
    try:
        paths.make_private_dir(target.parent)
        with filelock.FileLock(target.with_suffix(".lock"), timeout=_LOCK_PATIENCE_S):
            book = _read()
            yield book
            part = target.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.encode(book))
            part.replace(target)
    except filelock.Timeout:
        raise ConfigError(f"{target} is being changed by another process.", "Try again.") from None
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}.", "Check its permissions.") from None
