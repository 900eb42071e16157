"""Memory: suggestions that were made here, found again while the user types through them.

A hit costs microseconds and asks nobody.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from fimble.suggest.place import Place

#: How much text on each side of the place a suggestion was made at must still be the same, in characters.
_BEFORE_CHARS = 128
_AFTER_CHARS = 48

#: What editors close by themselves, also on a line of its own (``{``, Enter, and there is a ``}`` below).
CLOSERS = ")]}>\"'`;"
_CLOSED = re.compile(rf"(?:\s*[{re.escape(CLOSERS)}])*")
_MAX_CLOSED_CHARS = 128

#: The most that may have been typed of a suggestion.
_MAX_TYPED_CHARS = 800

#: How many suggestions one place may have.
_MAX_ALTERNATIVES = 4

_Spot = tuple[str, str]


def rest_of(after: str, chars: int) -> str:
    """*chars* characters of the text right of a cursor, without the brackets and quotes that it begins with.

    An editor may have closed them by itself, and typing overwrites them: with or without them it is the same place.
    """
    closed = _CLOSED.match(after, 0, _MAX_CLOSED_CHARS)
    start = closed.end() if closed else 0
    return after[start : start + chars]


@dataclass(slots=True)
class _Made:
    """The suggestions that were made where one text follows, by the text left of their places."""

    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    longest: int = 0


class Memory:
    """The latest suggestions of one window, by where they were made; *places* and *chars* bound its size."""

    def __init__(self, places: int = 1000, chars: int = 1_000_000) -> None:
        self._spots: dict[_Spot, _Made] = {}
        #: The size of every place, the one longest untouched first.
        self._sizes: OrderedDict[tuple[_Spot, str], int] = OrderedDict()
        self._max_places, self._max_chars = places, chars
        self._chars = 0

    def remember(self, uri: str, place: Place, text: str, *others: str) -> None:
        """Keep *text* and *others* as suggested at *place*, after what is known there: nothing shown is replaced."""
        spot, before = _spot(uri, place), place.before[-_BEFORE_CHARS:]
        made = self._spots.setdefault(spot, _Made())
        kept = tuple(dict.fromkeys((*made.texts.get(before, ()), text, *others)))[:_MAX_ALTERNATIVES]
        made.texts[before] = kept
        made.longest = max(made.longest, *map(len, kept))
        size = len(before) + sum(map(len, kept))
        self._chars += size - self._sizes.pop((spot, before), 0)
        self._sizes[spot, before] = size
        while len(self._sizes) > self._max_places or self._chars > self._max_chars:
            self._forget_oldest()

    def forget(self, uri: str, place: Place, text: str) -> None:
        """*text*, suggested at *place*, is not wanted any more."""
        spot, before = _spot(uri, place), place.before[-_BEFORE_CHARS:]
        made = self._spots.get(spot)
        if made and text in made.texts.get(before, ()):
            made.texts[before] = tuple(kept for kept in made.texts[before] if kept != text)

    def recall(self, uri: str, place: Place) -> Iterator[str]:
        """What is left of the suggestions that were made here or some typed characters earlier.

        Those of which the least has been typed come first, and of one place the one that was made first.
        """
        made = self._spots.get(_spot(uri, place))
        if made is None:
            return
        before, texts = place.before, made.texts
        furthest = max(0, len(before) - min(made.longest, _MAX_TYPED_CHARS))
        for start in range(len(before), furthest - 1, -1):
            alternatives = texts.get(before[max(0, start - _BEFORE_CHARS) : start])
            if alternatives:
                typed = before[start:]
                yield from (text[len(typed) :] for text in alternatives if text != typed and text.startswith(typed))

    def _forget_oldest(self) -> None:
        (spot, before), size = self._sizes.popitem(last=False)
        self._chars -= size
        made = self._spots[spot]
        del made.texts[before]
        if not made.texts:
            del self._spots[spot]


def _spot(uri: str, place: Place) -> _Spot:
    return uri, rest_of(place.after, _AFTER_CHARS)
