"""Where suggestions are not wanted: places at which they were dismissed again and again."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict

from fimble.suggest.place import Place
from fimble.suggest.reactions import Reaction

#: After so many dismissals of what was suggested for one beginning of a word, its place is left alone.
ENOUGH = 3

_WORD = re.compile(r"\w*\Z")

_Key = tuple[str, str, str]


class Habits:
    """How often suggestions were dismissed, by place.

    A place is the line up to the cursor's word below the line above it, whatever their blanks are: it stays the same
    while a word is typed or deleted there and lines elsewhere are edited.  The word as it was counts by itself: whoever
    types slowly over three different guesses at one new word has refused none of them three times.  Acceptance starts
    the count anew.
    """

    def __init__(self, limit: int = 256) -> None:
        #: By place, and there by how the word was when the suggestion was shown.
        self._dismissals: OrderedDict[_Key, Counter[str]] = OrderedDict()
        self._limit = limit

    def note(self, uri: str, place: Place, reaction: Reaction) -> None:
        """A suggestion that was shown at *place* came to this."""
        if reaction in (Reaction.ACCEPTED, Reaction.TYPED):
            self.forgive(uri, place)
        elif reaction is Reaction.DISMISSED:
            key = _key(uri, place)
            counts = self._dismissals[key] = self._dismissals.pop(key, Counter())
            counts[_WORD.findall(place.before)[0]] += 1
            if len(self._dismissals) > self._limit:
                self._dismissals.popitem(last=False)

    def forgive(self, uri: str, place: Place) -> None:
        """Suggestions are wanted at *place* after all."""
        self._dismissals.pop(_key(uri, place), None)

    def is_left_alone(self, uri: str, place: Place) -> bool:
        """Whether nothing should come by itself at *place*."""
        counts = self._dismissals.get(_key(uri, place)) if self._dismissals else None
        return counts is not None and max(counts.values()) >= ENOUGH


def _key(uri: str, place: Place) -> _Key:
    above, _, line = place.before.rpartition("\n")
    line_above = above.rstrip().rpartition("\n")[2]
    return uri, " ".join(line_above.split()), " ".join(_WORD.sub("", line).split())
