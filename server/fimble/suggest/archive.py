"""What the model wrote in earlier sessions, kept on disk and found again anywhere inside of it.

It is kept by line: by what stands above the line and after the cursor.  One look at the disk fetches all that is
known of a line; which of it fits the keys typed on that line is told without another.  An answer of several lines is
kept at the start of each of them, so that who goes on in its middle after a restart finds the rest.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import msgspec

from fimble.store import Store
from fimble.suggest.place import Place
from fimble.suggest.recall import rest_of

#: How much text on each side has to be the same, in characters.
_ABOVE_CHARS = 2000
_AFTER_CHARS = 500

#: How many answers are kept for one line, and how many lines are remembered not to look twice.
_MAX_ANSWERS = 8
_MAX_LINES = 256

#: What stood on the line when the model was asked, and what it wrote, untrimmed.
_Answers = list[tuple[str, str]]


class Archive:
    """The store's answers for one *model* and the settings that answers depend on."""

    def __init__(self, store: Store, *settings: str | int) -> None:
        self._store = store
        self._settings = settings
        self._lines: OrderedDict[str, _Answers] = OrderedDict()

    async def find(self, model: str, path: str, place: Place) -> str | None:
        """What is left of an answer that was given here or some typed characters earlier; None if there is none.

        *model* is the digest of its file, *path* what a person calls the document.  Waits for the disk once per line.
        """
        key, line = self._key(model, path, place), _clean(place.line_before)
        if key not in self._lines:
            self._note(key, _parse(await self._store.get(key)))
        fitting = [
            (len(typed), (typed + text)[len(line) :])
            for typed, text in self._lines.get(key, [])
            if typed == line or (len(typed) <= len(line) < len(typed + text) and (typed + text).startswith(line))
        ]
        return max(fitting, key=lambda found: found[0])[1] if fitting else None

    def keep(self, model: str, path: str, place: Place, text: str) -> None:
        """Store *text*, which the model wrote at *place*."""
        self._add(self._key(model, path, place), _clean(place.line_before), text)
        end = text.find("\n") + 1
        while 0 < end < len(text):
            inside = Place(place.before + text[:end], place.after)
            self._add(self._key(model, path, inside), "", text[end:])
            end = text.find("\n", end) + 1

    def _add(self, key: str, typed: str, text: str) -> None:
        others = [answer for answer in self._lines.get(key, []) if answer[0] != typed]
        answers = [(typed, text), *others][:_MAX_ANSWERS]
        self._note(key, answers)
        self._store.put(key, msgspec.json.encode(answers).decode())

    def _note(self, key: str, answers: _Answers) -> None:
        self._lines[key] = answers
        self._lines.move_to_end(key)
        if len(self._lines) > _MAX_LINES:
            self._lines.popitem(last=False)

    def _key(self, model: str, path: str, place: Place) -> str:
        above = place.before[: len(place.before) - len(place.line_before)][-_ABOVE_CHARS:]
        parts = (model, *self._settings, path, above, rest_of(place.after, _AFTER_CHARS))
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def _clean(text: str) -> str:
    """*text* with what no encoding can carry (half an emoji) replaced, as in the prompt."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _parse(stored: str | None) -> _Answers:
    try:
        return msgspec.json.decode(stored, type=_Answers) if stored else []
    except msgspec.DecodeError:
        return []
