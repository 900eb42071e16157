"""Outlines: what a file defines, imports and uses.

The queries in ``queries/`` say what is what in a language; nothing here knows one.  An outline is made of any text,
however broken: what can be told is told.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING

from msgspec.structs import replace

from fimble.syntax.definitions import definitions
from fimble.syntax.docs import Above
from fimble.syntax.encoded import Encoded
from fimble.syntax.grammars import dialect, regions
from fimble.syntax.imports import imports
from fimble.syntax.queries import NOTES, Queries, queries_for, uses_for
from fimble.syntax.references import references
from fimble.syntax.symbols import VALUES, Definition, Import, Outline

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Query

    Nodes = Mapping[str, list[Node]]

#: Nothing larger is looked at: what a person writes is smaller, and what is generated is not worth its time.
MAX_BYTES = 1_000_000

#: How long a thread may compute for one file.  8 kB take 2 ms.
BUDGET_S = 0.5

_CHUNK_BYTES = 65_536
_MATCH_LIMIT = 4096

#: The parser calls back every few microseconds, and asking for a thread's time is a system call.
_CALLS_PER_LOOK = 16

#: With so many nodes in a row a query takes 0.2 s.
_MAX_ROW = 20_000


def outline(source: str, language: str, budget_s: float = BUDGET_S, *, with_references: bool = True) -> Outline | None:
    """The outline of a text in the language with this id.

    None if the language is not known here, if the text is larger than `MAX_BYTES`, or if it takes this thread more
    than *budget_s* of computing.  Without references there are no bindings either, and it takes two fifths less.  Never
    raises, and may be called from any thread.
    """
    if len(source) > MAX_BYTES:
        return None
    until = time.thread_time() + budget_s
    whole = _outlined(source, dialect(language, source), until, with_references)
    if whole is None:
        return None
    parts = [
        (start, _outlined(source[start:end], inner, until, with_references))
        for inner, start, end in regions(language, source)
    ]
    return _joined(whole, [(start, part) for start, part in parts if part is not None]) if parts else whole


def _without_imported(defined: list[Definition], imported: list[Import]) -> list[Definition]:
    """Without variables that are names of modules: ``const fs = require("fs")``."""
    places = {one.start for one in imported}
    return [one for one in defined if one.kind not in VALUES or one.name_start not in places]


def _joined(whole: Outline, parts: list[tuple[int, Outline]]) -> Outline:
    """An outline with those of the scripts and styles in it."""
    defined, imported = list(whole.definitions), list(whole.imports)
    used, bound = list(whole.references), list(whole.bindings)
    for by, part in parts:
        defined += (_moved(one, by) for one in part.definitions)
        imported += (replace(one, start=one.start + by, end=one.end + by) for one in part.imports)
        used += (one._replace(offset=one.offset + by) for one in part.references)
        bound += (one._replace(offset=one.offset + by) for one in part.bindings)
    defined.sort(key=lambda one: (one.start, -one.end))
    imported.sort(key=lambda one: one.start)
    used.sort(key=lambda one: one.offset)
    return Outline(tuple(defined), tuple(imported), tuple(used), tuple(sorted(bound, key=lambda one: one.offset)))


def _moved(one: Definition, by: int) -> Definition:
    places = {name: getattr(one, name) + by for name in ("start", "end", "name_start", "body_start")}
    return replace(one, **places)


def _parsed(grammar: Language, data: bytes, until: float) -> Node | None:
    from tree_sitter import Parser

    def read(byte: int, _point: tuple[int, int]) -> bytes:
        return data[byte : byte + _CHUNK_BYTES]

    calls = count(1)

    def is_late(_byte: int, _has_error: bool) -> bool:
        return next(calls) % _CALLS_PER_LOOK == 0 and time.thread_time() > until

    # One of its own: while it waits for `read`, another thread could use the shared one.
    try:
        tree = Parser(grammar).parse(read, progress_callback=is_late)
    except ValueError:  # how the binding says that is_late has ended it
        return None
    return tree.root_node


def _outlined(source: str, language: str, until: float, with_references: bool) -> Outline | None:
    queries = queries_for(language)
    if queries is None:
        return None
    text = Encoded(source)
    root = _parsed(queries.grammar, text.data, until)
    if root is None or _is_hopeless(root):
        return None
    asked = uses_for(language) if with_references else None
    return _told(text, root, queries, until, asked)


def _is_hopeless(root: Node) -> bool:
    """Whether what does not fit is one long row, in which a query takes time that grows with its square."""
    if not root.has_error:
        return False
    return root.child_count > _MAX_ROW or any(child.child_count > _MAX_ROW for child in root.children)


def _told(text: Encoded, root: Node, queries: Queries, until: float, asked: Query | None) -> Outline | None:
    """What a tree tells; *asked* is the query for uses, if anybody wants those."""
    from tree_sitter import QueryCursor

    # The binding's progress_callback of a cursor ends the process (0.26.1).  The limit keeps a query linear.
    if time.thread_time() > until:
        return None
    matches = QueryCursor(queries.symbols, match_limit=_MATCH_LIMIT).matches(root)
    if time.thread_time() > until:
        return None
    uses = QueryCursor(asked, match_limit=_MATCH_LIMIT).captures(root) if asked else {}
    if time.thread_time() > until:
        return None
    symbols, importing, notes = _sorted(matches, queries.roles)
    imported = imports(importing, text)
    comments, attributes = (map(text.span, notes[kind]) for kind in ("comment", "attribute"))
    docs = {text.offset(node.start_byte): text.text(node) for node in notes["doc"]}
    found = definitions(symbols, text, Above(text.source, comments, attributes), docs)
    defined = _without_imported(found.definitions, imported)
    if not asked:
        return Outline(tuple(defined), tuple(imported))
    used = references(uses, queries.links, text, found.names, imported)
    return Outline(tuple(defined), tuple(imported), tuple(used), tuple(found.bindings()))


def _sorted(
    matches: Sequence[tuple[int, Nodes]], roles: Sequence[str]
) -> tuple[list[tuple[str, Nodes]], list[Nodes], dict[str, list[Node]]]:
    """Symbols with their roles, imports, and the nodes of each kind of note."""
    symbols: list[tuple[str, Nodes]] = []
    importing: list[Nodes] = []
    notes: dict[str, list[Node]] = {kind: [] for kind in NOTES}
    for pattern, nodes in matches:
        role = roles[pattern]
        if role in notes:
            notes[role] += nodes[role]
        elif role == "import":
            importing.append(nodes)
        else:
            symbols.append((role, nodes))
    return symbols, importing, notes
