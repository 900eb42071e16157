"""The pause: what starts it, what ends it, and what is found meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from fimble.core import Ask, Document, Source, Suggestion
from fimble.lsp import idle
from fimble.lsp.idle import Ahead, Idle
from fimble.suggest.following import after_accept
from fimble.text import Text


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


def ask(text: str, offset: int | None = None) -> Ask:
    return Ask(Document("file:///a.py", "a.py", "python", 1, Text(text)), len(text) if offset is None else offset)


class Following:
    """After ``a`` comes ``b``, then ``c``, and so on; notes what was asked for, and can be made to wait."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.ended = 0
        self.may_go = asyncio.Event()
        self.may_go.set()

    async def __call__(self, asked: Ask, suggestion: Suggestion) -> tuple[Ask, Suggestion] | None:
        self.asked.append(suggestion.text)
        try:
            await self.may_go.wait()
        except asyncio.CancelledError:
            self.ended += 1
            raise
        after = after_accept(asked, suggestion.text)
        return after, Suggestion(chr(ord(suggestion.text[0]) + 1) * len(suggestion.text), Source.MODEL)


@pytest.fixture
def following(monkeypatch: pytest.MonkeyPatch) -> Following:
    monkeypatch.setattr(idle, "AHEAD_IDLE_S", 0.0)
    return Following()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def suggested(text: str) -> Suggestion:
    return Suggestion(text, Source.MODEL)


async def test_three_steps_are_found_ahead(following: Following) -> None:
    """What follows one, two and three acceptances is looked for, and no more."""
    Ahead(following).shown(ask("x = "), suggested("aaa"))
    await settle()
    assert following.asked == ["aaa", "bbb", "ccc"]


async def test_an_acceptance_goes_one_step_further(following: Following) -> None:
    """When the expected suggestion is shown, only what is not known yet is looked for."""
    ahead = Ahead(following)
    ahead.shown(ask("x = "), suggested("aaa"))
    await settle()
    ahead.edited(ask("x = aaa").document)
    ahead.shown(ask("x = aaa"), suggested("bbb"))
    await settle()
    assert following.asked == ["aaa", "bbb", "ccc", "ddd"]


async def test_typing_that_agrees_goes_on(following: Following) -> None:
    """Keys of the suggestion, and its rest being shown, neither end the search nor begin it anew."""
    following.may_go.clear()
    ahead = Ahead(following)
    ahead.shown(ask("x = "), suggested("aaa"))
    await settle()
    ahead.edited(ask("x = a").document)
    ahead.shown(ask("x = a"), suggested("aa"))
    following.may_go.set()
    await settle()
    assert following.asked == ["aaa", "bbb", "ccc"]
    assert following.ended == 0


@pytest.mark.parametrize("now", ["x = z", "x =", "\nx = "])
async def test_any_other_edit_ends_the_search(following: Following, now: str) -> None:
    """Something else typed, something deleted, an edit elsewhere: nothing is computed for what will not be."""
    following.may_go.clear()
    ahead = Ahead(following)
    ahead.shown(ask("x = "), suggested("aaa"))
    await settle()
    ahead.edited(ask(now).document)
    await settle()
    assert (following.asked, following.ended) == (["aaa"], 1)


async def test_another_suggestion_begins_anew(following: Following) -> None:
    """What follows is looked for behind what is shown now."""
    ahead = Ahead(following)
    ahead.shown(ask("x = "), suggested("aaa"))
    await settle()
    following.asked.clear()
    ahead.shown(ask("y = "), suggested("mmm"))
    await settle()
    assert following.asked == ["mmm", "nnn", "ooo"]


async def test_where_nothing_follows_the_search_ends(following: Following) -> None:
    """A step that finds nothing is the last."""
    calls: list[str] = []

    async def nothing(_asked: Ask, suggestion: Suggestion) -> None:
        calls.append(suggestion.text)

    ahead = Ahead(nothing)
    ahead.shown(ask("x = "), suggested("aaa"))
    await settle()
    ahead.end()
    ahead.end()
    assert calls == ["aaa"]


async def test_what_is_typed_over_at_once_is_not_looked_behind() -> None:
    """Most suggestions are typed over before anybody could accept them: they cost nothing more."""
    following = Following()
    ahead = Ahead(following)
    ahead.shown(ask("x = "), suggested("aaa"))
    await settle()
    ahead.edited(ask("x = z").document)
    await asyncio.sleep(idle.AHEAD_IDLE_S * 1.5)
    assert following.asked == []
