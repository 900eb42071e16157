"""The copy source: what followed earlier occurrences of the text left of the cursor.

No weights and well below a millisecond.  Where several places go on differently they vote, the longest match and the
nearest place counting most; how they voted is the evidence from which `suggest.confidence` tells how likely the
copy is what the user types next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

#: How far left of the cursor a match may reach.
_MAX_MATCH_CHARS = 200

#: Places are looked up by ends of so many characters.  A longer end can only be found where a shorter one was.
_NEEDLES = (2, 4, 7, 12, 24)

#: Places looked at for one end in one file, the nearest first: code repeats short strings thousands of times.
_MAX_PLACES = 16

#: A place counts by its match to this power, divided by one and a share of the number of places that are nearer.
#: On recorded sessions anything from 2 to 3 and from 0.05 to 0.3 is right about equally often.
_POWER = 2.5
_FAR = 0.1

#: How much text callers pass, in characters: around the cursor, and of other files.
MAX_SEARCH_CHARS = 400_000


class Origin(StrEnum):
    """Where a copy comes from."""

    ABOVE = "above"
    BELOW = "below"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Echo:
    """A copy: the rest of the line after an earlier occurrence, and what speaks for it."""

    text: str
    match_chars: int
    """How many characters repeat; the blanks that indent the cursor's line do not count."""
    share: float = 1.0
    """The part of the vote for the first word of ``text``."""
    agreeing: int = 1
    """At how many places that word follows, of ``places``."""
    places: int = 1
    ending: float = 0.0
    """The part of the vote for the line to end here."""
    reach: float = 1.0
    """The match, as a part of the longest one anywhere."""
    is_nearest: bool = True
    """Whether one of the two nearest places says so."""
    origin: Origin = Origin.ABOVE


@dataclass(slots=True)
class _Votes:
    """Those for one first word."""

    weight: float = 0.0
    count: int = 0
    first: int = 0
    best: float = 0.0
    match: int = 0
    text: str = ""
    origin: Origin = field(default=Origin.ABOVE)


def find(before: str, after: str = "", others: Iterable[str] = (), limit: int = 2) -> tuple[Echo, ...]:
    """The likeliest continuations of *before*, the best first; they differ in their first word.

    They are copied from *before* itself, from *after* (the text right of the cursor) or from *others* (the most
    recently used first).
    """
    tail = before[-_MAX_MATCH_CHARS:]
    line = tail[tail.rfind("\n") + 1 :]
    votes = _count(_places(before[:-1], after, others, tail), len(line), len(line.lstrip(" \t")))
    ranked = sorted(votes.items(), key=lambda item: -item[1].weight)
    total = sum(vote.weight for vote in votes.values())
    places = sum(vote.count for vote in votes.values())
    longest = max((vote.match for vote in votes.values()), default=0)
    ending = votes[""].weight / total if "" in votes else 0.0
    return tuple(
        Echo(
            text=vote.text,
            match_chars=vote.match,
            share=vote.weight / total,
            agreeing=vote.count,
            places=places,
            ending=ending,
            reach=vote.match / longest,
            is_nearest=vote.first < 2,
            origin=vote.origin,
        )
        for word, vote in ranked[: limit + 1]
        if word
    )[:limit]


def first_word(text: str) -> str:
    """The beginning of *text* that somebody would accept on its own: two characters or more, up to a word's edge."""
    for size in range(2, len(text)):
        if not (text[size - 1].isalnum() and text[size].isalnum()):
            return text[:size]
    return text


def _count(places: Iterator[tuple[str, int, Origin]], line_chars: int, word_chars: int) -> dict[str, _Votes]:
    """The votes by first word; a place where the line ends votes for the empty one."""
    votes: dict[str, _Votes] = {}
    for rank, (rest, repeated, origin) in enumerate(places):
        # The blanks that indent the cursor's line are no evidence.
        match = repeated - min(line_chars - word_chars, max(repeated - word_chars, 0))
        if match < 1:
            continue
        weight = match**_POWER / (1 + _FAR * rank)
        vote = votes.setdefault(first_word(rest), _Votes(first=rank))
        vote.weight += weight
        vote.count += 1
        if weight > vote.best:
            vote.best, vote.match, vote.text, vote.origin = weight, match, rest, origin
    return votes


def _places(above: str, below: str, others: Iterable[str], tail: str) -> Iterator[tuple[str, int, Origin]]:
    """Where the end of *tail* occurs, the nearest first: the rest of the line there, and how many characters repeat."""
    for end in sorted(_occurrences(above, tail), reverse=True):
        yield _rest_of_line(above, end), _match_length(above, end, tail), Origin.ABOVE
    for end in sorted(_occurrences(below, tail, forward=True)):
        yield _rest_of_line(below, end), _match_length(below, end, tail), Origin.BELOW
    left = MAX_SEARCH_CHARS
    for text in others:
        for end in sorted(_occurrences(text, tail), reverse=True):
            yield _rest_of_line(text, end), _match_length(text, end, tail), Origin.ELSEWHERE
        left -= len(text)
        if left <= 0:
            return


def _occurrences(text: str, tail: str, *, forward: bool = False) -> set[int]:
    """Where ends of *tail* end in *text*: for each length of `_NEEDLES` some places, those near the cursor."""
    found: set[int] = set()
    for size in _NEEDLES:
        needle = tail[-size:]
        ends = tuple(_ends(text, needle, forward)) if len(needle) == size else ()
        if not ends:
            break
        if needle.strip():
            found.update(ends)
    return found


def _ends(text: str, needle: str, forward: bool) -> Iterator[int]:
    at = text.find(needle) if forward else text.rfind(needle)
    for _ in range(_MAX_PLACES):
        if at < 0:
            return
        yield at + len(needle)
        at = text.find(needle, at + 1) if forward else text.rfind(needle, 0, at + len(needle) - 1)


def _rest_of_line(text: str, start: int) -> str:
    end = text.find("\n", start)
    rest = text[start : end if end >= 0 else len(text)]
    return (rest.partition("\r")[0] if "\r" in rest else rest).rstrip()


def _match_length(text: str, end: int, tail: str) -> int:
    """How many characters left of *end* equal the end of *tail*."""
    low, high = 0, min(end, len(tail))
    while low < high:
        middle = (low + high + 1) // 2
        if text[end - middle : end] == tail[len(tail) - middle :]:
            low = middle
        else:
            high = middle - 1
    return low
