"""Immutable document text with line starts, and positions in every encoding that LSP allows.

Lines end at ``\\n``, ``\\r\\n`` and ``\\r`` only (LSP 3.18, "Text Documents").  Python's ``str.splitlines`` also
breaks at form feeds, U+2028 and friends, which puts edits into the wrong place; it must not be used here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from enum import StrEnum
from itertools import accumulate

_LINE_END = re.compile(r"\r\n|\n|\r")


class Encoding(StrEnum):
    """What one unit of an LSP ``character`` counts (LSP 3.17, ``PositionEncodingKind``)."""

    UTF8 = "utf-8"
    UTF16 = "utf-16"
    UTF32 = "utf-32"


class Text:
    """A whole document as it stood at one moment.

    Offsets are code points.  Every position that does not exist is moved to the nearest one that does: a line
    past the end to the end of the text, a character past the end of its line to before the line's ending, the
    middle of a character to its start.
    """

    __slots__ = ("_starts", "source")

    def __init__(self, source: str, _starts: list[int] | None = None) -> None:
        self.source = source
        self._starts = _line_starts(source) if _starts is None else _starts

    def __len__(self) -> int:
        return len(self.source)

    @property
    def line_count(self) -> int:
        """Number of lines; a text that ends with a line ending has an empty last line."""
        return len(self._starts)

    def line_of(self, offset: int) -> int:
        """The line that holds *offset*, counted from 0."""
        return bisect_right(self._starts, offset) - 1

    def line_start(self, line: int) -> int:
        """The offset of the first character of *line*."""
        return self._starts[line]

    def line_end(self, line: int) -> int:
        """The offset just before the ending of *line*."""
        if line + 1 >= len(self._starts):
            return len(self.source)
        end = self._starts[line + 1] - 1
        if self.source[end] == "\n" and end > self._starts[line] and self.source[end - 1] == "\r":
            end -= 1
        return end

    def line(self, line: int) -> str:
        """The text of *line* without its ending."""
        return self.source[self._starts[line] : self.line_end(line)]

    def offset_at(self, line: int, character: int, encoding: Encoding) -> int:
        """The offset of an LSP position; what does not exist is moved to the nearest place that does."""
        if line < 0:
            return 0
        if line >= len(self._starts):
            return len(self.source)
        text = self.line(line)
        return self._starts[line] + _code_points(text, max(character, 0), encoding)

    def position_at(self, offset: int, encoding: Encoding) -> tuple[int, int]:
        """The LSP position (line, character) of *offset*."""
        offset = min(max(offset, 0), len(self.source))
        line = self.line_of(offset)
        return line, _units(self.source[self._starts[line] : offset], encoding)

    def replace(self, start: int, end: int, new: str) -> Text:
        """The text with ``[start, end)`` replaced by *new*.

        Only the lines that the edit touches are scanned again: one more on each side, because an edit can
        split or join a ``\\r\\n``.
        """
        if start > end:
            start, end = end, start
        source = self.source[:start] + new + self.source[end:]
        first = max(self.line_of(start) - 1, 0)
        last = min(self.line_of(end) + 1, len(self._starts) - 1)
        shift = len(new) - (end - start)
        scan_start = self._starts[first]
        scan_end = self._starts[last + 1] if last + 1 < len(self._starts) else len(self.source)
        scanned = (m.end() for m in _LINE_END.finditer(source, scan_start, scan_end + shift))
        tail = self._starts[last + 1 :]
        starts = self._starts[: first + 1]
        starts += scanned
        if tail and starts[-1] == tail[0] + shift:
            starts.pop()
        starts += [s + shift for s in tail] if shift else tail
        return Text(source, starts)


def _line_starts(source: str) -> list[int]:
    if "\r" in source:
        return [0, *(m.end() for m in _LINE_END.finditer(source))]
    # A third of the time that the expression takes.
    starts = list(accumulate([len(line) + 1 for line in source.split("\n")], initial=0))
    return starts[:-1]


def _units(text: str, encoding: Encoding) -> int:
    if encoding is Encoding.UTF32 or text.isascii():
        return len(text)
    if encoding is Encoding.UTF16:
        return len(text) + sum(c > "\uffff" for c in text)
    return len(text.encode("utf-8", "surrogatepass"))


def _code_points(line: str, units: int, encoding: Encoding) -> int:
    """How many code points of *line* fit into *units*, without cutting a character in two."""
    if encoding is Encoding.UTF32 or line.isascii():
        return min(units, len(line))
    seen = 0
    for index, char in enumerate(line):
        seen += _units(char, encoding)
        if seen > units:
            return index
    return len(line)
