"""Which grammar reads which text.  Grammars are wheels of their own and are loaded when a language is first met."""

from __future__ import annotations

import importlib
import logging
import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language, Parser

_log = logging.getLogger(__name__)

#: Language id to the module of its grammar, and the function in it where that is not ``language``.
_GRAMMARS = {
    "c": "tree_sitter_c",
    "cpp": "tree_sitter_cpp",
    "csharp": "tree_sitter_c_sharp",
    "css": "tree_sitter_css",
    "go": "tree_sitter_go",
    "html": "tree_sitter_html",
    "java": "tree_sitter_java",
    "javascript": "tree_sitter_javascript",
    "javascriptreact": "tree_sitter_javascript",
    "json": "tree_sitter_json",
    "jsonc": "tree_sitter_json",
    "lua": "tree_sitter_lua",
    "php": "tree_sitter_php:language_php",
    "python": "tree_sitter_python",
    "ruby": "tree_sitter_ruby",
    "rust": "tree_sitter_rust",
    "shellscript": "tree_sitter_bash",
    "svelte": "tree_sitter_svelte",
    "toml": "tree_sitter_toml",
    "typescript": "tree_sitter_typescript:language_typescript",
    "typescriptreact": "tree_sitter_typescript:language_tsx",
    "vue": "tree_sitter_html",
    "yaml": "tree_sitter_yaml",
}

#: Grammars for outlines only: in prose there is nothing that a suggestion could break.
_OUTLINE_GRAMMARS = {"markdown": "tree_sitter_markdown"}

#: Documents in which a script or a style sheet is a text of its own.
_HOSTS = frozenset({"html", "svelte", "vue"})

#: What begins a line in C++ and never in C; both call their headers ``.h``.
_CPP_LINE = re.compile(r"^[ \t]*(?:class[ \t]+\w+|namespace\b|template[ \t]*<|public:|private:)", re.MULTILINE)

_REGION_START = re.compile(r"<(script|style)\b([^>]*)>", re.IGNORECASE)


@cache
def parser_for(language: str) -> Parser | None:
    """The one parser of a language id that the event loop uses; None if there is no grammar for it on this machine."""
    return new_parser(language)


def new_parser(language: str) -> Parser | None:
    """A parser of a language id, for a thread of its own."""
    grammar = grammar_for(language) if language in _GRAMMARS else None
    if grammar is None:
        return None
    from tree_sitter import Parser

    return Parser(grammar)


@cache
def grammar_for(language: str) -> Language | None:
    """The grammar of a language id; None if there is none, or none on this machine."""
    module, _, function = (_GRAMMARS | _OUTLINE_GRAMMARS).get(language, "").partition(":")
    if not module:
        return None
    try:
        from tree_sitter import Language

        return Language(getattr(importlib.import_module(module), function or "language")())
    except (ImportError, ValueError) as problem:  # a wheel is missing, or is of another generation
        _log.warning("No syntax for %s: %s", language, problem)
        return None


def region_at(language: str, source: str, offset: int) -> tuple[str, int, int]:
    """The language, start and end of the text that holds *offset*: all of *source*, or the script or style in it.

    What is inside of ``<script>`` is read by its own grammar alone and what is around it by the document's, which
    takes scripts for plain text.  Braces with expressions in Svelte's and Vue's markup are not looked into.
    """
    if language not in _HOSTS:
        return language, 0, len(source)
    openings = list(_REGION_START.finditer(source, 0, offset))
    if not openings:
        return language, 0, len(source)
    opening = openings[-1]
    end = source.find(f"</{opening[1]}", opening.end())
    if 0 <= end < offset:
        return language, 0, len(source)
    return _inner_language(opening), opening.end(), end if end >= 0 else len(source)


def dialect(language: str, source: str) -> str:
    """The language that a file is really in: a header that is taken for C may be C++."""
    return "cpp" if language == "c" and _CPP_LINE.search(source) else language


def regions(language: str, source: str) -> list[tuple[str, int, int]]:
    """The languages, starts and ends of all scripts and styles in a text."""
    if language not in _HOSTS:
        return []
    found, until = [], 0
    for opening in _REGION_START.finditer(source):
        if opening.start() >= until:
            end = source.find(f"</{opening[1]}", opening.end())
            until = end if end >= 0 else len(source)
            found.append((_inner_language(opening), opening.end(), until))
    return found


def has_region_edge(text: str) -> bool:
    """Whether *text* would begin or end a script or a style sheet."""
    return re.search(r"</?(?:script|style)\b", text, re.IGNORECASE) is not None


def _inner_language(opening: re.Match[str]) -> str:
    attributes = opening[2].lower()
    if opening[1].lower() == "style":
        return "css" if "lang=" not in attributes or "css" in attributes.partition("lang=")[2][:5] else "plaintext"
    if "json" in attributes:
        return "json"
    return "typescript" if re.search(r"""lang=["']?ts""", attributes) else "javascript"
