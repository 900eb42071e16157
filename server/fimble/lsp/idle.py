"""What a window does while its user pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

#: A pause.  Short: there is seldom something to prepare, and it gives way to the next key anyway.
IDLE_S = 0.02

#: A cursor that only moves is often on its way elsewhere.
CURSOR_IDLE_S = 0.15


class Idle:
    """Starts *work* at the place where something happened last, when nothing else has happened for a moment.

    The next event ends work that has not finished.  Belongs to one event loop.
    """

    def __init__(self, work: Callable[[str, int], Awaitable[None]]) -> None:
        self._work = work
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Future[None] | None = None

    def expect(self, uri: str, offset: int, after_s: float = IDLE_S) -> None:
        """Something happened at *offset* of a document; the user may pause now."""
        self.end()
        self._timer = asyncio.get_running_loop().call_later(after_s, self._start, uri, offset)

    def end(self) -> None:
        """The pause is over."""
        if self._timer:
            self._timer.cancel()
        if self._task:
            self._task.cancel()
        self._timer = self._task = None

    def _start(self, uri: str, offset: int) -> None:
        self._task = asyncio.ensure_future(self._work(uri, offset))
