"""Pieces that come fast leave together, none is lost or turned round, and no end waits."""

from __future__ import annotations

import asyncio
import threading

import pytest

from fimble.engine import outbox
from fimble.engine.outbox import Outbox
from fimble.engine.wire import Chunk
from fimble.errors import EngineError


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what must leave at once does."""
    monkeypatch.setattr(outbox, "_TOGETHER_S", 3600.0)


async def taken(box: Outbox) -> list[Chunk]:
    return [chunk async for chunk in box]


async def test_fast_pieces_leave_together_with_their_probabilities() -> None:
    box = Outbox(asyncio.get_running_loop())
    box._sent_at = float("inf")  # the first piece has left
    for text in ("ret", "urn ", "x"):
        box.put(Chunk(content=text, completion_probabilities=[{"token": text}]))
    box.put(Chunk(stop=True, stop_type="eos"))
    first, last = await taken(box)
    assert first.content == "return x"
    assert [entry["token"] for entry in first.completion_probabilities or ()] == ["ret", "urn ", "x"]
    assert (last.content, last.stop_type) == ("", "eos")


async def test_the_first_piece_and_the_end_of_a_line_leave_at_once() -> None:
    box = Outbox(asyncio.get_running_loop())
    chunks = aiter(box)
    box.put(Chunk(content="a"))
    assert (await anext(chunks)).content == "a"
    for text in ("b", "c\n"):
        box.put(Chunk(content=text))
    assert (await anext(chunks)).content == "bc\n"


async def test_what_has_no_text_waits_for_the_first_that_has() -> None:
    """What healing writes anew is no text yet; sent by itself, it would hold back the first piece that is."""
    box = Outbox(asyncio.get_running_loop())
    chunks = aiter(box)
    box.put(Chunk(completion_probabilities=[{"token": "re"}]))
    box.put(Chunk(content="turn", completion_probabilities=[{"token": "turn"}]))
    first = await anext(chunks)
    assert first.content == "turn"
    assert [entry["token"] for entry in first.completion_probabilities or ()] == ["re", "turn"]


async def test_a_failure_comes_after_what_was_written() -> None:
    box = Outbox(asyncio.get_running_loop())
    box._sent_at = float("inf")
    box.put(Chunk(content="so far"))
    box.put(EngineError("The disk is on fire."))
    chunks = aiter(box)
    assert (await anext(chunks)).content == "so far"
    with pytest.raises(EngineError, match="on fire"):
        await anext(chunks)


async def test_nothing_is_lost_between_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_TOGETHER_S", 1e-5)
    box = Outbox(asyncio.get_running_loop())

    def write() -> None:
        for number in range(5000):
            box.put(Chunk(content=f"{number} "))
        box.put(Chunk(stop=True))

    writer = threading.Thread(target=write)
    writer.start()
    chunks = await taken(box)
    writer.join()
    assert "".join(chunk.content for chunk in chunks).split() == [str(number) for number in range(5000)]


def test_a_loop_that_is_closed_takes_nothing() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    Outbox(loop).put(Chunk(stop=True))
