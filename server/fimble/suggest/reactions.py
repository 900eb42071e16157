"""What became of the suggestions that were shown: accepted, typed, dismissed.

An editor tells at most that one was accepted.  The rest is read from what happens to the document next.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fimble.core import Ask, Document, Suggestion
from fimble.suggest.following import typed_of
from fimble.suggest.place import unix_lines

#: A suggestion that something else was typed over within this time was not read: people read words in about 0.25 s
#: and need as long to act.
READ_S = 0.5

_FIRST_WORD = re.compile(r"\W*\w+")


class Reaction(StrEnum):
    """What became of a suggestion that was shown."""

    ACCEPTED = "accepted"
    """It was put in, as a whole."""
    TYPED = "typed"
    """It was typed, or accepted in part: its first word at least."""
    DISMISSED = "dismissed"
    """It could be read, and something else was done."""
    IGNORED = "ignored"
    """Something else was done before it could be read: it says nothing about the person, only about the text."""


@dataclass(slots=True)
class _Showing:
    """Suggestions at one place, with those that were their rests while they were typed through."""

    ask: Ask
    suggestions: list[Suggestion]
    since_s: float
    ids: dict[int, Suggestion]
    document_chars: int
    """How long the document was after the last edit."""
    typed_chars: int = 0
    """The most that was typed of the first."""
    put_in_chars: int = 0
    """How much of the first stood there when a part of it had been put in at once."""
    end: tuple[Suggestion, Reaction] | None = None
    """Which one stands in the document as a whole, and how it seems to have come there."""


class Reactions:
    """Watches what is shown in each document and tells *on_reaction* once what became of it.

    Where several are shown, only the one that is taken is told about, or the first if none is.  *on_rest_refused* hears
    of those of which words were taken, until somebody typed the next one instead of taking it, too.
    """

    def __init__(
        self,
        on_reaction: Callable[[Ask, Suggestion, Reaction], None],
        clock: Callable[[], float] = time.monotonic,
        on_rest_refused: Callable[[Ask, Suggestion], None] = lambda _ask, _suggestion: None,
    ) -> None:
        self._on_reaction = on_reaction
        self._on_rest_refused = on_rest_refused
        self._clock = clock
        self._showings: dict[str, _Showing] = {}

    def shown(self, ask: Ask, suggestions: Sequence[Suggestion]) -> None:
        """*suggestions* are on the screen now.  The rest of what was shown before is no new suggestion."""
        if not suggestions:
            return
        showing = self._showings.get(ask.document.uri)
        if showing is not None and showing.end is None and _is_rest(showing, ask, suggestions[0]):
            showing.ids[suggestions[0].id] = showing.suggestions[0]
            more = [s for s in suggestions[1:] if s.text not in {known.text for known in showing.suggestions}]
            showing.ids.update({suggestion.id: suggestion for suggestion in more})
            if showing.ask.offset == ask.offset:
                showing.suggestions += more
            return
        self._conclude(ask.document.uri)
        ids = {suggestion.id: suggestion for suggestion in suggestions}
        showing = _Showing(
            dataclasses.replace(ask, others=()), list(suggestions), self._clock(), ids, len(ask.document.text)
        )
        self._showings[ask.document.uri] = showing

    def edited(self, document: Document) -> None:
        """A document was changed."""
        showing = self._showings.get(document.uri)
        if showing is None:
            return
        agreed = [(suggestion, typed_of(suggestion, showing.ask, document)) for suggestion in showing.suggestions]
        if showing.end or all(chars is None for _, chars in agreed):
            self._conclude(document.uri)
            return
        grown = len(document.text) - showing.document_chars
        showing.document_chars = len(document.text)
        for suggestion, chars in agreed:
            if chars == len(suggestion.text):
                # Several characters at once are no typing; but an editor that tells of acceptance knows better.
                showing.end = suggestion, Reaction.ACCEPTED if grown > 1 else Reaction.TYPED
                return
        chars = agreed[0][1] or 0
        if _is_rest_refused(showing, chars):
            self._on_rest_refused(showing.ask, showing.suggestions[0])
            self._conclude(document.uri)
            return
        if chars > showing.typed_chars + 1:
            showing.put_in_chars = chars
        showing.typed_chars = max(showing.typed_chars, chars)

    def moved(self, document: Document, offset: int) -> None:
        """The cursor is elsewhere; on another line, what was shown is out of sight."""
        showing = self._showings.get(document.uri)
        if showing and document.text.line_of(offset) != document.text.line_of(showing.ask.offset):
            self._conclude(document.uri)

    def accepted(self, suggestion_id: int) -> None:
        """The editor says that it put in a suggestion.  One that is not on the screen is not known any more."""
        for uri, showing in self._showings.items():
            if suggestion := showing.ids.get(suggestion_id):
                showing.end = suggestion, Reaction.ACCEPTED
                self._conclude(uri)
                return

    def closed(self, uri: str) -> None:
        """A document was closed: what was still open then, nobody dismissed."""
        showing = self._showings.get(uri)
        if showing and (showing.end or _is_word_typed(showing)):
            self._conclude(uri)
        self._showings.pop(uri, None)

    def _conclude(self, uri: str) -> None:
        showing = self._showings.pop(uri, None)
        if showing is None:
            return
        suggestion, reaction = showing.end or (showing.suggestions[0], Reaction.DISMISSED)
        if showing.end is None and _is_word_typed(showing):
            reaction = Reaction.TYPED
        elif showing.end is None and self._clock() - showing.since_s < READ_S:
            reaction = Reaction.IGNORED
        self._on_reaction(showing.ask, suggestion, reaction)


def _is_rest(showing: _Showing, ask: Ask, suggestion: Suggestion) -> bool:
    """Whether *suggestion*, shown at *ask*, is what is left of the showing's first."""
    text, start = showing.suggestions[0].text, showing.ask.offset
    typed = unix_lines(ask.document.text.source[start : ask.offset])
    return ask.offset >= start and text.startswith(typed) and text[len(typed) :].startswith(suggestion.text)


def _is_rest_refused(showing: _Showing, chars: int) -> bool:
    """Whether somebody who has taken words of the first suggestion goes on by hand: *chars* of it end within a word.

    Words are taken up to their ends; whoever wanted this one, too, had no reason to begin to type it.
    """
    is_by_hand = 0 < showing.put_in_chars < chars == showing.typed_chars + 1
    edge = showing.suggestions[0].text[chars - 1 : chars + 1]
    return is_by_hand and len(edge) == 2 and edge.replace("_", "a").isalnum()


def _is_word_typed(showing: _Showing) -> bool:
    word = _FIRST_WORD.match(showing.suggestions[0].text)
    return word is not None and showing.typed_chars >= word.end()
