"""The recipe for what follows an acceptance.  The model is a table here: what it writes after which line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest

from fimble.core import Ask, Document, Source, Suggestion, Trigger
from fimble.engine.client import EngineClient
from fimble.engine.launch import Launcher
from fimble.engine.wire import Chunk, EngineSettings, InfillRequest
from fimble.errors import EngineCrashed, FimbleError
from fimble.settings import Config, SuggestConfig
from fimble.stats import Stats
from fimble.suggest.confidence import Confidence
from fimble.suggest.place import Place
from fimble.suggest.reactions import Reaction
from fimble.suggest.recipe import Suggester
from fimble.text import Text

SETTINGS = EngineSettings(
    model_path="/m.gguf", model_digest="d", context_tokens=512, threads=1, idle_minutes=1.0, transport="unix"
)
CONFIG = Config(suggest=SuggestConfig(echo=False))


class Writer(EngineClient):
    """An engine that is up and writes what the table says follows a line, and nothing after others."""

    def __init__(self, table: dict[str, str], end: str = "eos") -> None:
        super().__init__(Launcher(SETTINGS, folder=Path("/nonexistent")))
        self.table, self.end = table, end
        self.up = True
        self.asked: list[InfillRequest] = []

    @property
    def is_ready(self) -> bool:
        return self.up

    async def ensure(self) -> None:
        pass

    async def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk, None]:
        self.asked.append(msgspec.json.decode(msgspec.json.encode(request), type=InfillRequest))
        line = (request.input_prefix + request.prompt).rpartition("\n")[2]
        for char in self.table.get(line, ""):
            yield Chunk(content=char)
            await asyncio.sleep(0)
        yield Chunk(stop=True, stop_type=self.end)


@pytest.fixture(autouse=True)
def _all_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show whatever is written: what is likely enough is another test's business."""
    monkeypatch.setattr(Confidence, "of", lambda *_: 0.9)


def ask(marked: str) -> Ask:
    before, _, after = marked.partition("|")
    return Ask(Document("file:///a.py", "a.py", "python", 1, Text(before + after)), len(before))


async def shown(suggester: Suggester, marked: str) -> list[tuple[str, Source]]:
    return [(s.text, s.source) for s in (await suggester.suggest(ask(marked))).suggestions]


def suggested(text: str) -> Suggestion:
    return Suggestion(text, Source.MODEL)


async def test_what_follows_is_in_memory() -> None:
    """What the model writes behind an accepted text is there when it is asked for."""
    engine = Writer({"x = one": " + two"})
    suggester = Suggester(CONFIG, engine)
    following = await suggester.prefetch(ask("x = |\n"), suggested("one"))
    assert following is not None
    assert (following[0].document.text.source, following[0].offset) == ("x = one\n", 7)
    assert following[1].text == " + two"
    assert await shown(suggester, "x = one|\n") == [(" + two", Source.MEMORY)]
    assert len(engine.asked) == 1


async def test_behind_a_finished_line_comes_the_next() -> None:
    """Where a line is finished, the next one is suggested from its end on, and also once Enter was pressed."""
    suggester = Suggester(CONFIG, Writer({"    ": "second()"}))
    following = await suggester.prefetch(ask("def f():\n    |\n"), suggested("first()"))
    assert following is not None
    assert following[1].text == "\n    second()"
    assert await shown(suggester, "def f():\n    first()|\n") == [("\n    second()", Source.MEMORY)]
    assert await shown(suggester, "def f():\n    first()\n    |\n") == [("second()", Source.MEMORY)]
    # And so on: what follows that, from where it ends.
    third = await suggester.prefetch(*following)
    assert third is not None
    assert third[0].document.text.source == "def f():\n    first()\n    second()\n"


async def test_no_line_is_begun_before_other_text() -> None:
    """Inside of brackets, what follows an acceptance is on the same line or nothing."""
    engine = Writer({"": "never"})
    assert await Suggester(CONFIG, engine).prefetch(ask("f(|)\n"), suggested("x")) is None
    assert len(engine.asked) == 1


async def test_a_guess_does_not_disturb_the_user() -> None:
    """It is less urgent than what the user asks, in a session of its own, and counted apart."""
    stats = Stats()
    engine = Writer({"x = ": "one", "x = one": " + two"})
    suggester = Suggester(CONFIG, engine, stats=stats)
    asked = ask("x = |\n")
    outcome = await suggester.suggest(asked)
    await suggester.prefetch(asked, outcome.suggestions[0])
    first, guess = engine.asked
    assert (first.priority, guess.priority) == ("interactive", "speculative")
    assert first.session != guess.session
    assert (first.input_prefix, first.input_suffix) == (guess.input_prefix, guess.input_suffix)
    assert stats.as_dict() == {"engine_requests": 1, "prefetch_requests": 1}


async def test_a_guess_does_not_replace_what_is_shown() -> None:
    """The user was faster and has been answered: a guess that comes later is not shown in its place."""
    engine = Writer({"x = one": " + shown"})
    suggester = Suggester(CONFIG, engine)
    guess = asyncio.ensure_future(suggester.prefetch(ask("x = |\n"), suggested("one")))
    await asyncio.sleep(0)
    engine.table = {"x = one": " + now"}
    assert await shown(suggester, "x = one|\n") == [(" + now", Source.MODEL)]
    await guess
    assert await shown(suggester, "x = one|\n") == [(" + now", Source.MEMORY)]


@pytest.mark.parametrize("end", ["declined", "cancelled", "deadline"])
async def test_half_a_guess_is_worth_nothing(end: str) -> None:
    """What the engine declined (on battery) or did not finish is not remembered."""
    engine = Writer({"x = one": " + tw"}, end)
    suggester = Suggester(CONFIG, engine)
    assert await suggester.prefetch(ask("x = |\n"), suggested("one")) is None
    engine.table, engine.end = {"x = one": " + two"}, "eos"
    assert await shown(suggester, "x = one|\n") == [(" + two", Source.MODEL)]


async def test_a_guess_starts_no_engine() -> None:
    """An engine that is down is started by a key, not by what may never be asked."""
    engine = Writer({"x = one": " + two"})
    engine.up = False
    assert await Suggester(CONFIG, engine).prefetch(ask("x = |\n"), suggested("one")) is None
    assert engine.asked == []


async def test_a_guess_that_fails_is_nobodys_news() -> None:
    """Nobody waited for it; the next key meets the same failure and says so."""

    class Broken(Writer):
        async def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk, None]:
            raise EngineCrashed("gone")
            yield

    told: list[FimbleError] = []
    suggester = Suggester(CONFIG, Broken({}), on_failure=told.append)
    assert await suggester.prefetch(ask("x = |\n"), suggested("one")) is None
    assert told == []


async def test_what_is_being_written_is_known() -> None:
    """While an answer is written, a key that it has written already agrees with it; when it is complete, none does."""
    engine = Writer({"x = ": "compute(first)"})
    suggester = Suggester(CONFIG, engine)
    asked = ask("x = |\n")
    task = asyncio.ensure_future(suggester.suggest(asked))

    def agrees(now: str) -> bool:
        return suggester.is_writing_on(asked, ask(now).document)

    while not agrees("x = comp|\n"):
        await asyncio.sleep(0)
    assert agrees("x = c|\n")
    assert not agrees("x = |\n")
    assert not agrees("x = z|\n")
    assert not agrees("x = compute(first)|\n")
    assert not suggester.is_writing_on(asked, None)
    await task
    assert not agrees("x = c|\n")


async def test_a_place_that_is_left_alone_is_not_guessed_at() -> None:
    """Where the user wants nothing, nothing is computed ahead either, until it is asked for by hand."""
    engine = Writer({"x = one": " + two"})
    suggester = Suggester(CONFIG, engine)
    for _ in range(3):
        suggester._habits.note("file:///a.py", Place("x = one", "\n"), Reaction.DISMISSED)
    assert await suggester.prefetch(ask("x = |\n"), suggested("one")) is None
    by_hand = Ask(ask("x = one|\n").document, 7, Trigger.INVOKED)
    assert [s.text for s in (await suggester.suggest(by_hand)).suggestions] == [" + two"]
