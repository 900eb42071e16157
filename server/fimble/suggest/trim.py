"""From what was generated to what may be shown: nothing doubled, nothing blank, no loops."""

from __future__ import annotations

from fimble.suggest.loops import loop_end
from fimble.suggest.place import Place

#: A next line shorter than this (``}``, ``else:``) may well stand twice.
_MIN_REPEATED_LINE_CHARS = 6


def trim(text: str, place: Place) -> str:
    """The part of *text* that is worth showing at *place*; empty if none is."""
    text = text[: loop_end(text)].rstrip()
    if not text.strip():
        return ""
    rest = place.line_after.strip()
    if rest:
        # Text stands right of the cursor: a suggestion stays on this line and ends where that text begins.
        text = _without_overlap(text.partition("\n")[0], place.line_after.rstrip())
    text = _without_next_line(text, place)
    return text if text.strip() else ""


def _without_overlap(text: str, line_after: str) -> str:
    """*text* without an end that stands right of the cursor already: ``a, b)`` before ``)`` is ``a, b``."""
    for size in range(min(len(text), len(line_after)), 0, -1):
        if text.endswith(line_after[:size]):
            return text[:-size]
    return text


def _without_next_line(text: str, place: Place) -> str:
    """*text* up to where it begins to repeat the line that follows the cursor's."""
    following = place.next_lines
    if not following:
        return text
    repeated = following[0].strip()
    if len(repeated) < _MIN_REPEATED_LINE_CHARS:
        return text
    lines = text.split("\n")
    shown = [place.line_before + lines[0], *lines[1:]]
    for number, line in enumerate(shown):
        if line.strip() == repeated:
            return "\n".join(lines[:number])
    return text
