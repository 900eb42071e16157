"""A lane: one context of llama.cpp, what writes with it, and the thread that both belong to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from fimble.engine.generator import Generator
from fimble.engine.job import Job, window_of
from fimble.engine.llama import Context
from fimble.engine.tuner import Share
from fimble.engine.wire import Counters


class Lane:
    """The place where some windows' jobs are served.  *serve* is called with it on a thread of its own.

    The scheduler's lock guards ``active``, ``decoding`` and ``leaving``; everything else belongs to the thread.
    """

    def __init__(self, number: int, serve: Callable[[Lane], None]) -> None:
        self.number = number
        self.counters = Counters()
        self.context: Context | None = None
        self.generator: Generator | None = None
        self.active: list[Job] = []
        """Who is served."""
        self.decoding: Sequence[Job] = ()
        """Whose tokens are in the decode under way."""
        self.leaving: dict[str, Lane] = {}
        """Windows that go to another lane, as soon as what the cache holds for them is handed over."""
        self.thread = threading.Thread(target=serve, args=(self,), name=f"inference {number}", daemon=True)
        self._share: Share | None = None

    @property
    def n_seq(self) -> int:
        """How many jobs can be served at a time."""
        return len(self.generator.sequences) if self.generator else 0

    def stop_decode(self) -> None:
        """End the decode under way: nobody in it is waiting for it any more, or somebody more urgent came."""
        if self.context:
            self.context.abort()

    def compute_with(self, share: Share) -> None:
        """Use these threads from the next decode on."""
        if self.context and self.generator and share != self._share:
            self._share = share
            self.context.set_threads(
                share.threads, share.threads_batch, apart=share.apart, first=share.first, beside=share.beside
            )
            self.generator.costs.divide(share.lanes)

    def hand_over(self, window: str) -> None:
        """Give the lane that *window* goes to what was evaluated for it, so that it is not evaluated again."""
        target = self.leaving[window]
        assert self.generator is not None
        assert target.generator is not None
        for stored in self.generator.sequences.give(lambda session: window_of(session) == window):
            target.generator.sequences.receive(stored)
