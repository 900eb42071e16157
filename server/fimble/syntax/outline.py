"""Outlines: what a file defines, imports and uses.

The queries in ``queries/`` say what is what in a language; nothing here knows one.  An outline is made of any text,
however broken: what can be told is told.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fimble.syntax.definitions import definitions
from fimble.syntax.docs import Above
from fimble.syntax.encoded import Encoded
from fimble.syntax.grammars import parser_for
from fimble.syntax.imports import imports
from fimble.syntax.queries import Queries, queries_for
from fimble.syntax.references import references
from fimble.syntax.symbols import CALLABLES, HOLDERS, Definition, DefinitionKind, Import, Outline

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

#: Nothing larger is looked at: what a person writes is smaller, and what is generated is not worth its time.
MAX_BYTES = 1_000_000

#: How long a thread may compute for one file.  8 kB take 2 ms.
BUDGET_S = 0.5

_CHUNK_BYTES = 65_536
_MATCH_LIMIT = 4096
_SELVES = ("self", "this")


def outline(source: str, language: str, budget_s: float = BUDGET_S) -> Outline | None:
    """The outline of a text in the language with this id.

    None if the language is not known here, if the text is larger than `MAX_BYTES`, or if it takes this thread more
    than *budget_s* of computing.  Never raises, and may be called from any thread.
    """
    queries, parser = queries_for(language), parser_for(language)
    if queries is None or parser is None or len(source) > MAX_BYTES:
        return None
    until = time.thread_time() + budget_s
    text = Encoded(source)
    root = _parsed(parser, text.data, until)
    if root is None or len(text.data) > MAX_BYTES:
        return None
    return _outlined(text, root, queries, until)


def enclosing(outline: Outline, offset: int) -> tuple[Definition, ...]:
    """The definitions that *offset* is in, outermost first.  The offset right after one is in it, too."""
    return tuple(one for one in outline.definitions if one.start <= offset <= one.end)


def types_near(outline: Outline, offset: int) -> Mapping[str, str]:
    """Names with an evident type at *offset*, and the last name of that type.

    Those of the file, then fields of the class around, as ``self.name``, then parameters and local variables of the
    functions around that stand before; a nearer one hides a farther one.  ``self`` and ``this`` are the class around.
    """
    around = enclosing(outline, offset)
    found = {
        one.name: one.type for one in outline.definitions if one.type and one.kind in _VALUES and not one.container
    }
    if holder := _holder(around):
        path = holder.rpartition(".")[2]
        fields = [one for one in outline.definitions if one.container == holder and one.type and one.kind in _VALUES]
        for word in _SELVES:
            found[word] = path
            found.update({f"{word}.{one.name}": one.type for one in fields})
    starts = [one.start for one in around if one.kind in CALLABLES]
    ends = {one.start: one.end for one in outline.definitions if one.kind in CALLABLES and one not in around}
    hidden = [(start, end) for start, end in ends.items() if starts and start > starts[0]]
    for binding in outline.bindings:
        if starts and starts[0] <= binding.offset < offset and not any(s <= binding.offset < e for s, e in hidden):
            found[binding.name] = binding.type
    return found


_VALUES = frozenset({DefinitionKind.FIELD, DefinitionKind.VARIABLE, DefinitionKind.CONSTANT})


def _holder(around: tuple[Definition, ...]) -> str:
    """The path of the class around, which a method names even if it stands outside of it."""
    for one in reversed(around):
        if one.kind in HOLDERS:
            return one.path
        if one.kind is DefinitionKind.METHOD:
            return one.container
    return ""


def _without_imported(defined: list[Definition], imported: list[Import]) -> list[Definition]:
    """Without variables that are names of modules: ``const fs = require("fs")``."""
    places = {one.start for one in imported}
    return [one for one in defined if one.kind not in _VALUES or one.name_start not in places]


def _parsed(parser: Parser, data: bytes, until: float) -> Node | None:
    from tree_sitter import Parser

    def read(byte: int, _point: tuple[int, int]) -> bytes:
        return data[byte : byte + _CHUNK_BYTES]

    def is_late(_byte: int, _has_error: bool) -> bool:
        return time.thread_time() > until

    # One of its own: while it waits for `read`, another thread could use the shared one.
    try:
        tree = Parser(parser.language).parse(read, progress_callback=is_late)
    except ValueError:  # how the binding says that is_late has ended it
        return None
    return tree.root_node


def _outlined(text: Encoded, root: Node, queries: Queries, until: float) -> Outline | None:
    from tree_sitter import QueryCursor

    # The binding's progress_callback of a cursor ends the process (0.26.1).  The limit keeps a query linear.
    if time.thread_time() > until:
        return None
    matches = QueryCursor(queries.symbols, match_limit=_MATCH_LIMIT).matches(root)
    if time.thread_time() > until:
        return None
    uses = QueryCursor(queries.uses, match_limit=_MATCH_LIMIT).captures(root)
    if time.thread_time() > until:
        return None
    found = [(queries.roles[pattern], nodes) for pattern, nodes in matches]
    imported = imports((nodes for role, nodes in found if role == "import"), text)
    comments, attributes = (map(text.span, uses.get(kind, ())) for kind in ("comment", "attribute"))
    docs = {text.offset(node.start_byte): text.text(node) for node in uses.get("doc", ())}
    above = Above(text.source, comments, attributes)
    defined, bound, names = definitions((one for one in found if one[0] != "import"), text, above, docs)
    defined = _without_imported(defined, imported)
    used = references(uses, queries.links, text, names, imported)
    return Outline(tuple(defined), tuple(imported), tuple(used), tuple(bound))
