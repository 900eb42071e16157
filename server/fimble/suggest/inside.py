"""What a cursor is in, from the tree where there is one and from its line."""

from __future__ import annotations

from dataclasses import dataclass

from fimble.suggest.brackets import PROSE, Lexicon, Scan, lexicon_of
from fimble.suggest.place import Place
from fimble.syntax import Kind, Spot


@dataclass(frozen=True, slots=True)
class Inside:
    """How the text at a cursor is read."""

    lexicon: Lexicon
    quote: str = ""
    """The string that the cursor is in; empty outside of strings."""
    line_quote: str = ""
    """The string that the cursor's line begins in."""
    is_prose: bool = False
    """A comment, or the text of a page: brackets and quotes mean nothing there."""


def inside_of(place: Place, spot: Spot | None) -> Inside:
    """What the cursor at *place* is in."""
    lexicon = lexicon_of(place.language)
    line = Scan(place.line_before, lexicon)
    if spot is not None and spot.kind in (Kind.COMMENT, Kind.TEXT):
        return Inside(PROSE, is_prose=True)
    if line.comment_start >= 0:
        return Inside(PROSE, is_prose=True)
    if spot is not None and spot.kind is Kind.STRING and not line.quote:
        return Inside(lexicon, spot.quote, spot.quote)
    # What the line says of its own quotes is true of strings that are not closed yet, too: no tree has those.
    return Inside(lexicon, line.quote)
