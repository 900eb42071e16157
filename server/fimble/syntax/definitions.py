"""From matches of symbols to definitions, each in its container, with signature and documentation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace as _replace

from fimble.syntax.docs import Above, summary
from fimble.syntax.evident import base_names, made_type, type_name
from fimble.syntax.symbols import CALLABLES, HOLDERS, VALUES, Binding, Definition, DefinitionKind

if TYPE_CHECKING:
    from tree_sitter import Node

    from fimble.syntax.encoded import Encoded

_MAX_SIGNATURE = 300
_MAX_LINE = 200

#: No more of a header, of a value or of a type is looked at.
_MAX_HEADER = 2000
_MAX_VALUE = 200

_SCOPE = "scope"
_INHERITS = "inherits"
_NOT_DEFINING = frozenset({_SCOPE, _INHERITS})
_LOCAL = "local"
_NO_SCOPE_WITHOUT_BODY = frozenset({DefinitionKind.FIELD, DefinitionKind.TYPE, DefinitionKind.MACRO})
_FOLD = re.compile(r"(?<=[(\[])\s*[\r\n]\s*|,?\s*[\r\n]\s*(?=[)\]])")
_BREAK = re.compile(r"[ \t\f]*[\r\n]\s*")
_LINE_END = re.compile(r"[\r\n]")
_LINK = re.compile(r"[.:\\]")
_ARGUMENTS = re.compile(r"[<(]")
_WORD = re.compile(r"[$@]?\w+\Z")
_CONSTANT = re.compile(r"_*[A-Z][A-Z0-9_]+\Z")

#: Asking the enumeration itself takes five times as long.
_KINDS = {str(kind): kind for kind in DefinitionKind}

#: Roles that another of the same name outdoes: `const f = () => 1` is a function.
_SAYS_LITTLE = {"local": -1, "variable": 0, "field": 0, "constant": 0, "type": 1}

_NAME_MARKS = ":\"'` "
_CLOSING = re.compile(r"[ \t]+#*\s*\Z|\s+\Z")

Match = tuple[str, Mapping[str, list["Node"]]]


class _Found(NamedTuple):
    """A match whose place is known, but not what it belongs to."""

    start: int
    end: int
    role: str
    """``scope``, ``inherits``, ``local``, or the kind of a definition."""
    name: str
    name_start: int
    nodes: Mapping[str, list[Node]]
    node: Node

    @property
    def rank(self) -> tuple[int, int]:
        """How much it says."""
        return _SAYS_LITTLE.get(self.role, 2), len(self.nodes)


class Definitions(NamedTuple):
    """What a text defines."""

    definitions: list[Definition]
    """In order of place."""
    bindings: Callable[[], list[Binding]]
    """What is local, made when it is asked for."""
    names: set[int]
    """Where the names of both stand."""


def definitions(matches: Iterable[Match], text: Encoded, above: Above, docs: Mapping[int, str]) -> Definitions:
    """What a text defines for others, and what is local.

    *docs* are strings that document what their body belongs to, by where they start.
    """
    found, outer = _found(matches, text)
    sorting = _Sorting(text, above, docs, outer)
    names = {one.name_start for one in found if one.role not in _NOT_DEFINING}
    return Definitions(sorting.run(found), sorting.bindings, names)


def _found(matches: Iterable[Match], text: Encoded) -> tuple[list[_Found], dict[int, Node]]:
    found: dict[tuple[int, bool], _Found] = {}
    outer: dict[int, Node] = {}
    for role, nodes in matches:
        if role == "outer":
            outer[nodes["inner"][0].id] = nodes["outer"][0]
            continue
        node, name = nodes[role][0], nodes["name"][0]
        start, end = text.span(node)
        role = role.removeprefix("definition.")
        name_start, name_end = text.span(name)
        written = text.source[name_start:name_end]
        if not written.isidentifier():
            written, name_start = _bare(written, name_start)
        one = _Found(start, end, role, written, name_start, nodes, node)
        key = name_start, role in _NOT_DEFINING
        # Several patterns may see the same name; the one that says most about it counts.
        if written and (key not in found or one.rank > found[key].rank):
            found[key] = one
    return sorted(found.values(), key=lambda one: (one.start, -one.end, one.name_start)), outer


class _Open(NamedTuple):
    start: int
    end: int
    kind: DefinitionKind | None
    """None for a scope, which is like a class."""
    path: str
    holder: str
    """The path of the innermost class around."""


_TOP = _Open(0, 0, DefinitionKind.MODULE, "", "")


class _Sorting:
    """Goes through what was found from top to bottom and knows what is open around it."""

    def __init__(self, text: Encoded, above: Above, docs: Mapping[int, str], outer: Mapping[int, Node]) -> None:
        self._text, self._above, self._docs, self._outer = text, above, docs, outer
        self._definitions: list[Definition] = []
        self._locals: dict[str, list[_Found]] = {}
        """By name, each in order of place.  Their types are looked at only when somebody asks: most are not."""
        self._fields: dict[str, int] = {}
        self._bases: dict[str, tuple[str, ...]] = {}

    def run(self, found: list[_Found]) -> list[Definition]:
        """The definitions, in order of place."""
        around: list[_Open] = []
        for one in found:
            while around and around[-1].end <= one.start:
                around.pop()
            inside = around[-1] if around else _TOP
            if (inside.start, inside.end) == (one.start, one.end):  # `var a, b int` are two, side by side
                inside = around[-2] if len(around) > 1 else _TOP
            if one.role == _LOCAL:
                self._bind(one)
            elif one.role in _NOT_DEFINING:
                self._bases[_last(one.name)] = self._bases.get(_last(one.name), ()) + self._bases_of(one)
                if one.role == _INHERITS:
                    continue
                path = f"{inside.path}.{_last(one.name)}" if inside.path else _last(one.name)
                around.append(_Open(one.start, one.end, None, path, path))
            else:
                self._define(one, inside, around)
        self._definitions.sort(key=lambda one: (one.start, -one.end, one.name_start))
        return self._with_bases()

    def bindings(self) -> list[Binding]:
        """What is local and of an evident type, in order of place."""
        found = (one for same in self._locals.values() for one in same)
        typed = (Binding(one.name, one.name_start, self._type_of(one, "")) for one in found)
        return sorted((one for one in typed if one.type), key=lambda one: one.offset)

    def _define(self, one: _Found, inside: _Open, around: list[_Open]) -> None:
        kind, container = self._place(one, inside)
        if kind is None:
            self._bind(one)
            return
        definition = self._definition(one, kind, container)
        if kind is DefinitionKind.FIELD and inside.kind in CALLABLES and not definition.type:
            definition = _replace(definition, type=self._type_of_name(one, inside.start))
        if kind is DefinitionKind.FIELD and not self._is_new(definition):
            return
        self._definitions.append(definition)
        holder = definition.path if kind in HOLDERS else inside.holder
        opens = kind not in _NO_SCOPE_WITHOUT_BODY or "body" in one.nodes
        if opens and not (around and (around[-1].start, around[-1].end) == (one.start, one.end)):
            around.append(
                _Open(one.start, one.end, kind, definition.path, container if kind is DefinitionKind.METHOD else holder)
            )

    def _place(self, one: _Found, inside: _Open) -> tuple[DefinitionKind | None, str]:
        """Its kind and its container; no kind for what is local."""
        kind, is_member = _KINDS[one.role], inside.kind is None or inside.kind in HOLDERS
        if kind is DefinitionKind.FIELD and inside.kind in CALLABLES and inside.holder:
            return kind, inside.holder
        if given := one.nodes.get("container"):
            name = _last(type_name(self._text.text(given[0])) or self._text.text(given[0]))
            if inside.kind is DefinitionKind.MODULE and inside.path:
                name = f"{inside.path}.{name}"
            return DefinitionKind.METHOD if kind is DefinitionKind.FUNCTION else kind, name
        if kind in VALUES:
            if inside.kind in CALLABLES or (kind is not DefinitionKind.FIELD and inside.kind in VALUES):
                return None, ""
            if is_member and kind is DefinitionKind.VARIABLE:
                kind = DefinitionKind.FIELD
            elif kind is DefinitionKind.VARIABLE and _CONSTANT.match(one.name):
                kind = DefinitionKind.CONSTANT
        elif kind in HOLDERS and inside.kind in VALUES:  # `struct S { ... } s;`
            return kind, inside.path.rpartition(".")[0]
        elif kind is DefinitionKind.FUNCTION and is_member:
            kind = DefinitionKind.METHOD
        return kind, inside.path

    def _is_new(self, definition: Definition) -> bool:
        """Whether a field is met for the first time; a later place may still tell its type."""
        known = self._fields.setdefault(definition.path, len(self._definitions))
        if known == len(self._definitions):
            return True
        if definition.type and not self._definitions[known].type:
            self._definitions[known] = _replace(self._definitions[known], type=definition.type)
        return False

    def _bind(self, one: _Found) -> None:
        self._locals.setdefault(one.name, []).append(one)

    def _definition(self, one: _Found, kind: DefinitionKind, container: str) -> Definition:
        start, end = one.start, one.end
        node: Node | None = one.node
        while node is not None and (node := self._outer.get(node.id)) is not None:
            start, end = self._text.span(node)
        body = one.nodes.get("body")
        body_start = self._text.offset(body[0].start_byte) if body else end
        first, comment = self._above.before(start)
        doc = self._docs.get(body_start, "") if body else ""
        told = self._line if not body and kind in VALUES else self._header
        return Definition(
            name=one.name,
            kind=kind,
            container=container,
            start=first,
            end=end,
            name_start=one.name_start,
            body_start=body_start,
            signature=told(start, body_start, one.name_start),
            doc=summary(doc or comment) if doc or comment else "",
            bases=self._bases_of(one),
            type=self._type_of(one, container),
        )

    def _line(self, start: int, end: int, name_start: int) -> str:
        written = self._above.without(self._text.source, start, min(end, start + _MAX_HEADER), name_start)
        return _LINE_END.split(written.strip(), maxsplit=1)[0][:_MAX_LINE].rstrip()

    def _header(self, start: int, end: int, name_start: int) -> str:
        written = self._above.without(self._text.source, start, min(end, start + _MAX_HEADER), name_start)
        written = written.strip()
        if "\n" in written or "\r" in written:
            written = _BREAK.sub(" ", _FOLD.sub("", written))
        return written[:_MAX_SIGNATURE].rstrip()

    def _type_of(self, one: _Found, container: str) -> str:
        if (written := one.nodes.get("type")) and (name := type_name(self._cut(written[0]))):
            return container.rpartition(".")[2] if name in ("Self", "self") else name
        if value := one.nodes.get("value"):
            return made_type(self._cut(value[0]))
        return ""

    def _type_of_name(self, one: _Found, since: int) -> str:
        """The type of what a field is set to, if that is a parameter or a variable of the function around."""
        value = one.nodes.get("value")
        name = self._cut(value[0]).lstrip("$") if value else ""
        if not _WORD.match(name):
            return ""
        known = (
            self._type_of(other, "") for other in reversed(self._locals.get(name, ())) if other.name_start >= since
        )
        return next(filter(None, known), "")

    def _bases_of(self, one: _Found) -> tuple[str, ...]:
        if "bases" not in one.nodes:  # as in nearly all
            return ()
        return tuple(name for node in one.nodes["bases"] for name in base_names(self._cut(node, _MAX_HEADER)))

    def _cut(self, node: Node, size: int = _MAX_VALUE) -> str:
        start, end = self._text.span(node)
        return self._text.source[start : min(end, start + size)]

    def _with_bases(self) -> list[Definition]:
        """The definitions with the bases that scopes give them: Rust's ``impl Trait for Type``."""
        if not any(self._bases.values()):
            return self._definitions
        return [
            _replace(one, bases=tuple(dict.fromkeys(one.bases + self._bases[one.name])))
            if one.kind in HOLDERS and self._bases.get(one.name)
            else one
            for one in self._definitions
        ]


def _bare(name: str, start: int) -> tuple[str, int]:
    """A name and its start without quotes, the colon of a symbol, and what closes a heading."""
    bare = _CLOSING.sub("", name) if name[-1:] in "# \t\r\n" else name
    if bare[:1] in _NAME_MARKS:
        stripped = bare.lstrip(_NAME_MARKS)
        return stripped.rstrip(_NAME_MARKS), start + len(bare) - len(stripped)
    return bare, start


def _last(name: str) -> str:
    return _LINK.split(_ARGUMENTS.split(name, maxsplit=1)[0].strip())[-1]
