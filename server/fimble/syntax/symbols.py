"""What is known of a file without running it: the nouns of an outline.

Every offset counts code points of the text that was given.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec


class DefinitionKind(StrEnum):
    """What a name stands for."""

    FUNCTION = "function"
    METHOD = "method"
    CLASS = "class"
    INTERFACE = "interface"
    TYPE = "type"
    ENUM = "enum"
    CONSTANT = "constant"
    VARIABLE = "variable"
    FIELD = "field"
    MODULE = "module"
    MACRO = "macro"
    SECTION = "section"
    """A heading of a text."""


#: What has members: a function in one of these is a method, a variable a field.
HOLDERS = frozenset({DefinitionKind.CLASS, DefinitionKind.INTERFACE, DefinitionKind.TYPE, DefinitionKind.ENUM})

#: What has a value.
VALUES = frozenset({DefinitionKind.FIELD, DefinitionKind.VARIABLE, DefinitionKind.CONSTANT})

#: What has variables of its own.
CALLABLES = frozenset({DefinitionKind.FUNCTION, DefinitionKind.METHOD})


class Definition(msgspec.Struct, frozen=True, gc=False):
    """A place that gives a name a meaning for others; what is local to a function is a `Binding`.

    A struct is made in a fifth of a frozen dataclass's time.
    """

    name: str
    kind: DefinitionKind
    container: str
    """Dotted names of what it belongs to, outermost first; empty at the top level."""
    start: int
    end: int
    """With decorators and attributes, without the comment above."""
    name_start: int
    body_start: int
    """Where its body begins; ``end`` if it has none."""
    signature: str
    """What stands before the body, on one line, without decorators and comments."""
    doc: str
    """The first sentence of its documentation."""
    bases: tuple[str, ...] = ()
    """Last names of what it inherits from or implements."""
    type: str = ""
    """Last name of the type that a variable has or a function returns, where that is evident."""

    @property
    def path(self) -> str:
        """Its name with those of what it belongs to, dots between them."""
        name = self.name
        if self.kind is DefinitionKind.MODULE:
            name = name.replace("::", ".").replace("\\", ".")
        return f"{self.container}.{name}" if self.container else name


class Import(msgspec.Struct, frozen=True, gc=False):
    """What a file takes from one other."""

    module: str
    """As it is written, without quotes; an item's path without the item."""
    names: tuple[tuple[str, str], ...]
    """Names there and here; none if the module itself is taken, ``("*", "*")`` if everything in it is."""
    alias: str
    """What the module itself is called here, if that is said."""
    start: int
    end: int


class Reference(NamedTuple):
    """A use of a name.  There are thousands of them, and a tuple is made in a fifth of a dataclass's time."""

    name: str
    offset: int
    is_call: bool
    receiver: str
    """The names left of it, with dots between them; empty if there are none, or something else than names."""


class Binding(NamedTuple):
    """A parameter or a local variable whose type is evident."""

    name: str
    offset: int
    type: str
    """The type's last name."""


class Outline(msgspec.Struct, frozen=True):
    """What a file defines, imports and uses, each in order of place."""

    definitions: tuple[Definition, ...] = ()
    imports: tuple[Import, ...] = ()
    references: tuple[Reference, ...] = ()
    bindings: tuple[Binding, ...] = ()
