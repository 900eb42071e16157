"""Syntax trees of open documents, and outlines of files: the only code that knows tree-sitter."""

from fimble.syntax.around import enclosing, types_near
from fimble.syntax.outline import outline
from fimble.syntax.symbols import Binding, Definition, DefinitionKind, Import, Outline, Reference
from fimble.syntax.trees import Kind, Spot, Trees

__all__ = [
    "Binding",
    "Definition",
    "DefinitionKind",
    "Import",
    "Kind",
    "Outline",
    "Reference",
    "Spot",
    "Trees",
    "enclosing",
    "outline",
    "types_near",
]
