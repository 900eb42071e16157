"""Memory: a suggestion is found again while it is typed through."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble.core import Document
from fimble.suggest.place import Place
from fimble.suggest.recall import Memory
from fimble.text import Text

URI = "file:///a.py"

code = st.text(alphabet="ab(\n ", max_size=40)


def recalled(memory: Memory, before: str, after: str = "", uri: str = URI) -> list[str]:
    return list(memory.recall(uri, Place(before, after)))


def remembered(before: str, after: str, text: str) -> Memory:
    memory = Memory()
    memory.remember(URI, Place(before, after), text)
    return memory


def test_every_key_of_a_suggestion_leaves_its_rest() -> None:
    """Typing a suggestion character by character shows the rest of it, and nothing once it is typed."""
    text = "return a + b"
    memory = remembered("def f(a, b):\n    ", "\n", text)
    for typed in range(len(text)):
        assert recalled(memory, "def f(a, b):\n    " + text[:typed], "\n") == [text[typed:]]
    assert recalled(memory, "def f(a, b):\n    " + text, "\n") == []


@given(code, code, st.text(alphabet="ab(\n ", min_size=1, max_size=30), st.data())
def test_typing_through_always_hits(before: str, after: str, text: str, data: st.DataObject) -> None:
    """At every point inside a suggestion its rest is known, whatever stands around it."""
    typed = data.draw(st.integers(min_value=0, max_value=len(text) - 1))
    assert text[typed:] in recalled(remembered(before, after, text), before + text[:typed], after)


def test_another_character_is_a_miss() -> None:
    """Who types something else gets no rest of the old suggestion."""
    memory = remembered("x = ", "", "compute()")
    assert recalled(memory, "x = d") == []
    assert recalled(memory, "x = cx") == []


def test_deleting_brings_a_suggestion_back() -> None:
    """Back at the place where it was made, a suggestion is whole again."""
    memory = remembered("x = ", "", "compute()")
    assert recalled(memory, "x = com") == ["pute()"]
    assert recalled(memory, "x = ") == ["compute()"]


def test_each_file_has_its_own() -> None:
    """The same text in another file is another place."""
    assert recalled(remembered("x = ", "", "1"), "x = ", uri="file:///b.py") == []


def test_a_change_below_is_another_place() -> None:
    """A suggestion was made for the text that followed; with other text there it is not shown."""
    memory = remembered("x = ", "\ny = 2", "1")
    assert recalled(memory, "x = ", "\nz = 3") == []
    assert recalled(memory, "x = ", " + 1\ny = 2") == []


@pytest.mark.parametrize("closers", [")", '")]}'])
@pytest.mark.parametrize(
    "after", ["", "\n", "\nnext_line()\n", "  # a comment\nx\n", "x" * 60, "y" * 30 + "\n" + "z" * 30]
)
def test_a_bracket_that_the_editor_closed_hides_nothing(closers: str, after: str) -> None:
    """A closing bracket that appears right of the cursor while typing does not lose the suggestion."""
    memory = remembered("call", after, "(argument)")
    assert recalled(memory, "call(", closers + after) == ["argument)"]


def test_a_bracket_that_was_closed_before_and_is_typed_over() -> None:
    """The editor put in the closing bracket; typing it moves over it, and what was suggested goes on behind it."""
    memory = remembered("call(", ")\nx", "argument).get()")
    assert recalled(memory, "call(argument", ")\nx") == [").get()"]
    assert recalled(memory, "call(argument)", "\nx") == [".get()"]


@pytest.mark.parametrize("after", ["", "\nnext()\n", "\n}\n", ")\nx"])
def test_a_block_that_the_editor_closed_hides_nothing(after: str) -> None:
    """After `{` and Enter the editor has put a `}` on the line below."""
    memory = remembered("if (a) ", after, "{\n    return b;\n}")
    assert recalled(memory, "if (a) {\n    ", "\n}" + after) == ["return b;\n}"]


def test_a_word_that_was_accepted_alone() -> None:
    """After the first word was put in at once, the rest is still suggested."""
    assert recalled(remembered("x = ", "", "compute(first)"), "x = compute") == ["(first)"]


def test_what_is_not_wanted_any_more_is_forgotten() -> None:
    """Only that, and only at its place; what nobody knows of is forgotten already."""
    memory = remembered("x = ", "", "first_one()")
    memory.remember(URI, Place("x = ", ""), "first_two()")
    for text in ("first_one()", "first_one()", "never said"):
        memory.forget(URI, Place("x = ", ""), text)
    memory.forget(URI, Place("y = ", ""), "first_two()")
    assert recalled(memory, "x = first") == ["_two()"]
    memory.forget(URI, Place("x = ", ""), "first_two()")
    assert recalled(memory, "x = first") == []
    memory.remember(URI, Place("x = ", ""), "first_three()")
    assert recalled(memory, "x = ") == ["first_three()"]


def test_the_least_typed_comes_first() -> None:
    """What was suggested at this very place wins over the rest of something older, which is still known."""
    memory = remembered("x = ", "", "first_one()")
    memory.remember(URI, Place("x = first", ""), "_two()")
    assert recalled(memory, "x = first") == ["_two()", "_one()"]


def test_what_was_shown_first_stays_first() -> None:
    """A later suggestion at the same place does not take the place of what the user has seen there."""
    memory = remembered("x = ", "", "seen")
    memory.remember(URI, Place("x = ", ""), "late", "seen")
    assert recalled(memory, "x = ") == ["seen", "late"]


def test_of_several_the_one_that_is_typed_is_left() -> None:
    """Of the alternatives at a place those that contradict what was typed drop out."""
    memory = Memory()
    memory.remember(URI, Place("x = ", ""), "one", "other(1)", "order")
    assert recalled(memory, "x = o") == ["ne", "ther(1)", "rder"]
    assert recalled(memory, "x = ot") == ["her(1)"]
    assert recalled(memory, "x = ox") == []


def test_a_long_suggestion_is_found_at_its_end() -> None:
    """A block is typed through to its last line, and more than 128 characters back."""
    block = "".join(f"    step_{number}(value)\n" for number in range(12))
    memory = remembered("def f(value):\n", "\n", block)
    for typed in range(len(block)):
        assert recalled(memory, "def f(value):\n" + block[:typed], "\n") == [block[typed:]]


def test_crlf_is_one_line_end() -> None:
    """In a file with CRLF line ends a block is typed through as in any other."""
    memory = Memory()
    document = Document(URI, "a.py", "python", 1, Text("def f():\r\n    a = 1\r\n    b\r\n"))
    memory.remember(URI, Place("def f():", "\n"), "\n    a = 1\n    b = 2")
    assert list(memory.recall(URI, Place.at(document, len(document.text) - 2))) == [" = 2"]


def test_the_oldest_are_forgotten() -> None:
    """A window does not remember without end: the places longest untouched go first."""
    memory = Memory(places=2)
    for name in ("a", "b", "a", "c"):
        memory.remember(URI, Place(f"{name} = ", ""), "1")
    assert [recalled(memory, f"{name} = ") for name in "abc"] == [["1"], [], ["1"]]


def test_long_texts_count_for_more() -> None:
    """The size is bounded in characters, too, whatever was remembered where."""
    memory = Memory(chars=1000)
    for number in range(50):
        memory.remember(URI, Place(f"{number} = ", f"\n{number % 3}"), "x" * 90, "y")
    assert memory._chars <= 1000
    assert memory._chars == sum(memory._sizes.values())
    kept = [number for number in range(50) if recalled(memory, f"{number} = ", f"\n{number % 3}")]
    assert kept == list(range(50 - len(kept), 50))
    assert len(kept) == 10


def test_alternatives_are_bounded() -> None:
    """One place does not collect suggestions without end."""
    memory = Memory()
    for number in range(100):
        memory.remember(URI, Place("x = ", ""), str(number))
    assert recalled(memory, "x = ") == ["0", "1", "2", "3"]


def test_recalling_is_cheap() -> None:
    """A key costs well under a millisecond in a full memory with long suggestions, found or not."""
    memory = Memory()
    code = "".join(f"value_{number} = compute({number})\n" for number in range(3000))
    for number in range(1000):
        memory.remember(URI, Place(code[: 4000 + number * 20][-4000:], ""), code[number : number + 2000])
    started = time.perf_counter()
    for _ in range(100):
        recalled(memory, code[::-1][:4000])
    # Measured: 0.15 ms.  The bound leaves room for a busy machine.
    assert (time.perf_counter() - started) / 100 < 0.002
