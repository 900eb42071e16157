"""The recipe without an engine: memory, echo and silence, and whatever an editor sends."""

from __future__ import annotations

import pytest

from fimble.core import Ask, Document, Source, Trigger
from fimble.errors import FimbleError
from fimble.settings import Config, PrivacyConfig, SuggestConfig
from fimble.stats import Stats
from fimble.suggest.confidence import Confidence
from fimble.suggest.reactions import Reaction
from fimble.suggest.recipe import Outcome, Suggester
from fimble.text import Text

REPEATED = "result = compute_everything(first, second)\n"


@pytest.fixture(autouse=True)
def _likely(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found is likely enough: how likely is another test's business."""
    monkeypatch.setattr(Confidence, "of", lambda *_: 0.9)


def document(text: str, path: str = "a.py") -> Document:
    return Document(f"file:///project/{path}", path, "python", 1, Text(text))


def ask(marked: str, *others: Document, trigger: Trigger = Trigger.AUTOMATIC, path: str = "a.py") -> Ask:
    before, _, after = marked.partition("|")
    return Ask(document(before + after, path), len(before), trigger, others)


def texts(outcome: Outcome) -> list[tuple[str, Source]]:
    return [(suggestion.text, suggestion.source) for suggestion in outcome.suggestions]


async def test_a_repetition_is_echoed_without_an_engine() -> None:
    """Copying from the file itself needs no model."""
    outcome = await Suggester(Config(), None).suggest(ask(REPEATED + "result = compute_ever|"))
    assert texts(outcome) == [("ything(first, second)", Source.ECHO)]


async def test_what_was_shown_is_remembered_while_it_is_typed() -> None:
    """The rest of a shown suggestion comes from memory at every following key, and nothing once it is typed."""
    suggester = Suggester(Config(), None)
    start, rest = REPEATED + "result = compute_ever", "ything(first, second)"
    await suggester.suggest(ask(start + "|"))
    for typed in range(1, len(rest)):
        outcome = await suggester.suggest(ask(start + rest[:typed] + "|"))
        assert texts(outcome) == [(rest[typed:], Source.MEMORY)]
    assert texts(await suggester.suggest(ask(start + rest + "|"))) == []


@pytest.mark.parametrize("is_taken", [True, False])
async def test_the_rest_of_what_was_taken_in_part_is_judged_anew(
    monkeypatch: pytest.MonkeyPatch, is_taken: bool
) -> None:
    """Who took words of it and types on by hand has refused the next: it is no longer shown because it was before."""
    suggester = Suggester(Config(), None)
    start, rest = REPEATED + "result = compute_ever", "ything(first, second)"

    async def shown(typed: str) -> list[tuple[str, Source]]:
        asked = ask(start + typed + "|")
        suggester.reactions.edited(asked.document)
        outcome = await suggester.suggest(asked)
        suggester.reactions.shown(asked, outcome.suggestions)
        return texts(outcome)

    assert await shown("") == [(rest, Source.ECHO)]
    monkeypatch.setattr(Confidence, "of", lambda *_: 0.1)
    for typed in ("ything(",) if is_taken else ("y", "yt", "yth", "ythi", "ythin", "ything", "ything("):
        assert await shown(typed) == [(rest[len(typed) :], Source.MEMORY)]
    assert await shown("ything(f") == ([] if is_taken else [("irst, second)", Source.MEMORY)])


async def test_memory_holds_over_a_closed_bracket() -> None:
    """The bracket that the editor closes while one types through a suggestion does not end it, nor is it doubled."""
    suggester = Suggester(Config(), None)
    await suggester.suggest(ask(REPEATED + "result = compute_every|\n"))
    outcome = await suggester.suggest(ask(REPEATED + "result = compute_everything(|)\n"))
    assert texts(outcome) == [("first, second", Source.MEMORY)]


async def test_echo_can_be_switched_off() -> None:
    """With suggest.echo off, nothing is copied."""
    config = Config(suggest=SuggestConfig(echo=False))
    outcome = await Suggester(config, None).suggest(ask(REPEATED + "result = compute_ever|"))
    assert texts(outcome) == []
    assert outcome.silence


async def test_other_open_files_are_copied_from() -> None:
    """What is not in this file may be in another open one, whatever line endings either of them has."""
    block = "def load(self, path):{end}    return open(path){end}"
    for end in ("\n", "\r\n", "\r"):
        for other_end in ("\n", "\r\n", "\r"):
            other = document(block.format(end=other_end), "b.py")
            marked = f"x = 1{end}def load(self, path):{end}    |"
            outcome = await Suggester(Config(), None).suggest(ask(marked, other))
            assert texts(outcome) == [("return open(path)", Source.ECHO)], (end, other_end)


async def test_excluded_files_are_never_copied_from() -> None:
    """A file with secrets that happens to be open gives nothing away."""
    secrets = document("SECRET_TOKEN_OF_MINE = 'abc123'\n", ".env")
    outcome = await Suggester(Config(), None).suggest(ask("SECRET_TOKEN_OF_MINE = |", secrets))
    assert texts(outcome) == []
    open_file = document("SECRET_TOKEN_OF_MINE = 'abc123'\n", "settings.py")
    assert texts(await Suggester(Config(), None).suggest(ask("SECRET_TOKEN_OF_MINE = |", open_file)))


async def test_where_the_gate_is_closed_nothing_is_shown() -> None:
    """The gate's reason is the outcome's silence, and memory does not get around it."""
    off = Config(privacy=PrivacyConfig(languages_off=("python",)))
    outcome = await Suggester(off, None).suggest(ask(REPEATED + "result = compute_ever|"))
    assert (texts(outcome), "languages_off" in outcome.silence) == ([], True)


async def test_asking_by_hand_shows_memory_and_echo_once() -> None:
    """Two sources with the same text are one suggestion."""
    suggester = Suggester(Config(), None)
    await suggester.suggest(ask(REPEATED + "result = compute_eve|"))
    outcome = await suggester.suggest(ask(REPEATED + "result = compute_every|", trigger=Trigger.INVOKED))
    assert texts(outcome) == [("thing(first, second)", Source.MEMORY)]


@pytest.mark.parametrize(
    "marked", ["|", "\n|", "\ud83d|", "|\ude00", "a\ud83d = |\ude00", "\f|", "\u2028x|", "\r|", "x" * 100_000 + " |"]
)
async def test_no_text_breaks_the_recipe(marked: str) -> None:
    """Empty files, half emoji, odd line ends and endless lines are answered, if only with silence."""
    outcome = await Suggester(Config(), None).suggest(ask(marked))
    assert outcome.suggestions or outcome.silence


async def test_every_suggestion_can_be_told_apart() -> None:
    """Suggestions have ids of their own, so that an accepted one can be counted for its source."""
    suggester = Suggester(Config(), None)
    outcomes = [await suggester.suggest(ask(REPEATED + "result = compute_ever" + end)) for end in ("|", "y|", "yt|")]
    ids = [suggestion.id for outcome in outcomes for suggestion in outcome.suggestions]
    assert len(set(ids)) == len(ids) == 3


def test_counters_are_kept_by_source() -> None:
    """What is counted for a source is counted in total, too."""
    stats = Stats()
    stats.add("shown", "echo")
    stats.add("shown", "model")
    stats.add("deadlines")
    assert stats.as_dict() == {"deadlines": 1, "shown": 2, "shown_echo": 1, "shown_model": 1}


def test_an_error_is_its_message_and_its_fix() -> None:
    """What is shown to a person is one text; without a fix there is no blank at its end."""
    assert str(FimbleError("It broke.", "Mend it.")) == "It broke. Mend it."
    assert str(FimbleError("It broke.")) == "It broke."


async def test_a_copy_comes_from_a_related_language() -> None:
    """What a Python file says is no use in TypeScript; TypeScript and Svelte share lines."""
    python = Document("file:///project/a.py", "a.py", "python", 1, Text(REPEATED))
    svelte = Document("file:///project/a.svelte", "a.svelte", "svelte", 1, Text(REPEATED))

    async def copied(other: Document) -> list[tuple[str, Source]]:
        start = "result = compute_ever"
        shop = Document("file:///project/shop.ts", "shop.ts", "typescript", 1, Text(start))
        return texts(await Suggester(Config(), None).suggest(Ask(shop, len(start), Trigger.AUTOMATIC, (other,))))

    assert await copied(python) == []
    assert await copied(svelte) == [("ything(first, second)", Source.ECHO)]


async def test_what_is_not_likely_enough_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """How likely that is, the user says; whoever asks by hand gets everything, and memory was judged before."""
    marked = REPEATED + "result = compute_ever|"
    for likely, shown in (
        (0.1, ()),
        (0.3, ("eager",)),
        (0.5, ("eager", "balanced")),
        (0.9, ("eager", "balanced", "quiet")),
    ):
        monkeypatch.setattr(Confidence, "of", lambda *_, likely=likely: likely)
        for eagerness in ("eager", "balanced", "quiet"):
            suggester = Suggester(Config(suggest=SuggestConfig(eagerness=eagerness)), None)
            outcome = await suggester.suggest(ask(marked))
            assert bool(outcome.suggestions) == (eagerness in shown), (likely, eagerness)
            assert texts(await suggester.suggest(ask(marked, trigger=Trigger.INVOKED)))


async def test_outcomes_change_what_is_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    """What became of a suggestion is learnt, with the evidence that it was shown on."""
    learnt: list[tuple[Source, bool]] = []
    monkeypatch.setattr(
        Confidence, "learn", lambda _self, source, evidence, accepted: learnt.append((source, accepted))
    )
    suggester = Suggester(Config(), None)
    asked = ask(REPEATED + "result = compute_ever|")
    (shown,) = (await suggester.suggest(asked)).suggestions
    assert shown.evidence
    for reaction in Reaction:
        suggester._learn(asked, shown, reaction)
    assert learnt == [(Source.ECHO, reaction in (Reaction.ACCEPTED, Reaction.TYPED)) for reaction in Reaction]
