"""From matches of imports to what a file takes from which other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fimble.syntax.symbols import Import

if TYPE_CHECKING:
    from tree_sitter import Node

    from fimble.syntax.encoded import Encoded

_EVERYTHING = ("*", "*")
_SEPARATOR = re.compile(r"::|\\|\.")
_KEYWORDS = re.compile(r"^(?:use\s+)?(?:(?:function|const)\s+)?")
_MAX_TREE = 5000
_ALIAS = re.compile(r"\s+as\s+", re.IGNORECASE)


def imports(matches: Iterable[Mapping[str, list[Node]]], text: Encoded) -> list[Import]:
    """What a text imports, in order of place.

    A match has ``@module``, and then one ``@name`` of it with its ``@alias``, or ``@default`` (what is exported without
    a name), or ``@all``, or only an ``@alias`` of the whole.  Or it has a ``@tree``: paths in braces in paths.
    """
    found: dict[tuple[int, str], tuple[int, str, dict[tuple[str, str], None]]] = {}

    def add(start: int, end: int, module: str, name: tuple[str, str] | None, alias: str = "") -> None:
        _, known, names = found.setdefault((start, module), (end, "", {}))
        found[start, module] = end, known or alias, names
        if name is not None:
            names[name] = None

    for nodes in matches:
        start, end = text.span(nodes["import"][0])
        if "tree" in nodes:
            for module, name, here in _branches(
                "", _KEYWORDS.sub("", text.text(nodes["tree"][0])[:_MAX_TREE]).rstrip("; \r\n")
            ):
                add(start, end, module, (name, here) if name else None, "" if name else here)
            continue
        module = _unquoted(text.text(nodes["module"][0]))
        if "relative" in nodes and not module.startswith((".", "/")):
            module = f"./{module}"
        alias = text.text(nodes["alias"][0]) if "alias" in nodes else ""
        if "all" in nodes:
            add(start, end, module, _EVERYTHING)
        elif "name" in nodes:
            name = _unquoted(text.text(nodes["name"][0]))
            add(start, end, module, (name, alias or name))
        elif "default" in nodes:
            add(start, end, module, ("default", text.text(nodes["default"][0])))
        else:
            add(start, end, module, None, alias)
    made = (
        Import(module, tuple(names), alias, start, end)
        for (start, module), (end, alias, names) in found.items()
        if module
    )
    return _outermost(sorted(made, key=lambda one: (one.start, -one.end)))


def _outermost(found: list[Import]) -> list[Import]:
    """Without imports that are a part of another one of the same module: ``require`` in ``x = require "a"``."""
    kept: list[Import] = []
    for one in found:
        if not (kept and one.end <= kept[-1].end and one.start > kept[-1].start and one.module == kept[-1].module):
            kept.append(one)
    return kept


def split_path(path: str) -> tuple[str, str]:
    """The path of an item's module, and the item: ``a::b::C`` gives ``a::b`` and ``C``."""
    ends = [match.span() for match in _SEPARATOR.finditer(path)]
    return (path[: ends[-1][0]], path[ends[-1][1] :]) if ends else ("", path)


def _unquoted(written: str) -> str:
    return written.strip().strip("\"'`<>")


def _branches(prefix: str, tree: str, depth: int = 0) -> Iterable[tuple[str, str, str]]:
    """Module, name there and name here of each leaf of ``a::{b, c::{self, d as e}}``; no name for a whole module."""
    for branch in _split(tree):
        stem, brace, inner = branch.partition("{")
        if brace and depth < 20:
            yield from _branches(prefix + stem.strip(), inner.rpartition("}")[0], depth + 1)
            continue
        path, *alias = _ALIAS.split(branch.strip(), maxsplit=1)
        module, name = split_path((prefix + path.strip()).lstrip("\\"))
        here = alias[0].strip() if alias else name
        if name == "self":
            yield module, "", alias[0].strip() if alias else split_path(module)[1]
        elif name == "*":
            yield module, "*", "*"
        elif not module:
            yield name, "", alias[0].strip() if alias else ""
        elif name:
            yield module, name, here


def _split(tree: str) -> list[str]:
    """The parts of a list, which commas outside of braces divide."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(tree):
        depth += (char == "{") - (char == "}")
        if char == "," and not depth:
            parts.append(tree[start:index])
            start = index + 1
    return [part for part in [*parts, tree[start:]] if part.strip()]
