"""A suggestion never adds a syntax error to a file that had none."""

from __future__ import annotations

import random
import re
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import fimble
from fimble.core import Document
from fimble.suggest import sound as sound_module
from fimble.suggest.place import Place
from fimble.suggest.sound import fit, sound
from fimble.suggest.stop import Stop
from fimble.suggest.trim import Trimmed, trim
from fimble.syntax import Spot, Trees
from fimble.text import Text

CUTS = 2000
GOLDEN = Path(__file__).parents[1] / "golden" / "suggestions"

Fit = Callable[[str, Place, Spot], Trimmed]


def document(source: str, language: str, uri: str = "file:///a") -> Document:
    return Document(uri, "a", language, 1, Text(source))


def errors(source: str, language: str, offset: int) -> int:
    """The errors of a text that is parsed from scratch."""
    spot = Trees().at(document(source, language), offset)
    assert spot is not None
    return spot.errors


def sources() -> list[tuple[str, str]]:
    """Texts without errors and their languages: our own, Python's library, and what the golden files hold."""
    library = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:60]
    paths = [*sorted(Path(fimble.__file__).resolve().parent.rglob("*.py")), *library]
    found = [("python", path.read_text("utf-8", "replace")) for path in paths]
    for path in sorted(GOLDEN.glob("*.txt")):
        cases = re.findall(r"^=== [^\n]*\n(.*?)\n--- model\n(.*?)\n--- shown", path.read_text("utf-8"), re.M | re.S)
        found += [(path.stem, "\n".join(text.replace("‸", "").replace("⇥", "\t") for text in case)) for case in cases]
    known = [(language, text) for language, text in found if Trees().at(document(text, language), 0) is not None]
    return [(language, text) for language, text in known if 30 < len(text) < 60_000 and not errors(text, language, 0)]


class Cuts:
    """Random places in real texts, with what could be suggested there."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.by_language: dict[str, list[str]] = {}
        for language, text in sources():
            self.by_language.setdefault(language, []).append(text)

    def next(self) -> tuple[str, str, int, str]:
        """A language, a document, an offset in it and a text for it."""
        chance = self.chance
        # Half of them in Python, of which there are real files.
        language = "python" if chance.random() < 0.5 else chance.choice(sorted(self.by_language))
        text = chance.choice(self.by_language[language])
        lines = text.split("\n")
        if chance.random() < 0.5:
            start = chance.randrange(len(text))
            end = min(len(text), start + chance.randint(1, 120))
            written = text[start:end]
            text = text[:start] + text[end:]
        else:
            number = chance.randrange(len(lines))
            start = sum(len(line) + 1 for line in lines[:number]) + len(lines[number]) - len(lines[number].lstrip())
            other = chance.randrange(len(lines))
            written = "\n".join(lines[other : other + chance.randint(1, 4)]).lstrip()
        return language, text, min(start, len(text)), self.mangled(written) if chance.random() < 0.4 else written

    def mangled(self, text: str) -> str:
        letters = list(text)
        for _ in range(self.chance.randint(1, 3)):
            at = self.chance.randrange(len(letters) + 1)
            letters[at : at + (self.chance.random() < 0.4)] = self.chance.choice("()[]{}\"';:,\n =x")
        return "".join(letters)


def worse(fitting: Fit, cuts: int, seed: int = 1) -> tuple[list[str], int]:
    """Suggestions that broke a text which was whole, and how many were shown at all."""
    made, kept, broken, shown = Cuts(seed), Trees(), [], 0
    for _ in range(cuts):
        language, text, offset, written = made.next()
        asked = document(text, language)
        spot = kept.at(asked, offset)
        assert spot is not None
        place = Place.at(asked, offset)
        found = fitting(written[: Stop(place, True, spot).cut(written)], place, spot)
        shown += bool(found)
        if found and not errors(text, language, offset):
            after = text[:offset] + found.text + text[offset + found.replaces :]
            if errors(after, language, offset):
                broken.append(f"{language}: {text[max(0, offset - 60) : offset]!r} + {found}")
    return broken, shown


def test_a_suggestion_never_breaks_a_file() -> None:
    """Whatever is written where, a file without syntax errors has none after acceptance; and most is shown."""
    broken, shown = worse(fit, CUTS)
    assert not broken
    assert shown > CUTS / 2


def test_without_looking_at_the_syntax_files_would_break() -> None:
    """The test above can fail: trimmed only, a good part of the same suggestions breaks the file."""
    broken, _ = worse(lambda text, place, _spot: trim(text, place), CUTS // 10)
    assert len(broken) > CUTS // 100


def test_nothing_is_parsed_more_than_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Typing waits for this: however bad a text is, its pieces are tried eight times at most."""
    tried: list[str] = []
    ask = Spot.errors_with

    def counted(spot: Spot, text: str, replaces: int = 0) -> int | None:
        tried.append(text)
        return ask(spot, text, replaces)

    monkeypatch.setattr(Spot, "errors_with", counted)
    made, kept = Cuts(3), Trees()
    for _ in range(200):
        language, text, offset, written = made.next()
        spot = kept.at(document(text, language), offset)
        tried.clear()
        fit(made.mangled(made.mangled(written)), Place.at(document(text, language), offset), spot)
        assert len(tried) <= sound_module._MAX_PARSES
        assert len(tried) == len(set(tried))


def test_it_takes_about_a_millisecond() -> None:
    """On a text of 60 kB most suggestions are trimmed and judged within a few milliseconds, also on a slow machine."""
    function = "fn f%d(a: u32) -> u32 {\n    let b = a + 1;\n    if b > 2 {\n        return b;\n    }\n    b\n}\n\n"
    text = "".join(function % number for number in range(700))
    offset = text.index("    if", 30_000)
    spot, place = Trees().at(document(text, "rust"), offset), Place.at(document(text, "rust"), offset)
    took = []
    for _ in range(50):
        started = time.perf_counter()
        fit("let c = f1(b);", place, spot)
        took.append(time.perf_counter() - started)
    assert sorted(took)[25] < 0.01


def test_a_hopeless_text_is_judged_by_its_brackets() -> None:
    """Among many errors one more or less is chance: there a suggestion is shown if its own brackets are even."""
    text = ") 1 x ( é = =\n}} y :: )\n" * 20 + "value = compute(a)\nsecond_value = comp\n"
    asked, offset = document(text, "python"), len(text) - 1
    spot = Trees().at(asked, offset)
    assert spot is not None
    assert spot.errors > sound_module._HOPELESS_ERRORS
    assert fit("ute(a, [b", Place.at(asked, offset), spot) == Trimmed("ute(a, [b])")


@pytest.mark.parametrize(
    ("text", "marked", "shown"),
    [
        ("run(a, [b", "x = |", "run(a, [b])"),
        ("run(a))", "x = run(|", "run(a))"),
        ("a))", "x = run(|", "a)"),
        ("it's (a", "# |", "it's (a"),
        ("do {\n  a", "|", "do {\n  a\n}"),
    ],
)
def test_brackets_count_where_the_syntax_is_unknown(text: str, marked: str, shown: str) -> None:
    """Without a grammar a suggestion closes what it opens, and closes nothing that is not open."""
    before, _, after = marked.partition("|")
    place = Place(before, after, "elixir" if not marked.startswith("#") else "markdown")
    assert sound(Trimmed(text), place, None) == Trimmed(shown)
