"""Whether a model has room on this machine, in one sentence: `models list` and `models pull` say the same."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import psutil

from fimble.models.fitting import Fit, fit
from fimble.settings import Config

#: Beside the weights: the cache of a few prompts, what is computed in, and Python.  A round number, not a measurement.
_BESIDE_GB = 0.5


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a model fits, and the sentence that says why."""

    fits: bool
    why: str


def rooms(config: Config) -> Callable[[str, float], Room]:
    """Tells of a model's name and its size in MB whether it fits.

    Of the catalog's models that is what `fimble models fit` says, with the time of a key where it was measured; of
    others it is told by their size.  Nothing is measured for it.
    """
    known = {one.name: one for one in fit(config, measure=False).fits}

    def room(name: str, size_mb: float) -> Room:
        found = known.get(name)
        return _predicted(found) if found else room_for(size_mb)

    return room


def _predicted(found: Fit) -> Room:
    if not found.fits:
        return Room(fits=False, why=found.why)
    key = f", a key in {found.cost.keystroke_ms:,.0f} ms" if found.cost else ""
    return Room(fits=True, why=f"takes {found.memory_bytes / 1e9:.1f} GB{key}")


def room_for(size_mb: float, total_bytes: int = 0) -> Room:
    """Compare what a model of *size_mb* needs with *total_bytes* of memory (0: this machine's).

    Only the weights are known; half of the memory is left to everything else.
    """
    total_gb = (total_bytes or psutil.virtual_memory().total) / 1e9
    needed_gb = size_mb / 1000 + _BESIDE_GB
    fits = needed_gb <= total_gb / 2
    return Room(fits=fits, why=f"takes about {needed_gb:.1f} GB; this machine has {total_gb:.1f}")
