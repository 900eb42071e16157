"""From what was generated to what may be shown: nothing doubled, nothing blank, no loops, in the file's own style."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fimble.suggest.brackets import Scan, lexicon_of
from fimble.suggest.indent import adapted
from fimble.suggest.inside import Inside, inside_of
from fimble.suggest.loops import loop_end
from fimble.suggest.markers import without_markers
from fimble.suggest.place import Place, indent_of

#: A next line shorter than this (``}``, ``else:``) may well stand twice.
_MIN_REPEATED_LINE_CHARS = 6

_TRAILING_BLANKS = re.compile(r"[ \t]+$", re.MULTILINE)
_CLOSERS = re.compile(r"[)\]}\"'`]*")
_ONLY_CLOSERS = re.compile(r"[)\]}\"'`;:,>\s]*")


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What may be shown; false if that is nothing."""

    text: str
    replaces: int = 0
    """How many characters right of the cursor it takes the place of; they stand in ``text``, in this order."""

    def __bool__(self) -> bool:
        return bool(self.text)


def trim(text: str, place: Place, inside: Inside | None = None) -> Trimmed:
    """The part of *text* that is worth showing at *place*."""
    inside = inside or inside_of(place, None)
    text = without_markers(text, place)
    text = _TRAILING_BLANKS.sub("", text[: loop_end(text)]).rstrip()
    if not text:
        return Trimmed("")
    text = adapted(text, place)
    replaces = 0
    if place.line_after.strip():
        # Text stands right of the cursor: a suggestion stays on this line.
        text, replaces = _joined(text.partition("\n")[0], place, inside)
    text = _without_lines_below(_without_next_line(text, place), place).rstrip()
    return Trimmed(text, replaces) if text.strip() else Trimmed("")


def _joined(text: str, place: Place, inside: Inside) -> tuple[str, int]:
    """What fits before the text right of the cursor, and how much of that it replaces.

    Of all ways to join them, the first one that leaves the line's brackets and quotes no worse than they are; if
    there is none, the best one.
    """
    rest = place.line_after.rstrip()

    def faults(shown: str, replaces: int) -> int:
        scan = Scan(place.line_before + shown + rest[replaces:], inside.lexicon, inside.line_quote)
        return len(scan.unopened) + len(scan.unclosed) + bool(scan.quote)

    present = faults("", 0)
    best, fewest = (text, 0), faults(text, 0) + 1
    for shown, replaces in _ways_to_join(text, rest, inside):
        found = faults(shown, replaces)
        if found < fewest:
            best, fewest = (shown, replaces), found
        if found <= present:
            break
    return best


def _ways_to_join(text: str, rest: str, inside: Inside) -> Iterator[tuple[str, int]]:
    """Without what stands right already; in the place of closers there; up to what closes more than that."""
    lexicon, quote = inside.lexicon, inside.quote
    closers = _CLOSERS.match(rest)
    most = closers.end() if closers and _ONLY_CLOSERS.fullmatch(rest) else 0
    opened = _left_open(Scan(text, lexicon, quote), quote)
    for replaces in range(most + 1):
        if not _is_within(rest[:replaces], text):
            break
        for size in range(min(len(text), len(rest) - replaces), 0, -1):
            shown = text[: len(text) - size]
            # A closer of what the suggestion itself opened is its own, and not the one that stands right.
            if (
                text.endswith(rest[replaces : replaces + size])
                and _left_open(Scan(shown, lexicon, quote), quote) <= opened
            ):
                yield shown, replaces
        yield text, replaces
    for mark in Scan(text, lexicon, quote).unopened:
        yield text[: mark.start].rstrip(), 0


def _left_open(scan: Scan, quote: str) -> int:
    """How much of what a text opened it leaves open; *quote* is the string that it begins in."""
    return len(scan.unclosed) + (bool(scan.quote) and (bool(scan.unopened) or not quote))


def _is_within(part: str, text: str) -> bool:
    """Whether *part* is left when characters are left out of *text*: editors show no other replacement as a ghost."""
    characters = iter(text)
    return all(char in characters for char in part)


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


def _without_lines_below(text: str, place: Place) -> str:
    """*text* without last lines that stand below already, indented the same: the ends of a block."""
    lines = text.split("\n")
    below = [line.rstrip() for line in place.next_lines[: len(lines)]]
    shown = [line.rstrip() for line in (place.line_before + lines[0], *lines[1:])]
    for size in range(len(below), 0, -1):
        if shown[-size:] == below[:size] and (size > 1 or _closes_more(text, shown[-1], place)):
            return "\n".join(lines[:-size])
    return text


def _closes_more(text: str, line: str, place: Place) -> bool:
    """Whether a short last line closes what *text* has not opened, and so what the same line below closes, too."""
    scan = Scan(text, lexicon_of(place.language))
    return bool(scan.unopened) and indent_of(line) <= indent_of(place.opener_line)
