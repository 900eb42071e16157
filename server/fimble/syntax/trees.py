"""The latest syntax tree of a few documents, kept up by parsing only what changed.

tree-sitter counts bytes of UTF-8, Fimble counts code points; nobody outside this room sees a byte.  A document is
*unknown* (``None``) if its language has no grammar, if it is too large, or if parsing it takes too long.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from fimble.core import Document
from fimble.syntax.encoded import encode
from fimble.syntax.grammars import has_region_edge, new_parser, parser_for, region_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from tree_sitter import Node, Parser, Tree

#: Nothing larger is parsed.  The first parse of so much takes about 0.05 s, and the event loop waits for it.
MAX_BYTES = 400_000

#: A parse that takes longer is given up: the first one of a text, and one that only follows an edit.  This is the
#: thread's own time: that others keep the cores busy does not make a text worse.
_FIRST_PARSE_S = 0.15
_NEXT_PARSE_S = 0.004

#: Where an edit makes something else of all that follows, a text whose first parse took no longer is parsed anew at
#: once; a larger one in the next pause.
_AT_ONCE_S = 0.008

#: How much the parser is given at once: it asks anew wherever it goes on after a part that did not change.
_CHUNK_BYTES = 4096

_QUOTE = re.compile(r"""[A-Za-z@$#]*("{3}|'{3}|"|'|`)""")
_COMMENT_ENDS = (b"*/", b"-->", b"]]")


class Kind(StrEnum):
    """What a cursor is in."""

    CODE = "code"
    STRING = "string"
    COMMENT = "comment"
    TEXT = "text"
    """The text of a page: HTML, or JSX between its tags."""


class _Parsed(NamedTuple):
    source: str
    encoded: bytes
    tree: Tree | None
    """None if parsing it took too long."""
    base: tuple[Tree, bytes] | None
    """The last tree there was, and its text: what the next parse starts from; None if there never was one."""
    first_s: float
    """How long the first parse took."""


class Trees:
    """The trees of the documents that were asked about last."""

    def __init__(self, limit: int = 4) -> None:
        self._limit = limit
        self._kept: OrderedDict[tuple[str, str], _Parsed] = OrderedDict()

    def at(self, document: Document, offset: int) -> Spot | None:
        """The syntax around *offset*; None if it is unknown."""
        whole = document.text.source
        if len(whole) > MAX_BYTES:
            return None
        language, start, end = region_at(document.language, whole, offset)
        parser = parser_for(language)
        if parser is None:
            return None
        source = whole if end - start == len(whole) else whole[start:end]
        parsed = self._parse(parser, (document.uri, language), source)
        if parsed.tree is None:
            return None
        return Spot(parser, parsed.tree, source, parsed.encoded, offset - start, is_region=source is not whole)

    def is_behind(self, uri: str) -> bool:
        """Whether a document that had a tree has none now: an open docstring, say, makes strings of what follows."""
        return any(kept.base and not kept.tree for key, kept in self._kept.items() if key[0] == uri)

    def catch_up(self, document: Document, offset: int) -> None:
        """Parse *document* from its beginning, however long that takes.  For a thread of its own, in a pause."""
        language, start, end = region_at(document.language, document.text.source, offset)
        parser = new_parser(language)
        if parser is None or end - start > MAX_BYTES:
            return
        source = document.text.source[start:end]
        parsed = _parsed(parser, source, None)
        if parsed.tree:
            self._kept[document.uri, language] = parsed

    def forget(self, uri: str) -> None:
        """A document was closed."""
        for key in [key for key in self._kept if key[0] == uri]:
            del self._kept[key]

    def _parse(self, parser: Parser, key: tuple[str, str], source: str) -> _Parsed:
        last = self._kept.pop(key, None)
        if last is None or last.source != source:
            last = _parsed(parser, source, last)
        self._kept[key] = last
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)
        return last


@dataclass(frozen=True)
class Spot:
    """A cursor in a tree.  It stays as it is, whatever is parsed later."""

    _parser: Parser
    _tree: Tree
    _source: str
    _encoded: bytes
    _offset: int
    is_region: bool = False
    """Whether this is a script or a style sheet in a page."""

    @cached_property
    def errors(self) -> int:
        """How many syntax errors the text has: what does not fit, and what is missing."""
        return _count_errors(self._tree.root_node)

    def errors_with(self, text: str, replaces: int = 0) -> int | None:
        """How many there would be if *text* replaced the *replaces* characters after the cursor.

        None if that takes too long to tell: then *text* turns much of what follows into something else.
        """
        if self.is_region and has_region_edge(text):
            return self.errors + 1
        start, end = self._byte, _byte_of(self._source, self._offset + replaces)
        put_in = encode(text)
        new = self._encoded[:start] + put_in + self._encoded[end:]
        tree = _parse_again(self._parser, self._tree, self._encoded, new, (start, end, start + len(put_in)))
        return None if tree is None else _count_errors(tree.root_node)

    @cached_property
    def kind(self) -> Kind:
        """What the cursor is in."""
        return self._place[0]

    @cached_property
    def quote(self) -> str:
        """The quote that opened the string the cursor is in; empty outside of strings."""
        return self._place[1]

    @cached_property
    def _byte(self) -> int:
        return _byte_of(self._source, self._offset)

    @cached_property
    def _place(self) -> tuple[Kind, str]:
        byte = self._byte
        node = self._tree.root_node.descendant_for_byte_range(max(byte - 1, 0), byte)
        while node is not None and node.parent is not None:
            kind = _kind_of(node)
            if kind is Kind.COMMENT and (byte < node.end_byte or not self._ends_itself(node)):
                return kind, ""
            # The content of a string is a node, too: its end is the string's closing quote, not the string's end.
            if kind is Kind.STRING and node.start_byte < byte < node.end_byte and (quote := self._quote_of(node)):
                return kind, quote
            if kind is Kind.TEXT:
                return kind, ""
            if kind is Kind.CODE and _is_inserted(node):
                break
            node = node.parent
        return Kind.CODE, ""

    def _ends_itself(self, node: Node) -> bool:
        return self._encoded[: node.end_byte].endswith(_COMMENT_ENDS)

    def _quote_of(self, node: Node) -> str:
        opening = _QUOTE.match(self._encoded[node.start_byte : node.start_byte + 8].decode("utf-8", "replace"))
        return opening[1] if opening else ""


def _kind_of(node: Node) -> Kind:
    name = node.type if node.is_named else ""
    if "comment" in name:
        return Kind.COMMENT
    if "string" in name or name in ("char_literal", "character_literal", "rune_literal", "quoted_attribute_value"):
        return Kind.STRING
    return Kind.TEXT if name in ("text", "jsx_text") else Kind.CODE


def _is_inserted(node: Node) -> bool:
    """Whether this is code within a string: ``${...}``, ``{...}``, ``$(...)``."""
    return node.type in ("interpolation", "template_substitution", "command_substitution", "expansion")


def _byte_of(source: str, offset: int) -> int:
    return min(offset, len(source)) if source.isascii() else len(source[:offset].encode("utf-8", "replace"))


def _parsed(parser: Parser, source: str, last: _Parsed | None) -> _Parsed:
    encoded = encode(source)
    if last is None:
        began = time.thread_time()
        tree, first_s = _run(parser, encoded, None, _FIRST_PARSE_S), time.thread_time() - began
        return _Parsed(source, encoded, tree, (tree, encoded) if tree else None, first_s)
    if last.base is None:  # it took too long once; it will not be waited for at every key
        return _Parsed(source, encoded, None, None, last.first_s)
    old_tree, old = last.base
    tree = _parse_again(parser, old_tree, old, encoded, _difference(old, encoded))
    if tree is None and last.first_s <= _AT_ONCE_S:
        tree = _run(parser, encoded, None, _FIRST_PARSE_S)
    return _Parsed(source, encoded, tree, (tree, encoded) if tree else last.base, last.first_s)


def _parse_again(parser: Parser, tree: Tree, old: bytes, new: bytes, change: tuple[int, int, int]) -> Tree | None:
    start, old_end, new_end = change
    edited = tree.copy()
    edited.edit(start, old_end, new_end, _point(old, start), _point(old, old_end), _point(new, new_end))
    return _run(parser, new, edited, _NEXT_PARSE_S)


def _run(parser: Parser, encoded: bytes, old: Tree | None, budget_s: float) -> Tree | None:
    """The tree of *encoded*; None if that takes longer than *budget_s*."""

    def read(byte: int, _point: tuple[int, int]) -> bytes:
        return encoded[byte : byte + _CHUNK_BYTES]

    def is_late(_byte: int, _has_error: bool) -> bool:
        return time.thread_time() > until

    until = time.thread_time() + budget_s
    try:
        if old is None:
            return parser.parse(read, progress_callback=is_late)
        return parser.parse(read, old, progress_callback=is_late)
    except ValueError:  # how the binding says that is_late has ended it
        parser.reset()
        return None


def _count_errors(root: Node) -> int:
    count, waiting = 0, [root]
    while waiting:
        node = waiting.pop()
        count += node.is_error or node.is_missing
        if node.has_error:
            waiting += node.children
    return count


def _difference(old: bytes, new: bytes) -> tuple[int, int, int]:
    """Where two texts begin to differ, and where the difference ends in each of them; whole characters."""
    shorter = min(len(old), len(new))
    start = _largest(shorter, lambda low, high: old[low:high] == new[low:high])
    while start and _is_inside(old, start) | _is_inside(new, start):
        start -= 1
    ends = len(old), len(new)
    same = _largest(
        shorter - start, lambda low, high: old[ends[0] - high : ends[0] - low] == new[ends[1] - high : ends[1] - low]
    )
    old_end, new_end = ends[0] - same, ends[1] - same
    while new_end < len(new) and _is_inside(new, new_end):
        old_end, new_end = old_end + 1, new_end + 1
    return start, old_end, new_end


def _largest(limit: int, is_same: Callable[[int, int], bool]) -> int:
    """The largest size, up to *limit*, of which every piece ``[low, high)`` is the same; compares each byte twice."""
    if is_same(0, limit):
        return limit
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        if is_same(low, middle):
            low = middle
        else:
            high = middle
    return low


def _is_inside(encoded: bytes, byte: int) -> bool:
    """Whether the byte goes on with a character that began before it."""
    return byte < len(encoded) and encoded[byte] & 0xC0 == 0x80


def _point(encoded: bytes, byte: int) -> tuple[int, int]:
    return encoded.count(b"\n", 0, byte), byte - (encoded.rfind(b"\n", 0, byte) + 1)
