"""What an outline says about a place: the definitions around it, and the types of the names that are in reach."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fimble.syntax.symbols import CALLABLES, HOLDERS, VALUES, Definition, DefinitionKind, Outline

_SELVES = ("self", "this")
_LINE_END = re.compile(r"\r\n|\n|\r")

#: A body does not go on after more than this.
_MAX_GAP = 2000


def enclosing(outline: Outline, offset: int, source: str = "") -> tuple[Definition, ...]:
    """The definitions that *offset* is in, outermost first.  The offset right after one is in it, too.

    Where blocks are indented, a body ends with its last statement.  With the text at hand, a line below that is
    indented further than the definition is in it: that is where its next statement is typed.
    """
    return tuple(
        one
        for one in outline.definitions
        if one.start <= offset and (offset <= one.end or (source and _goes_on(source, one, offset)))
    )


def types_near(source: str, outline: Outline, offset: int) -> Mapping[str, str]:
    """Names with an evident type at *offset*, and the last name of that type.

    Those of the file, then fields of the class around, as ``self.name``, then parameters and local variables of the
    functions around that stand before; a nearer one hides a farther one.  ``self`` and ``this`` are the class around.
    """
    around = enclosing(outline, offset, source)
    found = {one.name: one.type for one in outline.definitions if one.type and one.kind in VALUES and not one.container}
    if holder := _holder(around):
        found |= _own(outline, holder)
    scopes = [one.start for one in around if one.kind in CALLABLES]
    others = [(one.start, one.end) for one in outline.definitions if one.kind in CALLABLES and one not in around]
    # Where a function is broken beyond recognition, what was said since the last whole one counts.
    since = scopes[0] if scopes else max((end for _, end in others if end <= offset), default=0)
    hidden = [(start, end) for start, end in others if start > since]
    for binding in outline.bindings:
        if since <= binding.offset < offset and not any(start <= binding.offset < end for start, end in hidden):
            found[binding.name] = binding.type
    return found


def _goes_on(source: str, one: Definition, offset: int) -> bool:
    if not one.signature.endswith(":") or offset - one.end > _MAX_GAP:
        return False
    _, *lines = _LINE_END.split(source[one.end : offset])
    line_start = max(source.rfind("\n", 0, one.start), source.rfind("\r", 0, one.start)) + 1
    column = one.start - line_start
    return bool(lines) and all(
        _indent(line) > column for number, line in enumerate(lines, 1) if line.strip() or number == len(lines)
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _holder(around: tuple[Definition, ...]) -> str:
    """The path of the class around, which a method names even if it stands outside of it."""
    for one in reversed(around):
        if one.kind in HOLDERS:
            return one.path
        if one.kind is DefinitionKind.METHOD:
            return one.container
    return ""


def _own(outline: Outline, holder: str) -> dict[str, str]:
    """What is known of oneself in a class: Ruby's fields have no receiver."""
    found = dict.fromkeys(_SELVES, holder.rpartition(".")[2])
    for one in outline.definitions:
        if one.container == holder and one.type and one.kind in VALUES:
            names = [one.name] if one.name.startswith("@") else [f"{word}.{one.name}" for word in _SELVES]
            found.update(dict.fromkeys(names, one.type))
    return found
