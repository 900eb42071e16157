"""From captured names to references: what is left when definitions and imports are taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fimble.syntax.symbols import Import, Reference

if TYPE_CHECKING:
    from tree_sitter import Node

    from fimble.syntax.encoded import Encoded

_LINK_ENDS = frozenset(".:>\\$")

#: No more stands between a name and what it is taken from.
_MAX_GAP = 100

#: They say where they are and nothing more, so they are receivers only.
_SELVES = ("self", "this", "super", "cls", "base", "Self", "crate")

#: What grammars take for names.
_NO_NAMES = frozenset({*_SELVES, "", "_", "parent", "static", "var"})


def references(
    uses: Mapping[str, list[Node]],
    links: frozenset[str],
    text: Encoded,
    defined: set[int],
    imported: Sequence[Import],
) -> list[Reference]:
    """The uses of names, in order of place; *defined* is where names are defined."""
    # This loop is most of what an outline costs beside parsing; thus local names, and tuples made without a detour.
    source, offset, make = text.source, text.offset, tuple.__new__
    calls = {offset(node.start_byte) for node in uses.get("reference.call", ())}
    skipped = defined.union([offset(node.start_byte) for node in uses.get("defined", ())])
    # The binding gives them in no order, and twice what two patterns have seen.
    spans = sorted({(node.start_byte, node.end_byte) for node in uses.get("reference", ())})
    if not text.is_ascii:
        spans = [(offset(start), offset(end)) for start, end in spans]
    found: list[Reference] = []
    closed = iter(_closed(uses, text, imported))
    closed_start, closed_end = next(closed)
    last, path_end = "", 0
    for start, end in spans:
        if start < path_end:
            continue
        while closed_end <= start >= closed_start:
            closed_start, closed_end = next(closed)
        name = path = source[start:end]
        receiver = ""
        if start and source[start - 1] in _LINK_ENDS:
            receiver = _receiver(source, start, last, path_end, links)
            path = f"{receiver}.{name}" if receiver else name
        last, path_end = path, end
        if start < closed_start and start not in skipped and name not in _NO_NAMES:
            found.append(make(Reference, (name, start, start in calls, receiver)))
    return found


def _closed(uses: Mapping[str, list[Node]], text: Encoded, imported: Sequence[Import]) -> list[tuple[int, int]]:
    """Where no references are; the last is behind the text."""
    skipped = [text.span(node) for node in uses.get("skipped", ())]
    return [*sorted([(one.start, one.end) for one in imported] + skipped), (len(text.source) + 1, 0)]


def _receiver(source: str, start: int, path: str, path_end: int, links: frozenset[str]) -> str:
    """What a name is taken from: *path*, which ends at *path_end*, or a word that is no name, such as ``this``."""
    gap = source[path_end:start] if start - path_end < _MAX_GAP else ""
    if path and (gap == "." or gap.strip().rstrip("$") in links):
        return path
    before = source[max(0, start - 12) : start].rstrip(".:>-?!&$\\ \t\r\n")
    for word in _SELVES:
        if before.endswith(word) and not before[: -len(word)][-1:].isidentifier():
            return word
    return ""
