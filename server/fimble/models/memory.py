"""Whether a model has room in this machine's memory.  How fast it is there is another question."""

from __future__ import annotations

import msgspec
import psutil

#: A machine with 8 GB tells of 7.6: the rest is the firmware's.
_SOLD_AS = 0.93

#: Beside the weights: the cache of a few prompts, what is computed in, and Python.  A round number, not a measurement.
_BESIDE_GB = 0.5


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a model fits, and the sentence that says why."""

    fits: bool
    why: str


def room_for(size_mb: float, memory_gb: float = 0.0, total_bytes: int = 0) -> Room:
    """Compare what a model of *size_mb* needs with *total_bytes* of memory (0: this machine's).

    The catalog says for which class of machine a model is (*memory_gb*); of others only the weights are known, and half
    of the memory is left to everything else.
    """
    total_gb = (total_bytes or psutil.virtual_memory().total) / 1e9
    if memory_gb:
        fits = total_gb >= memory_gb * _SOLD_AS
        return Room(fits=fits, why=f"is for {memory_gb:g} GB; this machine has {total_gb:.1f}")
    needed_gb = size_mb / 1000 + _BESIDE_GB
    fits = needed_gb <= total_gb / 2
    return Room(fits=fits, why=f"takes about {needed_gb:.1f} GB; this machine has {total_gb:.1f}")
