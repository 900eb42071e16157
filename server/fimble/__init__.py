"""Fimble: code completion in any editor, from a quantised model on your own machine."""

__version__ = "0.1.0"
