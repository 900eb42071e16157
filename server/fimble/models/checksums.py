"""Whether the models on this machine are still what they were when they came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from fimble import catalog, digests, installed
from fimble.errors import ModelNotFound


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What became of reading a whole model."""

    name: str
    path: str
    ok: bool
    sha256: str = ""
    problem: str = ""
    fix: str = ""
    note: str = ""


def check(path: Path) -> None:
    """Refuse the model in *path* if its bytes are not those that were recorded.  See `digests.check`.

    An engine does so by itself before it loads a model (`EngineSettings.model_sha256`).

    Raises ModelCorrupt with the fix.
    """
    digests.check(path, catalog.sha256_of(path))


def names() -> list[str]:
    """Of all models that are on this machine or were."""
    return [catalog.load().bundled.name, *sorted(installed.read())]


def verify(name: str, on_progress: Callable[[float], None]) -> Verified:
    """Read the whole model of that name and compare; what has nothing to be compared with is recorded now.

    Raises ModelNotFound if there is no such model on this machine.
    """
    if name not in names():
        raise ModelNotFound(f"{name} is not on this machine.", "See `fimble models list`.")
    try:
        path = catalog.resolve(name)
        found = digests.sha256(path, on_progress)
    except ModelNotFound as error:
        return Verified(name=name, path="", ok=False, problem=error.message, fix=error.fix)
    except OSError as error:
        problem = f"It cannot be read: {error.strerror}."
        return Verified(name=name, path=str(path), ok=False, problem=problem, fix="Check its permissions.")
    # Also what is wrong: a file that looks as it did is not trusted again.
    digests.remember(path, found)
    expected = catalog.sha256_of(path)
    if expected and found != expected:
        refusal = digests.refusal(path, expected, found)
        return Verified(name=name, path=str(path), ok=False, sha256=found, problem=refusal.message, fix=refusal.fix)
    if not expected:
        installed.add(name, msgspec.structs.replace(installed.read()[name], sha256=found))
    note = "" if expected else "recorded now: nothing was known of it"
    return Verified(name=name, path=str(path), ok=True, sha256=found, note=note)
