"""Text: the server's copy of a document equals the client's, whatever is edited and however positions count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble.text import Encoding, Text

PIECES = (
    "a",
    "b",
    "_",
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\f",
    "\v",
    "\x85",
    "\u2028",
    "é",
    "e\u0301",
    "漢",
    "😀",
    "👩‍💻",
)

texts = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)
encodings = st.sampled_from(list(Encoding))
numbers = st.integers(min_value=0, max_value=14)
positions = st.tuples(numbers, numbers)
edits = st.lists(st.tuples(positions, positions, texts), min_size=1, max_size=6)

#: Python's codec and the bytes of one unit of LSP's ``character``.
CODECS = {Encoding.UTF8: ("utf-8", 1), Encoding.UTF16: ("utf-16-le", 2), Encoding.UTF32: ("utf-32-le", 4)}


def client_lines(text: str) -> list[tuple[str, str]]:
    """An editor's own view: every line with its ending, read one character after the other."""
    lines, line = [], ""
    at = 0
    while at < len(text):
        if text[at : at + 2] == "\r\n":
            lines.append((line, "\r\n"))
            line, at = "", at + 2
        elif text[at] in "\r\n":
            lines.append((line, text[at]))
            line, at = "", at + 1
        else:
            line, at = line + text[at], at + 1
    return [*lines, (line, "")]


def client_split(text: str, position: tuple[int, int], encoding: Encoding) -> tuple[str, str]:
    """The text before and after a position, found by counting bytes of the encoded line."""
    lines = client_lines(text)
    if position[0] >= len(lines):
        return text, ""
    codec, unit = CODECS[encoding]
    line, _ = lines[position[0]]
    # Half a character at the cut is dropped by "ignore": the position moves to its start.
    left = line.encode(codec)[: position[1] * unit].decode(codec, "ignore")
    before = "".join(line + end for line, end in lines[: position[0]]) + left
    return before, text[len(before) :]


def client_edit(text: str, start: tuple[int, int], end: tuple[int, int], new: str, encoding: Encoding) -> str:
    first, last = sorted((start, end))
    return client_split(text, first, encoding)[0] + new + client_split(text, last, encoding)[1]


def line_starts(text: Text) -> list[int]:
    return [text.line_start(line) for line in range(text.line_count)]


@given(texts, edits, encodings)
def test_edits_keep_server_and_client_equal(
    source: str, changes: list[tuple[tuple[int, int], tuple[int, int], str]], encoding: Encoding
) -> None:
    """After any edits, in any encoding, also with positions that do not exist, both have the same text."""
    client, server = source, Text(source)
    for start, end, new in changes:
        client = client_edit(client, start, end, new, encoding)
        server = server.replace(server.offset_at(*start, encoding), server.offset_at(*end, encoding), new)
        assert server.source == client


@given(texts, edits)
def test_line_starts_are_kept_up_to_date(
    source: str, changes: list[tuple[tuple[int, int], tuple[int, int], str]]
) -> None:
    """Line starts that were carried through edits equal those of a full scan."""
    text = Text(source)
    for (a, b), (c, d), new in changes:
        text = text.replace(min(a + b, len(text)), min(c + d, len(text)), new)
        assert line_starts(text) == line_starts(Text(text.source))


@given(texts)
def test_lines_are_those_of_the_protocol(source: str) -> None:
    """Lines end at \\n, \\r\\n and \\r and at nothing else; together with their endings they are the text."""
    text = Text(source)
    expected = client_lines(source)
    assert [text.line(line) for line in range(text.line_count)] == [line for line, _ in expected]
    ends = [*line_starts(text)[1:], len(source)]
    assert [source[text.line_end(n) : end] for n, end in enumerate(ends)] == [ending for _, ending in expected]


@given(texts, encodings)
def test_positions_and_offsets_are_inverse(source: str, encoding: Encoding) -> None:
    """Every offset that a cursor can have becomes a position and the same offset again."""
    text = Text(source)
    for offset in range(len(source) + 1):
        if source[offset - 1 : offset + 1] != "\r\n":
            assert text.offset_at(*text.position_at(offset, encoding), encoding) == offset


@given(texts, encodings, positions)
def test_every_position_is_moved_to_one_that_exists(source: str, encoding: Encoding, position: tuple[int, int]) -> None:
    """A position that does not exist lands where the independent client puts it, inside its own line."""
    text = Text(source)
    offset = text.offset_at(*position, encoding)
    assert offset == len(client_split(source, position, encoding)[0])
    assert text.line_of(offset) == min(position[0], text.line_count - 1)


@given(texts, st.integers(min_value=-3, max_value=60))
def test_line_of_agrees_with_the_line_starts(source: str, offset: int) -> None:
    """The line of an offset is the last one that begins at or before it."""
    text = Text(source)
    inside = min(max(offset, 0), len(source))
    assert text.line_of(inside) == max(n for n, start in enumerate(line_starts(text)) if start <= inside)


@pytest.mark.parametrize(
    ("encoding", "characters"), [(Encoding.UTF8, (1, 2, 3)), (Encoding.UTF16, (1,)), (Encoding.UTF32, ())]
)
def test_the_middle_of_a_character_is_its_start(encoding: Encoding, characters: tuple[int, ...]) -> None:
    """A position inside an emoji's bytes or surrogates is the place before the emoji."""
    assert [Text("😀x").offset_at(0, character, encoding) for character in characters] == [0] * len(characters)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_nonsense_positions_are_moved_inside(encoding: Encoding) -> None:
    """Negative and huge lines and characters are moved to the ends of the text or the line."""
    text = Text("ab\r\ncd")
    assert text.offset_at(-1, 5, encoding) == 0
    assert text.offset_at(0, -7, encoding) == 0
    assert text.offset_at(0, 10**9, encoding) == 2
    assert text.offset_at(10**9, 0, encoding) == 6
    assert text.position_at(-5, encoding) == (0, 0)
    assert text.position_at(10**9, encoding) == (1, 2)


def test_a_reversed_range_is_turned_round() -> None:
    """An edit whose end stands before its start replaces the same text."""
    assert Text("abcdef").replace(4, 1, "X").source == "aXef"


def test_an_edit_can_join_and_split_line_endings() -> None:
    """\\r and \\n that come together are one line ending, and two again when something comes between them."""
    joined = Text("a\rb\nc").replace(2, 3, "")
    assert (joined.source, line_starts(joined)) == ("a\r\nc", [0, 3])
    split = joined.replace(2, 2, "x")
    assert (split.source, line_starts(split)) == ("a\rx\nc", [0, 2, 4])


def test_a_snapshot_never_changes() -> None:
    """Whoever holds a text keeps that version, whatever is typed meanwhile."""
    before = Text("one\ntwo")
    before.replace(0, 3, "1\n1")
    assert (before.source, line_starts(before)) == ("one\ntwo", [0, 4])


def test_lone_surrogates_are_counted_like_an_editor_does() -> None:
    """Half an emoji, which JSON can carry, has one UTF-16 unit and does not break the arithmetic."""
    text = Text("a\ud83db")
    assert text.offset_at(0, 2, Encoding.UTF16) == 2
    assert text.position_at(3, Encoding.UTF16) == (0, 3)
