"""The query files, compiled when a language is first met.

A file holds two kinds of patterns.  Those for *symbols* relate nodes to each other, so they are asked for match by
match, together with the notes beside them.  Those for *uses* name single nodes and are by far the most, so they are
asked for as plain lists, and only by those who need them:

- ``@definition.KIND`` with ``@name`` and, where there are such, ``@body``, ``@type``, ``@value``, ``@bases``,
  ``@container``.  A variable inside of a function is a local one.
- ``@local``: a parameter or local variable, with ``@name`` and ``@type`` or ``@value``.
- ``@scope``: what gives definitions in it a container without being one itself, with ``@name`` and ``@bases``.
- ``@inherits``: says more ``@bases`` of the class ``@name``.
- ``@outer``: what belongs to the definition ``@inner``, such as ``export``.
- ``@import`` with ``@module`` and ``@name``, ``@alias``, ``@all``, ``@default`` or ``@tree`` (see imports.py).
- notes: ``@comment``, ``@attribute``, ``@doc``.
- uses: ``@reference``, ``@reference.call``; ``@defined`` for names that are no use; ``@skipped`` for what holds none.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from fimble.syntax.grammars import grammar_for

if TYPE_CHECKING:
    from tree_sitter import Language, Query

#: Language id to its query files; a grammar that extends another is asked for what that has, too.
_FILES = {
    "c": ("c",),
    "cpp": ("c", "cpp"),
    "csharp": ("csharp",),
    "css": ("css",),
    "go": ("go",),
    "html": ("html",),
    "java": ("java",),
    "javascript": ("ecmascript", "javascript", "jsx"),
    "javascriptreact": ("ecmascript", "javascript", "jsx"),
    "json": ("json",),
    "jsonc": ("json",),
    "lua": ("lua",),
    "markdown": ("markdown",),
    "php": ("php",),
    "python": ("python",),
    "ruby": ("ruby",),
    "rust": ("rust",),
    "shellscript": ("shellscript",),
    "svelte": ("html",),
    "toml": ("toml",),
    "typescript": ("ecmascript", "typescript"),
    "typescriptreact": ("ecmascript", "typescript", "jsx"),
    "vue": ("html",),
    "yaml": ("yaml",),
}

#: The ids of languages that have outlines.
LANGUAGES = frozenset(_FILES)

#: What stands between a name and what it is taken from, and where that is not so in all languages.
_LINKS = frozenset({".", "::", "->", "?.", "!.", "?->", "&.", "\\"})
_MORE_LINKS = {"lua": frozenset({":"})}

#: What is said about definitions rather than defined.
NOTES = ("comment", "attribute", "doc")

_ROLE = re.compile(rf"@(definition\.\w+|local|scope|inherits|outer|import|{'|'.join(NOTES)})\b")


class Queries(NamedTuple):
    """What is asked of a language's trees."""

    grammar: Language
    symbols: Query
    roles: tuple[str, ...]
    """What the match of a pattern is: ``definition.class``, ``import``, ...; empty for patterns of uses."""
    links: frozenset[str]
    """What stands between a name and what it is taken from."""


@cache
def queries_for(language: str) -> Queries | None:
    """The queries of a language id; None if it has none, or its grammar is not on this machine."""
    grammar = grammar_for(language)
    if language not in _FILES or grammar is None:
        return None
    symbols, roles = _compiled(language, grammar)
    for pattern, role in enumerate(roles):
        if not role:
            symbols.disable_pattern(pattern)
    return Queries(grammar, symbols, roles, _LINKS | _MORE_LINKS.get(language, frozenset()))


@cache
def uses_for(language: str) -> Query | None:
    """The query for uses of a language id; None where `queries_for` has none.  The indexer never compiles it."""
    queries = queries_for(language)
    if queries is None:
        return None
    uses, roles = _compiled(language, queries.grammar)
    for pattern, role in enumerate(roles):
        if role:
            uses.disable_pattern(pattern)
    return uses


def _compiled(language: str, grammar: Language) -> tuple[Query, tuple[str, ...]]:
    """A language's whole query, and the role of each of its patterns."""
    from tree_sitter import Query

    folder = files("fimble.syntax") / "queries"
    text = "\n".join((folder / f"{name}.scm").read_text("utf-8") for name in _FILES[language])
    query, encoded, roles = Query(grammar, text), text.encode(), []
    for pattern in range(query.pattern_count):
        start, end = query.start_byte_for_pattern(pattern), query.end_byte_for_pattern(pattern)
        role = _ROLE.search(re.sub(r";[^\n]*", "", encoded[start:end].decode()))
        roles.append(role[1] if role else "")
    return query, tuple(roles)
