"""Memory: a suggestion is found again while it is typed through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble.suggest.place import Place
from fimble.suggest.recall import Memory

URI = "file:///a.py"

code = st.text(alphabet="ab(\n ", max_size=40)


def remembered(before: str, after: str, text: str) -> Memory:
    memory = Memory()
    memory.remember(URI, Place(before, after), text)
    return memory


def test_every_key_of_a_suggestion_leaves_its_rest() -> None:
    """Typing a suggestion character by character shows the rest of it, and nothing once it is typed."""
    text = "return a + b"
    memory = remembered("def f(a, b):\n    ", "\n", text)
    for typed in range(len(text)):
        assert memory.recall(URI, Place("def f(a, b):\n    " + text[:typed], "\n")) == text[typed:]
    assert memory.recall(URI, Place("def f(a, b):\n    " + text, "\n")) is None


@given(code, code, st.text(alphabet="ab(\n ", min_size=1, max_size=30), st.data())
def test_typing_through_always_hits(before: str, after: str, text: str, data: st.DataObject) -> None:
    """At every point inside a suggestion its rest is known, whatever stands around it."""
    typed = data.draw(st.integers(min_value=0, max_value=len(text) - 1))
    assert remembered(before, after, text).recall(URI, Place(before + text[:typed], after)) == text[typed:]


def test_another_character_is_a_miss() -> None:
    """Who types something else gets no rest of the old suggestion."""
    memory = remembered("x = ", "", "compute()")
    assert memory.recall(URI, Place("x = d", "")) is None
    assert memory.recall(URI, Place("x = cx", "")) is None


def test_deleting_brings_a_suggestion_back() -> None:
    """Back at the place where it was made, a suggestion is whole again."""
    memory = remembered("x = ", "", "compute()")
    assert memory.recall(URI, Place("x = com", "")) == "pute()"
    assert memory.recall(URI, Place("x = ", "")) == "compute()"


def test_each_file_has_its_own() -> None:
    """The same text in another file is another place."""
    assert remembered("x = ", "", "1").recall("file:///b.py", Place("x = ", "")) is None


def test_a_change_below_is_another_place() -> None:
    """A suggestion was made for the text that followed; with other text there it is not shown."""
    memory = remembered("x = ", "\ny = 2", "1")
    assert memory.recall(URI, Place("x = ", "\nz = 3")) is None
    assert memory.recall(URI, Place("x = ", " + 1\ny = 2")) is None


@pytest.mark.parametrize("closers", [")", '")]}'])
@pytest.mark.parametrize(
    "after", ["", "\n", "\nnext_line()\n", "  # a comment\nx\n", "x" * 60, "y" * 30 + "\n" + "z" * 30]
)
def test_a_bracket_that_the_editor_closed_hides_nothing(closers: str, after: str) -> None:
    """A closing bracket that appears right of the cursor while typing does not lose the suggestion."""
    memory = remembered("call", after, "(argument)")
    assert memory.recall(URI, Place("call(", closers + after)) == "argument)"


def test_the_suggestion_typed_furthest_is_not_preferred_over_the_one_made_here() -> None:
    """What was suggested at this very place wins over the rest of something older."""
    memory = remembered("x = ", "", "first_one()")
    memory.remember(URI, Place("x = first", ""), "_two()")
    assert memory.recall(URI, Place("x = first", "")) == "_two()"


def test_a_new_suggestion_replaces_the_old_one() -> None:
    """At one place the latest suggestion counts."""
    memory = remembered("x = ", "", "old")
    memory.remember(URI, Place("x = ", ""), "new")
    assert memory.recall(URI, Place("x = ", "")) == "new"


def test_the_oldest_are_forgotten() -> None:
    """A window does not remember without end: the least recently made go first."""
    memory = Memory(limit=2)
    for name in ("a", "b", "a", "c"):
        memory.remember(URI, Place(f"{name} = ", ""), "1")
    assert [memory.recall(URI, Place(f"{name} = ", "")) for name in "abc"] == ["1", None, "1"]
