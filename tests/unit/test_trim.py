"""Trim: from what was generated to what may be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble.suggest.place import Place
from fimble.suggest.trim import trim

code = st.text(alphabet="ab() ,\n", max_size=30)
line = st.text(alphabet="ab() ,", max_size=12)
short = st.text(alphabet="ab() ,", max_size=7)  # too short for a loop


def at(marked: str) -> Place:
    """The place of the ``|`` in *marked*."""
    before, _, after = marked.partition("|")
    return Place(before, after)


def test_text_that_fits_is_not_touched() -> None:
    """At the end of a line with nothing below, a suggestion is shown as it is."""
    assert trim("return a + b\n    # done", at("def f(a, b):\n    |")) == "return a + b\n    # done"


@pytest.mark.parametrize("text", ["", " ", "\n", " \n\t\n", "   \n"])
def test_blanks_are_nothing(text: str) -> None:
    """A suggestion without a visible character is no suggestion."""
    assert trim(text, at("x|")) == ""


def test_blanks_at_the_end_are_dropped() -> None:
    """Nobody wants trailing blanks or empty lines at the end of a suggestion."""
    assert trim("1 \n\n  ", at("x = |")) == "1"


@pytest.mark.parametrize(
    ("text", "marked", "shown"),
    [
        ("a, b)", "f(|)", "a, b"),
        ("a, b))", "f(g(|))", "a, b"),
        ("a, b)", "f(g(|))", "a, b"),
        ('hello")', 'print("|")', "hello"),
        ("a", "f(|)", "a"),
        (")", "f(|)", ""),
        ("a: int) -> int:", "def f(|) -> int:", "a: int"),
        ("x];", "a[|];  // end", "x"),
    ],
)
def test_what_stands_right_of_the_cursor_is_not_doubled(text: str, marked: str, shown: str) -> None:
    """An end of the suggestion that the line has already is left out."""
    assert trim(text, at(marked)) == shown


def test_before_the_rest_of_a_line_there_is_one_line() -> None:
    """A block is not pushed between the cursor and the text right of it."""
    assert trim("a,\n    b", at("f(|)")) == "a,"


def test_blanks_right_of_the_cursor_do_not_count() -> None:
    """Trailing blanks on the cursor's line do not keep a block away."""
    assert trim("{\n    x", at("if y |   \nz")) == "{\n    x"


def test_the_next_line_is_not_repeated() -> None:
    """A suggestion ends where it begins to write what stands below already."""
    place = at("a = 1\n|\nreturn total\n")
    assert trim("b = 2\nreturn total\nmore", place) == "b = 2"
    assert trim("return total", place) == ""


def test_a_repetition_is_seen_across_the_cursor() -> None:
    """What was typed of a line counts: finishing it as the line below is a repetition, too."""
    assert trim("rn total", at("    retu|\n    return total\n")) == ""


def test_blank_lines_below_are_skipped_when_comparing() -> None:
    """The next line with text is the one that must not be repeated."""
    assert trim("x = 1\nreturn total", at("|\n\n\nreturn total\n")) == "x = 1"


def test_short_lines_may_stand_twice() -> None:
    """A closing brace or ``else:`` may well stand twice; such a line is no repetition."""
    assert trim("x();\n}", at("if (a) {\n    |\n}\n")) == "x();\n}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("foo, foo, foo, foo, foo, foo", "foo,"),
        ("x = " + "ab " * 9, "x = ab"),
        ("one\none\none\none\none\n", "one"),
        ("a, b, a, b, ", "a, b, a, b,"),
    ],
)
def test_a_loop_is_cut(text: str, shown: str) -> None:
    """A piece that comes four times in a row is shown once: the model is stuck."""
    assert trim(text, at("|")) == shown


@pytest.mark.parametrize(
    "text",
    [
        "# " + "-" * 70,
        "/* " + "=" * 40 + " */",
        "[0, 0, 0, 0, 0, 0]",
        "matrix = [[1.0, 1.0, 1.0, 1.0]]",
        "'\\0\\0\\0\\0\\0'",
    ],
)
def test_what_code_repeats_on_purpose_is_shown(text: str) -> None:
    """Rulers in comments and rows of equal numbers that come to an end are no loop, and cut they would be broken."""
    assert trim(text, at("|")) == text


@given(code, code, line, code)
def test_nothing_is_added(text: str, before: str, rest: str, below: str) -> None:
    """Trimming only ever leaves out an end: what is shown begins what was generated."""
    shown = trim(text, Place(before, f"{rest}\n{below}"))
    assert text.startswith(shown)
    assert shown == "" or shown.strip()


@given(short, line, line)
def test_nothing_is_lost_at_an_overlap(text: str, before: str, rest: str) -> None:
    """What is shown, with the text right of the cursor behind it, begins with all that was generated."""
    shown = trim(text, Place(before, rest))
    if rest.strip() and shown:
        assert (shown + rest).startswith(text.rstrip())
    elif rest.strip():
        assert rest.strip().startswith(text.strip())


@given(code, code, line)
def test_one_line_before_other_text(text: str, before: str, rest: str) -> None:
    """Where text stands right of the cursor, no suggestion has more than one line."""
    if rest.strip():
        assert "\n" not in trim(text, Place(before, rest))
