"""Sequences put aside: what the cache had no room for, in ordinary memory, to be taken back instead of evaluated.

A copy takes milliseconds where an evaluation takes seconds (0.5 B: 900 tokens are 11 MB and 2 ms).  Never on disk:
it is somebody's source code, and a disk can be full.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from fimble.engine.llama import State


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A sequence's tokens, and its part of the cache as bytes."""

    tokens: list[int]
    state: State


class Shelf:
    """Stored sequences, the least lately used ones forgotten beyond *max_bytes*.  For all lanes, and any thread."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._stored: list[Stored] = []

    def __iter__(self) -> Iterator[Stored]:
        return iter(list(self._stored))

    @property
    def size_bytes(self) -> int:
        """How much memory is taken."""
        return sum(stored.state.nbytes for stored in self._stored)

    def put(self, stored: Stored) -> None:
        """Keep *stored*, as the last one to be forgotten, unless it alone is too large."""
        with self._lock:
            if stored.state.nbytes <= self.max_bytes:
                self._stored.append(stored)
            while self.size_bytes > self.max_bytes:
                del self._stored[0]

    def remove(self, stored: Stored) -> None:
        """Forget *stored*, if it is still here."""
        with self._lock:
            if stored in self._stored:
                self._stored.remove(stored)

    def touch(self, stored: Stored) -> None:
        """*stored* was of use: if it is still here, it is the last one to be forgotten now."""
        with self._lock:
            if stored in self._stored:
                self._stored.remove(stored)
                self._stored.append(stored)
