"""The recipe with a model: what it is asked, where its answer ends, what is kept of it.

The model is a script here: what the real one writes is another test's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import msgspec
import pytest

from fimble.core import Ask, Document, Source
from fimble.engine.client import EngineClient
from fimble.engine.launch import Launcher
from fimble.engine.wire import Chunk, EngineSettings, InfillRequest
from fimble.errors import EngineCrashed, FimbleError, ModelCorrupt
from fimble.settings import Config, SuggestConfig
from fimble.stats import Stats
from fimble.store import Store
from fimble.suggest.confidence import Confidence
from fimble.suggest.recipe import Outcome, Suggester
from fimble.text import Text

SETTINGS = EngineSettings(
    model_path="/m.gguf", model_digest="d", context_tokens=512, threads=1, idle_minutes=1.0, transport="unix"
)
END = Chunk(stop=True, stop_type="eos")

#: With a good model, copies that are not certain are its drafts.
DRAFTS = Config(model="/a-good-one.gguf")


@pytest.fixture(autouse=True)
def _likely(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found is likely enough to be shown, copies not so likely that a good model is not asked."""
    monkeypatch.setattr(Confidence, "of", lambda *_: 0.5)


class Scripted(EngineClient):
    """An engine that writes the given pieces, or fails."""

    def __init__(self, *script: Chunk | FimbleError) -> None:
        super().__init__(Launcher(SETTINGS, folder=Path("/nonexistent")))
        self.script = script
        self.asked: list[InfillRequest] = []
        self.sent = 0
        self.hung_up = False

    async def ensure(self) -> None:
        pass

    async def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk, None]:
        # What goes over the wire must be such that it can.
        self.asked.append(msgspec.json.decode(msgspec.json.encode(request), type=InfillRequest))
        try:
            for item in self.script:
                if isinstance(item, FimbleError):
                    raise item
                self.sent += 1
                yield item
                await asyncio.sleep(0)
        except GeneratorExit:
            self.hung_up = True
            raise


def writes(*pieces: str) -> Scripted:
    return Scripted(*(Chunk(content=piece) for piece in pieces), END)


def ask(marked: str, path: str = "a.py") -> Ask:
    before, _, after = marked.partition("|")
    return Ask(Document(f"file:///project/{path}", path, "python", 1, Text(before + after)), len(before))


def texts(outcome: Outcome) -> list[tuple[str, Source]]:
    return [(suggestion.text, suggestion.source) for suggestion in outcome.suggestions]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(tmp_path / "suggestions", max_mb=8)
    yield made
    made.close()


async def test_the_models_text_is_suggested() -> None:
    """What the model writes at a place is put together, trimmed and shown as the model's."""
    engine = writes("fir", "st + ", "second  ")
    assert texts(await Suggester(Config(), engine).suggest(ask("total = |\n"))) == [("first + second", Source.MODEL)]


async def test_the_stream_is_closed_where_the_answer_ends() -> None:
    """At the end of the line nobody listens any more, so that the engine stops writing."""
    engine = writes("one\n", *["more\n"] * 50)
    assert texts(await Suggester(Config(), engine).suggest(ask("total = |\n"))) == [("one", Source.MODEL)]
    assert engine.sent == 1
    assert engine.hung_up


async def test_the_request_is_the_window_in_unix_lines() -> None:
    """Prefix, typed text and suffix are those of the anchored window, with one kind of line ending."""
    engine = writes("x")
    config = Config(suggest=SuggestConfig(max_tokens=17, deadline_ms=900, echo=False))
    await Suggester(config, engine).suggest(ask("import os\r\n\r\ny = |\r\nz = 1\r"))
    (request,) = engine.asked
    assert (request.input_prefix, request.prompt, request.input_suffix) == ("import os\n\n", "y = ", "\nz = 1\n")
    assert (request.n_predict, request.deadline_ms, request.filename) == (17, 900, "a.py")
    assert request.session


async def test_each_document_of_each_window_is_a_session() -> None:
    """Requests replace older ones for the same file in the same window and no others."""
    engine, other_window = writes("x"), writes("x")
    suggester = Suggester(Config(), engine)
    for path in ("a.py", "b.py", "a.py"):
        await suggester.suggest(ask(f"{len(engine.asked)} = |", path))
    await Suggester(Config(), other_window).suggest(ask("0 = |"))
    first, second, third = (request.session for request in engine.asked)
    assert first == third
    assert len({first, second, other_window.asked[0].session}) == 3


@pytest.mark.parametrize("marked", ["x\ud83d = |\n", "x = |\n\ude00", "\ud83d\n" * 9 + "x = |"])
async def test_half_an_emoji_can_be_asked_about(marked: str, store: Store) -> None:
    """A lone surrogate, as an editor sends it when half an emoji was deleted, does not end the recipe."""
    engine = writes("42")
    assert texts(await Suggester(Config(), engine, store).suggest(ask(marked))) == [("42", Source.MODEL)]
    assert len(engine.asked) == 1


@pytest.mark.parametrize("failure", [EngineCrashed("gone", "wait"), ModelCorrupt("broken", "download")])
async def test_a_failure_costs_one_suggestion(failure: FimbleError) -> None:
    """An engine that fails is told about, and a shorter repetition takes its place."""
    told: list[FimbleError] = []
    stats = Stats()
    suggester = Suggester(DRAFTS, Scripted(failure), stats=stats, on_failure=told.append)
    outcome = await suggester.suggest(ask("total = first\nx = total = |"))
    assert texts(outcome) == [("first", Source.ECHO)]
    assert told == [failure]
    assert stats.as_dict() == {"engine_failures": 1, "engine_requests": 1}


async def test_nothing_written_is_silence() -> None:
    """A model that has nothing to say leaves the place alone, with a reason for those who ask."""
    outcome = await Suggester(Config(), writes(" ", "\n")).suggest(ask("x = |"))
    assert texts(outcome) == []
    assert outcome.silence


async def test_a_long_echo_spares_the_model() -> None:
    """Where a long stretch repeats, the copy is shown and the engine is not asked."""
    engine = writes("never")
    line = "result = compute_everything(first, second)\n"
    outcome = await Suggester(Config(), engine).suggest(ask(line + "result = compute_ever|"))
    assert texts(outcome) == [("ything(first, second)", Source.ECHO)]
    assert engine.asked == []


async def test_typing_through_asks_nobody() -> None:
    """After a suggestion was shown, its rest at the next keys is memory: no request is made."""
    engine = writes("first + second")
    suggester = Suggester(Config(), engine)
    await suggester.suggest(ask("total = |\n"))
    for typed in ("f", "fi", "first + "):
        outcome = await suggester.suggest(ask(f"total = {typed}|\n"))
        assert texts(outcome) == [("first + second"[len(typed) :], Source.MEMORY)]
    assert len(engine.asked) == 1


async def test_a_finished_answer_survives_a_restart(store: Store) -> None:
    """The same place in a new window is answered from disk, without the engine."""
    stats = Stats()
    await Suggester(Config(), writes("42"), store).suggest(ask("x = |"))
    engine = writes("never")
    outcome = await Suggester(Config(), engine, store, stats).suggest(ask("x = |"))
    assert texts(outcome) == [("42", Source.MODEL)]
    assert engine.asked == []
    assert stats.as_dict()["disk_hits"] == 1


@pytest.mark.parametrize("change", ["model", "file", "text"])
async def test_another_place_is_not_answered_from_disk(store: Store, change: str) -> None:
    """What was kept is for this model, this file name and this text."""
    await Suggester(Config(), writes("42"), store).suggest(ask("x = |"))
    engine = writes("7")
    if change == "model":
        engine.launcher.settings = msgspec.structs.replace(SETTINGS, model_digest="e")
    asked = {"model": ask("x = |"), "file": ask("x = |", "b.py"), "text": ask("y = |")}[change]
    assert texts(await Suggester(Config(), engine, store).suggest(asked)) == [("7", Source.MODEL)]


async def test_what_is_kept_is_not_trimmed_for_one_place(store: Store) -> None:
    """An answer that was cut because the editor had closed the quote is whole where it had not."""
    engine = writes("1")
    first = Suggester(Config(), engine, store)
    await first.suggest(ask("x = |\n"))  # sets the anchor: the quote that comes now is no part of the suffix
    engine.script = (Chunk(content='abc"'), END)
    assert texts(await first.suggest(ask('x = "|"\n'))) == [("abc", Source.MODEL)]
    second = Suggester(Config(), writes('abc"'), store)
    assert texts(await second.suggest(ask('x = "|\n'))) == [('abc"', Source.MODEL)]


@pytest.mark.parametrize("reason", ["deadline", "cancelled"])
async def test_an_answer_that_was_cut_off_is_shown_but_not_kept(store: Store, reason: str) -> None:
    """What came until the deadline is better than nothing, but not worth remembering for ever."""
    cut = Scripted(Chunk(content="par"), Chunk(stop=True, stop_type=reason))
    assert texts(await Suggester(Config(), cut, store).suggest(ask("x = |"))) == [("par", Source.MODEL)]
    whole = writes("part of it")
    assert texts(await Suggester(Config(), whole, store).suggest(ask("x = |"))) == [("part of it", Source.MODEL)]


async def test_cancelling_hangs_up() -> None:
    """A suggestion that nobody waits for any more closes the engine's stream."""
    engine = writes(*["x"] * 10_000)
    task = asyncio.ensure_future(Suggester(Config(), engine).suggest(ask("x = |")))
    while not engine.sent:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.sent < 10_000


WARMED = Chunk(stop=True, stop_type="limit")
FUNCTION = "def first():\n    pass\n\n\n|\n\n\ndef last():\n    pass\n"


class Ready(Scripted):
    """An engine that is up."""

    @property
    def is_ready(self) -> bool:
        return True


async def test_a_pause_at_a_new_place_warms_it() -> None:
    """What is evaluated in a pause is what the next key sends, and nothing is written for it."""
    engine = Ready(WARMED)
    suggester = Suggester(Config(), engine)
    await suggester.warm(ask(FUNCTION))
    await suggester.suggest(ask(FUNCTION.replace("|", "x|")))
    warming, asked = engine.asked
    assert (warming.n_predict, warming.prompt) == (0, "")
    assert (warming.input_prefix, warming.input_suffix) == (asked.input_prefix, asked.input_suffix)
    assert warming.session != asked.session  # neither ends the other


async def test_a_pause_where_the_engine_is_warm_asks_nothing() -> None:
    """After a key at the same place there is nothing to prepare."""
    engine = Ready(Chunk(content="x"), END)
    suggester = Suggester(Config(), engine)
    await suggester.suggest(ask(FUNCTION))
    await suggester.warm(ask(FUNCTION))
    assert len(engine.asked) == 1


@pytest.mark.parametrize("marked", ["|\0", "some|thing"], ids=["binary", "inside a word"])
async def test_nothing_is_warmed_where_nothing_would_be_suggested(marked: str) -> None:
    """Silent places are not prepared either."""
    engine = Ready(WARMED)
    await Suggester(Config(), engine).warm(ask(marked))
    assert engine.asked == []


async def test_an_engine_that_is_not_up_is_not_started_by_a_pause() -> None:
    """Only a key or the start of the window starts an engine."""
    engine = Scripted(WARMED)
    await Suggester(Config(), engine).warm(ask(FUNCTION))
    assert engine.asked == []


async def test_a_failure_in_a_pause_is_nobodys_news() -> None:
    """Nobody waited for it; the next key meets the same failure and says so."""
    told: list[FimbleError] = []
    suggester = Suggester(Config(), Ready(EngineCrashed("gone")), on_failure=told.append)
    await suggester.warm(ask(FUNCTION))
    assert told == []


async def test_an_interrupted_warming_moves_no_anchor() -> None:
    """A new anchor is used only when all of it is in the engine's cache."""
    engine = Ready(Chunk(stop=True, stop_type="cancelled"))
    suggester = Suggester(Config(suggest=SuggestConfig(echo=False)), engine)
    typed = FUNCTION.replace("|", "x = 1\n" * 150 + "|")
    await suggester.suggest(ask(FUNCTION))
    await suggester.warm(ask(typed))
    await suggester.suggest(ask(typed))
    first, warming, second = engine.asked
    assert warming.input_prefix != first.input_prefix
    assert second.input_prefix == first.input_prefix


async def test_a_short_copy_is_the_models_draft() -> None:
    """What repeats too little to be shown at once is offered to the model to check; it is shown if that has nothing."""
    before = "total = compute_total(here)\nx = 1\n" + "y = compute_t|"
    engine = writes("x")
    await Suggester(DRAFTS, engine).suggest(ask(before))
    assert engine.asked[0].draft == "otal(here)"
    assert texts(await Suggester(DRAFTS, writes("")).suggest(ask(before))) == [("otal(here)", Source.ECHO)]


async def test_a_copy_goes_first_as_soon_as_suits_the_model() -> None:
    """With a weak model a repetition is shown without asking it that a good one is asked about."""
    marked = "total = compute_total(here)\nx = 1\ny = compute_t|"
    for config, asked in ((Config(), 0), (DRAFTS, 1)):
        engine = writes("x")
        await Suggester(config, engine).suggest(ask(marked))
        assert len(engine.asked) == asked


async def test_the_models_probabilities_are_the_evidence() -> None:
    """They are asked for, and what they say comes with the suggestion."""
    token = {"token": "first", "logprob": -0.25}
    engine = Scripted(Chunk(content="first", completion_probabilities=[token]), END)
    (shown,) = (await Suggester(Config(), engine).suggest(ask("total = |\n"))).suggestions
    assert engine.asked[0].n_probs == 1
    assert (shown.evidence["first word"], shown.confidence) == (-0.25, 0.5)


async def test_the_likelier_of_model_and_copy_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a copy is not certain the model is asked, and the better of both is shown; by hand both are."""
    for of_echo, of_model, first in ((0.5, 0.6, Source.MODEL), (0.6, 0.5, Source.ECHO)):
        monkeypatch.setattr(
            Confidence, "of", lambda _self, source, _e, a=of_echo, b=of_model: a if source == "echo" else b
        )
        token = {"token": "x", "logprob": -0.25}
        engine = Scripted(Chunk(content="x", completion_probabilities=[token]), END)
        suggester = Suggester(DRAFTS, engine)
        asked = ask("total = compute_total(here)\nx = 1\ny = compute_t|")
        assert [source for _text, source in texts(await suggester.suggest(asked))] == [first]
