"""Where a completion could begin and end: places in a text, drawn the way people stop typing.

Works on UTF-8 bytes: indentation and brackets are ASCII, and no cut falls inside a character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

#: Longest middle, in bytes; longer ones are drawn again.
_LONGEST = 600

#: Mean length of a random span, in bytes.
_RANDOM_MEAN = 80.0

#: How many lines above the cursor an anchor may lie, and how often it lies above at all.
_ANCHOR_LINES = 8
_ANCHOR_ABOVE = 0.3

_OPENERS = {ord("("): ord(")"), ord("["): ord("]"), ord("{"): ord("}")}
_CLOSERS = frozenset(_OPENERS.values())
_OPENER = re.compile(rb"[(\[{]")


@dataclass(frozen=True, slots=True)
class Cut:
    """Byte offsets: the prompt's prefix ends at ``anchor``, what was typed at ``cursor``, the middle at ``end``."""

    anchor: int
    cursor: int
    end: int


class Cutter:
    """Draws cuts of one text."""

    def __init__(self, text: bytes, rng: np.random.Generator) -> None:
        self._text = text
        self._rng = rng
        self._starts = [0, *(match.end() for match in re.finditer(rb"\n", text))]
        if self._starts[-1] == len(text):
            self._starts.pop()

    def draw(self, anchored: float) -> Cut | None:
        """A cut, with the chance *anchored* in the product's own form; None if the text has no place for one.

        The kinds and their shares: the rest of a line 35 %, whole lines 15 %, several lines or a block 15 %,
        inside brackets or an argument 20 %, anything 15 %.
        """
        kinds = (self._half_line, self._whole_line, self._block, self._brackets, self._anything)
        for _ in range(8):
            kind = kinds[int(self._rng.choice(len(kinds), p=(0.35, 0.15, 0.15, 0.20, 0.15)))]
            span = kind()
            if span is None:
                continue
            start, end = self._align(span[0]), self._align(span[1])
            if 0 < end - start <= _LONGEST and self._text[start:end].strip():
                return Cut(self._anchor(start) if self._rng.random() < anchored else start, start, end)
        return None

    def _align(self, offset: int) -> int:
        """Back to the start of the character that *offset* falls into."""
        while 0 < offset < len(self._text) and self._text[offset] & 0xC0 == 0x80:
            offset -= 1
        return offset

    def _anchor(self, cursor: int) -> int:
        """The start of the cursor's line or, now and then, of a line above: typing goes on below its anchor."""
        line = int(np.searchsorted(self._starts, cursor, side="right")) - 1
        if self._rng.random() < _ANCHOR_ABOVE:
            line = max(0, line - int(self._rng.integers(1, _ANCHOR_LINES + 1)))
        return self._starts[line]

    def _line(self, number: int) -> tuple[int, int, int]:
        """Start, first character that is no space or tab, and end (before the newline) of a line."""
        start = self._starts[number]
        end = self._text.find(b"\n", start)
        end = len(self._text) if end < 0 else end
        line = self._text[start:end]
        return start, start + len(line) - len(line.lstrip(b" \t")), end

    def _some_line(self) -> int | None:
        """The number of a line with at least three characters on it."""
        for _ in range(8):
            number = int(self._rng.integers(len(self._starts)))
            _, first, end = self._line(number)
            if end - first >= 3:
                return number
        return None

    def _half_line(self) -> tuple[int, int] | None:
        number = self._some_line()
        if number is None:
            return None
        _, first, end = self._line(number)
        return int(self._rng.integers(first, end)), end

    def _whole_line(self) -> tuple[int, int] | None:
        number = self._some_line()
        if number is None:
            return None
        start, first, end = self._line(number)
        return (start if self._rng.random() < 0.5 else first), end

    def _block(self) -> tuple[int, int] | None:
        """From a line (its start, its first character, or anywhere in it) to the end of what is indented below."""
        number = self._some_line()
        if number is None:
            return None
        start, first, end = self._line(number)
        last = end
        deeper = self._rng.random() < 0.6
        for below in range(number + 1, min(number + 13, len(self._starts))):
            start_below, first_below, end_below = self._line(below)
            blank = first_below == end_below
            indent, indent_below = first - start, first_below - start_below
            if not blank and (indent_below < indent or (deeper and indent_below == indent)):
                break
            if not blank:
                last = end_below
                if self._rng.random() < 0.12:
                    break
        if last == end:
            return None
        return (start, first, int(self._rng.integers(first, end)))[int(self._rng.integers(3))], last

    def _brackets(self) -> tuple[int, int] | None:
        """What stands between brackets, one of its parts between commas, or the rest of either."""
        openers = [match.start() for match in _OPENER.finditer(self._text)]
        if not openers:
            return None
        opener = openers[int(self._rng.integers(len(openers)))]
        commas, end = self._inside(opener)
        if end is None or end <= opener + 1:
            return None
        start = opener + 1
        if commas and self._rng.random() < 0.5:
            edges = [opener, *commas, end]
            part = int(self._rng.integers(len(edges) - 1))
            start, end = edges[part] + 1, edges[part + 1]
        if self._rng.random() < 0.3:
            start = int(self._rng.integers(start, end)) if end > start else start
        return start, end

    def _inside(self, opener: int) -> tuple[list[int], int | None]:
        """The commas of a bracket's own level and where it closes; None if that is too far away or never.

        Brackets in strings and comments are not told apart: such a span is odd now and then, and does no harm.
        """
        stack: list[int] = []
        commas: list[int] = []
        for offset in range(opener, min(opener + _LONGEST + 1, len(self._text))):
            byte = self._text[offset]
            if byte in _OPENERS:
                stack.append(_OPENERS[byte])
            elif byte in _CLOSERS:
                if stack.pop() != byte:
                    return commas, None
                if not stack:
                    return commas, offset
            elif byte == ord(",") and len(stack) == 1:
                commas.append(offset)
        return commas, None

    def _anything(self) -> tuple[int, int] | None:
        start = int(self._rng.integers(len(self._text)))
        return start, min(len(self._text), start + 1 + int(self._rng.exponential(_RANDOM_MEAN)))
