"""The memory of this machine that a model may take."""

from __future__ import annotations

import msgspec
import psutil

from fimble import memory
from fimble.engine.slices import Gpu

#: What is left to the editor, its other servers and the browser: so much, or this share of a small machine.
_RESERVE_BYTES, _RESERVE_SHARE = 1 << 30, 0.1


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """In bytes.  *limit* says in words what *available_bytes* ends at: the machine, a cgroup, a ulimit."""

    total_bytes: int
    available_bytes: int
    limit: str = ""
    gpus: list[Gpu] = []

    @property
    def for_model_bytes(self) -> int:
        """What an engine may take of RAM, so that others keep some."""
        return max(self.available_bytes - int(min(_RESERVE_BYTES, _RESERVE_SHARE * self.total_bytes)), 0)

    @property
    def for_model_gpu_bytes(self) -> int:
        """What an engine may take of the GPUs' memory; 0 without one."""
        return sum(gpu.free_bytes for gpu in self.gpus)


def look(gpus: list[Gpu]) -> Memory:
    """The memory of now."""
    found = memory.available()
    total = psutil.virtual_memory().total
    return Memory(total_bytes=total, available_bytes=found.n_bytes, limit=found.limit, gpus=gpus)
