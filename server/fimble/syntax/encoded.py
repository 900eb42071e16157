"""A text as tree-sitter reads it, and the way back from bytes to code points."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

_LONE_CR = re.compile(rb"\r(?!\n)")
_CONTINUATION = re.compile(rb"[\x80-\xbf]+")


def encode(text: str) -> bytes:
    """UTF-8, half an emoji as ``?``; a lone ``\\r``, which ends a line here, as what ends one for grammars."""
    encoded = text.encode("utf-8", "replace")
    return _LONE_CR.sub(b"\n", encoded) if b"\r" in encoded else encoded


class Encoded:
    """A text, its bytes, and which code point each byte belongs to."""

    __slots__ = ("_ends", "_extra", "data", "is_ascii", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.data = encode(source)
        self.is_ascii = len(self.data) == len(source)
        runs = [] if self.is_ascii else [match.span() for match in _CONTINUATION.finditer(self.data)]
        self._ends = [end for _, end in runs]
        self._extra = [0, *accumulate(end - start for start, end in runs)]

    def offset(self, byte: int) -> int:
        """The code point that begins at *byte*."""
        return byte if self.is_ascii else byte - self._extra[bisect_right(self._ends, byte)]

    def span(self, node: Node) -> tuple[int, int]:
        """Where a node starts and ends."""
        if self.is_ascii:
            return node.start_byte, node.end_byte
        return self.offset(node.start_byte), self.offset(node.end_byte)

    def text(self, node: Node) -> str:
        """What a node spans, as it was written."""
        if self.is_ascii:
            return self.source[node.start_byte : node.end_byte]
        return self.source[self.offset(node.start_byte) : self.offset(node.end_byte)]
