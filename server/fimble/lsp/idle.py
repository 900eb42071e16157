"""What a window does while its user pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fimble.core import Ask, Document, Suggestion
from fimble.suggest.following import typed_of
from fimble.suggest.place import unix_lines

#: A pause.  Short: there is seldom something to prepare, and it gives way to the next key anyway.
IDLE_S = 0.02

#: A cursor that only moves is often on its way elsewhere.
CURSOR_IDLE_S = 0.15

#: A suggestion that is still on the screen after this long may be read; most are typed over sooner.
AHEAD_IDLE_S = 0.1

#: How many acceptances in a row find their next suggestion ready.
AHEAD_STEPS = 3


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


class Ahead:
    """While a suggestion is on the screen, finds what follows its acceptance, and what follows that.

    *prefetch* takes a question and its answer, and returns the next ones or None.  Belongs to one event loop.
    """

    def __init__(self, prefetch: Callable[[Ask, Suggestion], Awaitable[tuple[Ask, Suggestion] | None]]) -> None:
        self._prefetch = prefetch
        self._steps: list[tuple[Ask, Suggestion]] = []
        self._task: asyncio.Task[None] | None = None

    def shown(self, ask: Ask, suggestion: Suggestion) -> None:
        """*suggestion* is on the screen.  If it is (the rest of) one that was expected, the work goes on from there."""
        for number, (expected, found) in enumerate(self._steps):
            typed = unix_lines(ask.document.text.source[expected.offset : ask.offset])
            if found.text == typed + suggestion.text and typed_of(found, expected, ask.document) is not None:
                del self._steps[:number]
                break
        else:
            self.end()
            self._steps = [(ask, suggestion)]
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    def edited(self, document: Document) -> None:
        """A document was changed.  The work goes on if what was typed agrees with what is expected."""
        if all(typed_of(suggestion, ask, document) is None for ask, suggestion in self._steps):
            self.end()

    def end(self) -> None:
        """What was expected will not be."""
        if self._task:
            self._task.cancel()
        self._task, self._steps = None, []

    async def _work(self) -> None:
        await asyncio.sleep(AHEAD_IDLE_S)
        while 0 < len(self._steps) <= AHEAD_STEPS:
            following = await self._prefetch(*self._steps[-1])
            if following is None:
                return
            self._steps.append(following)
