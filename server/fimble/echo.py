"""The copy source: what followed the longest earlier occurrence of the text left of the cursor.

No weights, microseconds, and right about half the time when the match is long.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: How far left of the cursor a match may reach.
_MAX_MATCH_CHARS = 200

#: Occurrences looked at per file: code repeats short strings thousands of times.
_MAX_CANDIDATES = 64

#: How much of one file callers pass, in characters: the text before the cursor, or the end of another file.
MAX_SEARCH_CHARS = 400_000


@dataclass(frozen=True, slots=True)
class Echo:
    """A copy: the rest of the line after the earlier occurrence."""

    text: str
    match_chars: int
    """How many characters repeat; the blanks that indent the cursor's line do not count."""


def find(before: str, others: Iterable[str], min_chars: int) -> Echo | None:
    """The best continuation of *before*, from *before* itself or from *others* (nearest first).

    At least *min_chars* characters must match; the blanks that indent a line do not count.
    """
    tail = before[-_MAX_MATCH_CHARS:]
    needle = _needle(tail, min_chars)
    if not needle:
        return None
    line = tail[tail.rfind("\n") + 1 :]
    indent = len(line) - len(line.lstrip(" \t"))
    best: Echo | None = None
    # The occurrence at the cursor itself is left out; everything before it may be copied.
    for text in (before[:-1], *others):
        found = _best_in(text, tail, needle)
        if found and (best is None or found.match_chars > best.match_chars):
            best = found
    if best is None:
        return None
    blanks = min(indent, max(best.match_chars - (len(line) - indent), 0))
    return Echo(best.text, best.match_chars - blanks)


def _needle(tail: str, min_chars: int) -> str:
    """The shortest end of *tail* that holds *min_chars* characters, an indentation not counted."""
    line = tail[tail.rfind("\n") + 1 :]
    if len(line.lstrip(" \t")) >= min_chars:
        return line[-min_chars:]
    # The line is too short to tell: the lines above it must repeat, too.
    wanted = min_chars + len(line) - len(line.lstrip(" \t"))
    return tail[-wanted:] if len(tail) >= wanted and tail[-wanted:].strip() else ""


def _best_in(text: str, tail: str, needle: str) -> Echo | None:
    best: Echo | None = None
    at = text.rfind(needle)
    for _ in range(_MAX_CANDIDATES):
        if at < 0:
            break
        end = at + len(needle)
        rest = _rest_of_line(text, end)
        if rest.strip():
            length = _match_length(text, end, tail)
            if best is None or length > best.match_chars:
                best = Echo(rest, length)
        at = text.rfind(needle, 0, end - 1)
    return best


def _rest_of_line(text: str, start: int) -> str:
    end = min((i for i in (text.find("\n", start), text.find("\r", start)) if i >= 0), default=len(text))
    return text[start:end].rstrip()


def _match_length(text: str, end: int, tail: str) -> int:
    """How many characters left of *end* equal the end of *tail*."""
    limit = min(end, len(tail))
    length = 0
    while length < limit and text[end - 1 - length] == tail[-1 - length]:
        length += 1
    return length
