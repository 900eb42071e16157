"""One request on its way through the engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from fimble.engine.wire import Chunk, CompletionRequest, InfillRequest

if TYPE_CHECKING:
    from fimble.engine.run import Run


class Priority(IntEnum):
    """Who comes first.  A lower class waits while anybody of a higher one is served."""

    INTERACTIVE = 0
    SPECULATIVE = 1
    WARMING = 2


@dataclass(eq=False, slots=True)
class Job:
    """A request, and where its answer goes.

    *emit* is called with the pieces of the answer, from any thread; the last chunk has ``stop`` set, and an
    exception is an end, too.  The scheduler's lock guards ``ended_by``.
    """

    request: InfillRequest | CompletionRequest
    emit: Callable[[Chunk | Exception], None]
    arrived: float = field(default_factory=time.monotonic)
    ended_by: str = ""
    """Why the job must end early (``cancelled`` or ``deadline``), empty while it may go on."""
    is_done: bool = False
    """Whether the end of its answer was emitted."""
    run: Run | None = None
    """How far it is, once it was begun."""
    is_preparation: bool = False
    """Whether only its prompt is wanted in the cache: warming, with the prompt of a request that writes."""
    priority: Priority = field(init=False)

    def __post_init__(self) -> None:
        warming = self.request.n_predict == 0 or self.is_preparation
        self.priority = Priority.WARMING if warming else Priority[self.request.priority.upper()]

    @property
    def window(self) -> str:
        """Whose it is: the sessions of a window's documents begin with the same name."""
        return window_of(self.request.session)

    def replaces(self, older: Job) -> bool:
        """Whether *older* is of no use any more: newest wins within a session.

        An interactive request ends everything of its session; a speculative or warming one only its own kind.
        """
        same = bool(self.request.session) and self.request.session == older.request.session
        return same and self.priority in (Priority.INTERACTIVE, older.priority)

    def finish(self, end: Chunk | Exception) -> None:
        """Emit the end of the answer."""
        self.is_done = True
        self.emit(end)


def window_of(session: str) -> str:
    """Which window a session belongs to."""
    return session.partition(":")[0]
