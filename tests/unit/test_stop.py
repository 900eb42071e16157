"""Stop: where an answer ends, seen while it streams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble.core import Document
from fimble.suggest.place import Place, indent_of
from fimble.suggest.stop import Stop
from fimble.syntax import Trees
from fimble.text import Text

code = st.text(alphabet="ab: \n\t", max_size=80)


def at(marked: str, language: str = "plaintext") -> Place:
    """The place of the ``|`` in *marked*."""
    before, _, after = marked.partition("|")
    return Place(before, after, language)


def cut(text: str, marked: str, language: str = "plaintext", *, multiline: bool = True) -> str | None:
    """The answer as it is cut, or None while it goes on."""
    end = Stop(at(marked, language), multiline).cut(text)
    return None if end is None else text[:end]


def test_a_line_ends_at_its_end() -> None:
    """Inside a line the answer is the rest of that line."""
    assert cut("1 + 2", "x = |") is None
    assert cut("1 + 2\ny", "x = |") == "1 + 2"
    assert cut("\ny", "x = 1|") == ""


@pytest.mark.parametrize(
    ("marked", "is_block"),
    [
        ("def f():|", True),
        ("def f():\n    |", True),
        ("if (x) {|", True),
        ("call(|", True),
        ("items = [|", True),
        ("const f = () =>|", True),
        ("def f():   |", True),
        ("x = 1|", False),
        ("x = 1\n|", False),
        ("|", False),
        ("\n\n|", False),
        ("call(|)", False),
        ("def f():|  # note", False),
        ("def f():\n    |\n\nnext()", True),
        ("def f():\n    |\n    return 1", False),
        ("    if x:\n        |\n    else:\n        pass", True),
    ],
)
def test_a_block_is_wanted_after_its_opener_only(marked: str, is_block: bool) -> None:
    """A block is written after a line that opens one, at that line's end, where there is no body yet."""
    assert Stop(at(marked), multiline=True).is_block is is_block
    assert not Stop(at(marked), multiline=False).is_block


def test_a_block_ends_where_the_indentation_does() -> None:
    """The first line with text that is not indented below the opener is not part of the block."""
    body = "\n    a = 1\n\n    return a"
    assert cut(body, "def f():|") is None
    assert cut(body + "\n\ndef g():", "def f():|") == body + "\n"
    assert cut(body + "\n  b", "  def f():|") == body


def test_blank_lines_do_not_end_a_block() -> None:
    """Empty lines, also with blanks in them, may stand inside a block."""
    assert cut("\n    a\n\n  \n    b", "def f():|") is None


def test_an_unfinished_line_is_not_judged_by_its_blanks() -> None:
    """Blanks may still become an indentation: only a character says where a line begins."""
    assert cut("\n    a\n", "def f():|") is None
    assert cut("\n    a\n  ", "def f():|") is None
    assert cut("\n    a\nb", "def f():|") == "\n    a"


def test_the_cursors_line_is_part_of_the_block() -> None:
    """On an indented new line the first piece of the answer has no indentation of its own."""
    assert cut("a = 1\n    b = 2\nc", "def f():\n    |") == "a = 1\n    b = 2"


def test_a_block_is_not_endless() -> None:
    """After a dozen lines a block ends, whatever the model goes on to write."""
    body = "".join(f"\n    line{n}" for n in range(50))
    text = cut(body, "def f():|")
    assert text is not None
    assert text == "".join(f"\n    line{n}" for n in range(11))
    assert cut("\n    a" + "\n" * 50, "def f():|") is not None


def test_tabs_indent() -> None:
    """A tab reaches to the next multiple of four, so a body in tabs is deeper than its opener."""
    assert [indent_of(text) for text in ("x", "  x", "\tx", "  \tx", "    \tx", "")] == [0, 2, 4, 4, 8, 0]
    assert cut("\n\t\ta\n\tb", "\tif x {|") == "\n\t\ta"


@given(code, code, st.booleans())
def test_the_end_does_not_depend_on_the_pieces(text: str, before: str, multiline: bool) -> None:
    """However the answer is cut into tokens, its end is found at the same place, and stays there."""
    stop = Stop(Place(before, ""), multiline)
    seen = [end for size in range(len(text) + 1) if (end := stop.cut(text[:size])) is not None]
    assert len(set(seen)) <= 1
    assert (stop.cut(text) is None) == (not seen)


@given(code, code)
def test_without_blocks_there_is_one_line(text: str, before: str) -> None:
    """With multiline off, no answer has a line ending in it."""
    end = Stop(Place(before, ""), multiline=False).cut(text)
    assert "\n" not in (text if end is None else text[:end])


def test_a_model_that_is_stuck_is_stopped() -> None:
    """An answer that repeats itself and goes on doing so ends at its first round; a short table does not."""
    stop = Stop(Place("values = [", ""), multiline=False)
    assert stop.cut('"x", ' * 8) == len('"x", ')
    assert stop.cut("0, " * 6) is None


def test_a_colon_inside_brackets_opens_no_block() -> None:
    """The colon of an annotation, a slice or a key is not the end of a line that opens a block."""
    for opener in ("def reprice(self, isbn:", "rows[1:", "options = {'colour':"):
        assert not Stop(Place(opener, ""), multiline=True).is_block
    assert Stop(Place("def reprice(self, isbn):", ""), multiline=True).is_block


@pytest.mark.parametrize(
    ("language", "marked", "text", "shown"),
    [
        ("python", "|", "x = f(\n    a,\n)\ny", "x = f(\n    a,\n)"),
        ("python", "x = f(a, |", "b,\n      c)\ny", "b,\n      c)"),
        ("python", "x = f(a, |\n      c)", "b,\n      c)\ny", "b,"),
        ("python", "x = |", "'(['\ny", "'(['"),
        ("python", "x = |", '"""a\n(\n"""\ny', '"""a\n(\n"""'),
        ("python", "x = |", "1  # (\ny", "1  # ("),
        ("python", "# |", "a (b\ny", "a (b"),
        ("python", "x = a + \\\n    |", "b + \\\n    c\ny", "b + \\\n    c"),
        ("python", "|", "@a\n@b(\n    1\n)\ndef f():\n    pass", "@a\n@b(\n    1\n)\ndef f():"),
        ("rust", "|", "let a = b\n    .c()\n    .d();\ne", "let a = b\n    .c()\n    .d();"),
        ("rust", "|", "let a = '(';\ne", "let a = '(';"),
        ("rust", "if a {|", "\n    b();\n}\nc();", "\n    b();\n}"),
        ("rust", "if a {|\n}", "\n    b();\n}\nc();", "\n    b();"),
        ("javascript", "f(() => {|", "\n  a();\n});\nb();", "\n  a();\n});"),
        ("javascript", "if (a) {|", "\n  b();\n} else {\n  c();\n}", "\n  b();\n}"),
        ("javascript", "|", "f({\n  a,\n});\nb", "f({\n  a,\n});"),
        ("lua", "for i = 1, n do|", "\n  a()\nend\nb()", "\n  a()\nend"),
        ("lua", "for i = 1, n do|", "\n  a()\nendless()\n", "\n  a()"),
        ("ruby", "def one|\nend", "\n  1\nend\n", ""),
        ("shellscript", "|", "if a; then\n  b\nfi\nc", "if a; then\n  b\nfi"),
        ("python", "x: Map[|", "str, int] = {}\ny", "str, int] = {}"),
        ("python", "if x[|", ":1] == y:\n    z()", ":1] == y:"),
        ("javascript", "const a = (b) =>|", " {\n  c();\n};\nd();", " {\n  c();\n};"),
        ("css", "a {\n  color:|", " red;\n  b: c;", " red;"),
    ],
)
def test_a_statement_ends_where_its_brackets_are_closed(language: str, marked: str, text: str, shown: str) -> None:
    """Brackets, strings, comments, decorators and chains of calls decide where a statement or a block ends."""
    assert cut(text, marked, language) == shown


@pytest.mark.parametrize(
    ("marked", "text", "shown"),
    [
        ("f(|) + 1", "a, g(b)) * 2", "a, g(b)"),
        ("f(|, b)", "a)", "a"),
        ("f(|)", "a).b()\nc", "a).b()"),
        ("f(|)", "a)\nc", "a)"),
        ("print('|')", "a')\nc", "a')"),
        ("f(|)", "a,\n  b)", "a,"),
        ("x[|] = 1", "')]'] = 2", "')]'"),
    ],
)
def test_an_answer_ends_before_a_closer_that_stands_right(marked: str, text: str, shown: str) -> None:
    """Before other text the answer keeps inside of its bracket; before mere closers it may go on to the line's end."""
    assert cut(text, marked, "python") == shown


def test_a_statement_is_not_endless() -> None:
    """A bracket that is never closed ends a statement after a dozen lines."""
    items = [f"\n    {number}," for number in range(50)]
    assert cut("x = [" + "".join(items), "|", "python") == "x = [" + "".join(items[:11])


def test_control_tokens_end_an_answer() -> None:
    """What a model writes after a control token is nobody's answer."""
    assert cut("a + b<|endoftext|>def f", "x = |") == "a + b"
    assert cut("a + b<|endoft", "x = |") is None


@pytest.mark.parametrize(
    ("marked", "is_block"),
    [("x = 1  # note:\n|", False), ("if a:  # note\n    |", True), ("x = 'a:|", False), ("f(a, |", False)],
)
def test_comments_and_strings_open_no_block(marked: str, is_block: bool) -> None:
    """Only code opens a block, also if a comment stands behind it."""
    assert Stop(at(marked, "python"), multiline=True).is_block is is_block


def test_the_tree_knows_the_string_that_the_line_does_not_show() -> None:
    """In the middle of a long string an answer is text: it ends with its line, and its brackets mean nothing."""
    source = 'x = """\n    one\n    \n"""\n'
    offset = source.index("\n", 14)
    document = Document("file:///a", "a.py", "python", 1, Text(source))
    spot = Trees().at(document, offset)
    assert Stop(Place.at(document, offset), True, spot).cut("two (\nthree") == len("two (")


@given(
    st.text(alphabet="ab(){}[]'\"`#/*\\\n .;:end", max_size=60),
    st.text(alphabet="ab({[]'\"\n :", max_size=20),
    st.sampled_from(("python", "rust", "javascript", "lua", "shellscript", "c", "css", "plaintext")),
)
def test_the_end_of_code_does_not_depend_on_the_pieces(text: str, before: str, language: str) -> None:
    """However an answer in any language is cut into tokens, its end is found at the same place, and stays there."""
    stop = Stop(Place(before, "", language), multiline=True)
    seen = [end for size in range(len(text) + 1) if (end := stop.cut(text[:size])) is not None]
    assert len(set(seen)) <= 1
    assert (stop.cut(text) is None) == (not seen)
