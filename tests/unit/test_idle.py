"""The pause: what starts it, what ends it."""

from __future__ import annotations

import asyncio

from fimble.lsp import idle
from fimble.lsp.idle import Idle


class Work:
    """Notes where it was started and whether it was ended before it was done."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int]] = []
        self.ended = 0

    async def __call__(self, uri: str, offset: int) -> None:
        self.started.append((uri, offset))
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.ended += 1
            raise


async def test_work_starts_after_a_moment_at_the_last_place() -> None:
    """Only the last of several quick events counts."""
    work = Work()
    pause = Idle(work)
    for offset in range(5):
        pause.expect("a", offset)
    assert work.started == []
    await asyncio.sleep(idle.IDLE_S * 3)
    assert work.started == [("a", 4)]
    pause.end()


async def test_the_next_event_ends_the_work() -> None:
    """Work that is under way when the user goes on is cancelled."""
    work = Work()
    pause = Idle(work)
    pause.expect("a", 1)
    await asyncio.sleep(idle.IDLE_S * 3)
    pause.expect("a", 2)
    await asyncio.sleep(0)
    assert work.ended == 1
    pause.end()


async def test_an_ended_pause_starts_nothing() -> None:
    """A question that arrives in the pause is served first; ending twice is harmless."""
    work = Work()
    pause = Idle(work)
    pause.expect("a", 1)
    pause.end()
    pause.end()
    await asyncio.sleep(idle.IDLE_S * 3)
    assert work.started == []
