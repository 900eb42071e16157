"""From captured names to references: what is left when definitions and imports are taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fimble.syntax.symbols import Import, Reference

if TYPE_CHECKING:
    from tree_sitter import Node

    from fimble.syntax.encoded import Encoded

_LINK_ENDS = frozenset(".:>\\")

#: They say where they are and nothing more, so they are receivers only.
_SELVES = ("self", "this", "super", "cls", "base", "Self", "crate")

#: What grammars take for names.
_NO_NAMES = frozenset({*_SELVES, "", "_", "var"})


def references(
    uses: Mapping[str, list[Node]],
    links: frozenset[str],
    text: Encoded,
    defined: set[int],
    imported: Sequence[Import],
) -> list[Reference]:
    """The uses of names, in order of place; *defined* is where names are defined."""
    calls = {node.start_byte for node in uses.get("reference.call", ())}
    source, offset, is_ascii = text.source, text.offset, text.is_ascii
    # The binding gives them in no order.
    spans = sorted([(node.start_byte, node.end_byte) for node in uses.get("reference", ())])
    skipped = defined.union(offset(node.start_byte) for node in uses.get("defined", ()))
    found: list[Reference] = []
    until, coming = 0, iter(_closed(uses, text, imported))
    import_start, import_end = next(coming)
    path, path_end = "", -1
    for byte, end_byte in spans:
        start, end = (byte, end_byte) if is_ascii else (offset(byte), offset(end_byte))
        if start < until:  # two patterns have seen it
            continue
        until = end
        while start >= import_end and start >= import_start:
            import_start, import_end = next(coming)
        name = source[start:end]
        receiver = ""
        if start and source[start - 1] in _LINK_ENDS:
            receiver = _receiver(source, start, path, path_end, links)
        path, path_end = f"{receiver}.{name}" if receiver else name, end
        if start in skipped or start >= import_start or name in _NO_NAMES:
            continue
        found.append(Reference(name, start, byte in calls, receiver))
    return found


def _closed(uses: Mapping[str, list[Node]], text: Encoded, imported: Sequence[Import]) -> list[tuple[int, int]]:
    """Where no references are; the last is behind the text."""
    skipped = [text.span(node) for node in uses.get("skipped", ())]
    return [*sorted([(one.start, one.end) for one in imported] + skipped), (len(text.source) + 1, 0)]


def _receiver(source: str, start: int, path: str, path_end: int, links: frozenset[str]) -> str:
    """What a name is taken from: *path*, which ends at *path_end*, or a word that is no name, such as ``this``."""
    if path_end >= 0 and start - path_end < 100 and source[path_end:start].strip() in links:
        return path
    before = source[max(0, start - 12) : start].rstrip(".:>-?!&\\ \t\r\n")
    for word in _SELVES:
        if before.endswith(word) and not before[: -len(word)][-1:].isidentifier():
            return word
    return ""
