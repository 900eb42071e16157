"""Trim: from what was generated to what may be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble.suggest import trim as trim_module
from fimble.suggest.place import Place
from fimble.suggest.trim import Trimmed

code = st.text(alphabet="ab() ,\n", max_size=30)
line = st.text(alphabet="ab() ,", max_size=12)
short = st.text(alphabet="ab() ,", max_size=7)  # too short for a loop


def at(marked: str, language: str = "plaintext") -> Place:
    """The place of the ``|`` in *marked*."""
    before, _, after = marked.partition("|")
    return Place(before, after, language)


def trim(text: str, place: Place) -> str:
    """What is shown of *text*, where nothing right of the cursor is replaced."""
    shown = trim_module.trim(text, place)
    assert not shown.replaces
    return shown.text


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
    """A brace that closes another block than the one below is no repetition, nor is one that the text opened."""
    assert trim("x();\n    }", at("if (a) {\n    if (b) {\n        |\n}\n")) == "x();\n    }"
    assert trim("{\n}", at("if (a)\n|\n}\n")) == "{\n}"


def test_the_end_of_a_block_that_stands_below_is_not_repeated() -> None:
    """Last lines that stand below already, indented the same, are left out."""
    assert trim("x();\n}", at("if (a) {\n    |\n}\n")) == "x();"
    assert trim("x()\n    y()\n    z()", at("if a:\n    |\n    y()\n    z()\n")) == "x()"
    assert trim("x();\n  });\n}", at("{\n  f(() => {\n    |\n  });\n}\n")) == "x();"


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


@pytest.mark.parametrize("text", ["${" * 20, '{"' * 20, "()" * 20, "!?" * 20])
def test_signs_that_repeat_are_a_loop(text: str) -> None:
    """A model can be stuck without any letter; only what rulers and closers are made of may repeat."""
    assert trim(text, at("x = |")) == text[:2]


@pytest.mark.parametrize("text", ["# =-=-=-=-=-=-=-=-", "//////////////////", "))))))))))))", "# %%%%%%%%%%%%%%%%"])
def test_rulers_and_closers_may_repeat(text: str) -> None:
    """A ruler is drawn on purpose, and what is nested is closed as often as it was opened."""
    assert trim(text, at("|")) == text


@pytest.mark.parametrize(
    "marker",
    [
        *("<|fim_prefix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>", "<|endoftext|>", "<|file_separator|>"),
        *("<fim_suffix>", "<file_sep>", "<filename>", "<\uff5cfim\u2581hole\uff5c>", "<PRE>", "<EOT>"),
        *("[SUFFIX]", "[PREFIX]", "<[fim-middle]>", "<|im_end|>", "<|endoft", "<|fim"),
    ],
)
def test_control_tokens_are_never_shown(marker: str) -> None:
    """What a model's family writes around code ends a suggestion, unless the document holds the very same text."""
    if marker.endswith((">", "]")):
        assert trim(f"first{marker} second", at("x = |")) == "first"
    assert trim(f"first{marker}", at("x = |")) == "first"
    assert trim(f"first{marker}", Place("", "", source=f"what is {marker}?")) == f"first{marker}"


@pytest.mark.parametrize("text", ["a <b> c", "x[0] <= y", "List<String>", "<img src='a'>", "[FIX]", "a <| b |> c"])
def test_what_looks_a_little_like_a_control_token_is_code(text: str) -> None:
    """Tags, generics, operators and indexes are nobody's control tokens."""
    assert trim(text, at("|")) == text


@pytest.mark.parametrize(
    ("text", "marked", "shown", "replaces"),
    [
        ("a, b).bar()", "foo(|)", "a, b).bar()", 1),
        ("a, b).bar();", "foo(|);", "a, b).bar()", 1),
        ('a", end="")', 'print("|")', 'a", end=""', 1),
        ("a, b)", "foo(|)", "a, b", 0),
        ("bar()", "foo(|)", "bar()", 0),
        ("a).b", "foo(|) + 1", "a", 0),
        ("self) -> int:", "def f(|)", "self) -> int:", 1),
        ("a: [1]}]", "x = [{|}]", "a: [1]", 0),
    ],
)
def test_closers_are_replaced_where_the_text_goes_beyond_them(
    text: str, marked: str, shown: str, replaces: int
) -> None:
    """A closer that the editor put there gives way only to a text that holds it and goes on after it."""
    assert trim_module.trim(text, at(marked, "python")) == Trimmed(shown, replaces)


@pytest.mark.parametrize(
    ("text", "marked", "shown"),
    [
        ("    return 1", "def f():\n    |", "return 1"),
        ("    return 1", "def f():\n|", "    return 1"),
        ("if a:\n\t\treturn 1", "if b:\n    c()\n\ndef f():\n    |", "if a:\n        return 1"),
        ("if a:\n        return 1", "if b:\n\tc()\n\ndef f():\n\t|", "if a:\n\t\treturn 1"),
        ("if a:\n      return 1", "if b:\n  c()\n\ndef f():\n  |", "if a:\n    return 1"),
        ("f(a,\n      b)", "if b:\n    c()\n\nx = |", "f(a,\n      b)"),
        ("a\n  \nb", "|", "a\n\nb"),
    ],
)
def test_indentation_is_the_files(text: str, marked: str, shown: str) -> None:
    """Tabs or blanks and the width of a step are those around the cursor; what is aligned to a bracket stays."""
    assert trim(text, at(marked, "python")) == shown


@given(code, code, line, code)
def test_nothing_is_added(text: str, before: str, rest: str, below: str) -> None:
    """Trimming leaves out an end and changes blanks, nothing else."""
    shown = trim_module.trim(text, Place(before, f"{rest}\n{below}"))
    assert "".join(text.split()).startswith("".join(shown.text.split()))
    assert shown.text == "" or shown.text.strip()
    assert "\n" not in rest[: shown.replaces]


@given(short, line, line)
def test_what_is_replaced_is_in_the_text(text: str, before: str, rest: str) -> None:
    """Only closers right of the cursor are replaced, and the text holds them: they are seen where they were."""
    shown = trim_module.trim(text, Place(before, rest))
    characters = iter(shown.text)
    assert all(char in characters for char in rest[: shown.replaces])
    assert set(rest[: shown.replaces]) <= set(")]}\"'`")


@given(code, code, line)
def test_one_line_before_other_text(text: str, before: str, rest: str) -> None:
    """Where text stands right of the cursor, no suggestion has more than one line."""
    if rest.strip():
        assert "\n" not in trim_module.trim(text, Place(before, rest)).text
