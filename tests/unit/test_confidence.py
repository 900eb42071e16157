"""Confidence: evidence with names, weights in plain JSON, and what is learnt from what people take."""

from __future__ import annotations

import json
import math
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble import echo
from fimble.core import Document, Source
from fimble.suggest.confidence import Confidence, shipped
from fimble.suggest.evidence import Evidence, Streak, Written, of_echo, of_model
from fimble.suggest.place import Place
from fimble.text import Text

texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=40)


def place(before: str, after: str = "\n") -> Place:
    return Place.at(Document("file:///a.py", "a.py", "python", 1, Text(before + after)), len(before))


def copied(before: str) -> Evidence:
    found = echo.find(before)
    assert found
    return of_echo(found[0], place(before), Streak())


def test_a_long_match_is_likelier_than_a_short_one() -> None:
    """The shipped weights agree with what was measured: precision rises with the match."""
    line = "result = compute_everything(first, second)\n"
    long, short = copied(line * 3 + "result = compute_ever"), copied(line + "x = comp")
    confidence = Confidence()
    assert confidence.of(Source.ECHO, long) > 0.7 > confidence.of(Source.ECHO, short) > 0.05


def test_what_the_model_is_sure_of_is_likelier() -> None:
    """A certain first word counts for more than a doubtful one, and a copy that agrees for more still."""
    here, streak, confidence = place("total = fir"), Streak(), Confidence()

    def of(log_probability: float, agreeing: bool = False) -> float:
        tokens = [Written("st", log_probability), Written(" + second", log_probability)]
        copy = echo.Echo("st - x", match_chars=8) if agreeing else None
        return confidence.of(Source.MODEL, of_model(tokens, "st + second", copy, here, streak))

    assert of(-0.05) > of(-1.0) > of(-4.0)
    assert of(-1.0, agreeing=True) > of(-1.0)


@given(texts, texts, st.lists(st.tuples(texts, st.floats(max_value=0.0, allow_nan=False)), max_size=5))
def test_any_evidence_gives_a_probability(before: str, text: str, tokens: list[tuple[str, float]]) -> None:
    """Whatever stands there, evidence is finite and the confidence lies between 0 and 1."""
    written = [Written(*token) for token in tokens]
    confidence = Confidence()
    evidence = of_model(written, text, None, place(before), Streak())
    assert all(map(math.isfinite, evidence.values()))
    assert 0 < confidence.of(Source.MODEL, evidence) < 1
    for found in echo.find(before):
        assert 0 < confidence.of(Source.ECHO, of_echo(found, place(before), Streak())) < 1


def test_every_weight_is_of_evidence_that_exists() -> None:
    """A renamed piece of evidence must not silently lose its weight: shipped names are ones that come up."""
    names: set[str] = set()
    befores = ["x", " ", "", ".", "(", "a.b", "ab", "abc", "+", "\n"]
    for before in befores:
        for text in ("word", " x", "(", ".", ")", ""):
            names |= of_model([], text, None, place(before), Streak()).keys()
            names |= of_echo(echo.Echo(text, 5), place(before), Streak()).keys()
    for source, weights in shipped().items():
        assert source in set(Source)
        assert weights.keys() <= names


def test_what_adds_up_to_a_confidence_can_be_told() -> None:
    """The parts, by name, are the logarithm of the odds."""
    evidence, confidence = copied("total = first\ntotal = f"), Confidence()
    likely = confidence.of(Source.ECHO, evidence)
    parts = confidence.why(Source.ECHO, evidence)
    assert sum(part for _name, part in parts) == pytest.approx(math.log(likely / (1 - likely)))
    assert [abs(part) for _name, part in parts] == sorted((abs(part) for _name, part in parts), reverse=True)


def test_dismissals_lower_it_accepts_raise_it_and_both_are_bounded() -> None:
    """After a row of either, the same evidence counts otherwise, but never for nothing or for everything."""
    evidence = copied("total = first\ntotal = f")
    down, up, start = Confidence(), Confidence(), Confidence().of(Source.ECHO, copied("total = first\ntotal = f"))
    seen = []
    for _ in range(2000):
        down.learn(Source.ECHO, evidence, accepted=False)
        up.learn(Source.ECHO, evidence, accepted=True)
        seen.append((down.of(Source.ECHO, evidence), up.of(Source.ECHO, evidence)))
    assert seen[20][0] < start < seen[20][1]
    assert 0.001 < seen[-1][0] < seen[-1][1] < 0.999
    for _ in range(2000):
        down.learn(Source.ECHO, evidence, accepted=True)
    assert down.of(Source.ECHO, evidence) > start


def test_what_was_learnt_survives(tmp_path: Path) -> None:
    """It is readable JSON that nobody else may read, and holds nothing but numbers by name."""
    file, evidence = tmp_path / "data" / "confidence.json", copied("total = first\ntotal = f")
    confidence = Confidence(file)
    for _ in range(30):
        confidence.learn(Source.ECHO, evidence, accepted=False)
    confidence.save()
    assert Confidence(file).of(Source.ECHO, evidence) == pytest.approx(confidence.of(Source.ECHO, evidence))
    kept = json.loads(file.read_text())
    assert kept.keys() == shipped().keys()
    assert all(isinstance(weight, float) for weights in kept.values() for weight in weights.values())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"echo": {"match": "x"}}', b"\xff\xfe", b'{"echo": {"match": 1e300}}']
)
def test_a_broken_file_is_a_first_day(tmp_path: Path, content: bytes) -> None:
    """What is not there or makes no sense is as it shipped, or as far from it as is allowed."""
    file, evidence = tmp_path / "confidence.json", copied("total = first\ntotal = f")
    file.write_bytes(content)
    likely = Confidence(file).of(Source.ECHO, evidence)
    fresh = Confidence().of(Source.ECHO, evidence)
    assert likely == pytest.approx(fresh) if b"1e300" not in content else 0 < likely < 1


def test_a_disk_that_takes_nothing_costs_nothing(tmp_path: Path) -> None:
    """Where the folder cannot be made, what was learnt holds until the window closes."""
    (tmp_path / "data").write_text("a file in the way")
    confidence = Confidence(tmp_path / "data" / "confidence.json")
    for _ in range(60):
        confidence.learn(Source.ECHO, copied("total = first\ntotal = f"), accepted=False)
    confidence.save()


def test_a_streak_tells_how_the_latest_guesses_did() -> None:
    """A guess that is typed through is right, another one wrong; what happens elsewhere says nothing."""
    streak = Streak()
    start = streak.evidence()
    streak.note("file:///a.py", 4, "first")
    streak.look("file:///a.py", "x = fi", 6)
    right = streak.evidence()
    assert right["right lately"] > start["right lately"]
    streak.note("file:///a.py", 6, "rst")
    streak.look("file:///a.py", "x = fix", 7)
    wrong = streak.evidence()
    assert (wrong["right lately"] < right["right lately"], wrong["wrong in a row"] > 0) == (True, True)
    for uri, source, offset in (
        ("file:///b.py", "x = fix", 7),
        ("file:///a.py", "x", 1),
        ("file:///a.py", "x" * 90, 90),
    ):
        streak.note("file:///a.py", 7, "ed")
        streak.look(uri, source, offset)
        assert streak.evidence() == wrong
