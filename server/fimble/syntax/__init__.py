"""Syntax trees of open documents: the only code that knows tree-sitter."""

from fimble.syntax.trees import Kind, Spot, Trees

__all__ = ["Kind", "Spot", "Trees"]
