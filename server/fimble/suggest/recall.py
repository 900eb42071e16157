"""Memory: suggestions that were made here, found again while the user types through them.

A hit costs microseconds and asks nobody.
"""

from __future__ import annotations

from collections import OrderedDict

from fimble.suggest.place import Place

#: How much text on each side of the place a suggestion was made at must still be the same, in characters.
_BEFORE_CHARS = 128
_AFTER_CHARS = 48

_CLOSERS = ")]}\"'`"
_MAX_CLOSERS = 8

#: The most that may have been typed of a suggestion.
_MAX_TYPED_CHARS = 256

_Key = tuple[str, str, str]


class Memory:
    """The latest suggestions of one window, by where they were made."""

    def __init__(self, limit: int = 1000) -> None:
        self._made: OrderedDict[_Key, str] = OrderedDict()
        self._limit = limit
        self._longest = 0

    def remember(self, uri: str, place: Place, text: str) -> None:
        """Keep *text* as what was suggested at *place*."""
        key = _key(uri, place.before, place.after)
        self._made[key] = text
        self._made.move_to_end(key)
        self._longest = max(self._longest, len(text))
        if len(self._made) > self._limit:
            self._made.popitem(last=False)

    def recall(self, uri: str, place: Place) -> str | None:
        """What is left of a suggestion that was made here or some typed characters earlier, the latest typed first."""
        before = place.before
        for typed in range(min(self._longest, _MAX_TYPED_CHARS, len(before)) + 1):
            start = len(before) - typed
            text = self._made.get(_key(uri, before[:start], place.after))
            if text is not None and len(text) > typed and before.endswith(text[:typed]):
                return text[typed:]
        return None


def _key(uri: str, before: str, after: str) -> _Key:
    # A bracket or quote that the editor closed by itself must not hide what was suggested before it was there.
    return uri, before[-_BEFORE_CHARS:], after[: _AFTER_CHARS + _MAX_CLOSERS].lstrip(_CLOSERS)[:_AFTER_CHARS]
