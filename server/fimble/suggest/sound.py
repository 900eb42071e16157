"""Suggestions that leave the file no worse: never more syntax errors with one than without it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import islice

from fimble.suggest.brackets import Scan
from fimble.suggest.closing import closed
from fimble.suggest.inside import Inside, inside_of
from fimble.suggest.place import Place
from fimble.suggest.trim import Trimmed, trim
from fimble.syntax import Spot

#: Each candidate costs a parse of what it changes: a third of a millisecond in a file of 60 kB.
_MAX_PARSES = 8
_MAX_S = 0.01
_MAX_PIECES = 3
_TOO_MANY = 1_000_000

#: A text with more errors than this is not of the grammar's language: one more or less says nothing then.
_HOPELESS_ERRORS = 8

#: Where a line may be cut: after a word or something closed, not within a word.
_PIECE_END = re.compile(r"(?<=[\w)\]}\"'`;])(?!\w)")


def fit(text: str, place: Place, spot: Spot | None, *, multiline: bool = True) -> Trimmed:
    """The part of *text* that is worth showing at *place* and leaves its syntax sound."""
    return sound(trim(text, place, inside_of(place, spot)), place, spot, multiline=multiline)


def sound(suggestion: Trimmed, place: Place, spot: Spot | None, *, multiline: bool = True) -> Trimmed:
    """The longest beginning of a suggestion with which the file has no more syntax errors than without it.

    What it opened and nothing closes is closed.  Where the syntax is unknown, brackets alone are looked at.
    """
    if not suggestion:
        return suggestion
    inside = inside_of(place, spot)
    if spot is not None and spot.errors > _HOPELESS_ERRORS:
        spot = None
    if spot is None and not inside.lexicon.quotes:
        return suggestion  # prose, or a language of which nothing is known
    judge = _Judge(suggestion, place, spot, inside)
    multiline = multiline and not place.line_after.strip()
    for choices, most in _choices(suggestion.text, place, inside, judge.present, multiline=multiline):
        errors, text = judge.best(choices)
        if errors <= most:
            return Trimmed(text, judge.replaces(text))
        if judge.is_tired:
            break
    return Trimmed("")


class _Judge:
    """Counts what would be wrong, in the tree if there is one, a limited number of times."""

    def __init__(self, suggestion: Trimmed, place: Place, spot: Spot | None, inside: Inside) -> None:
        self._suggestion, self._place, self._spot, self._inside = suggestion, place, spot, inside
        self._left, self._until = _MAX_PARSES, time.thread_time() + _MAX_S
        self._known: dict[str, int] = {}
        self.present = spot.errors if spot else 0

    @property
    def is_tired(self) -> bool:
        """Whether no more questions are worth their time."""
        return self._left <= 0 or time.thread_time() > self._until

    def replaces(self, text: str) -> int:
        """How much *text* replaces: a part of the suggestion may lack what the whole of it takes the place of."""
        return self._suggestion.replaces if text.startswith(self._suggestion.text) else 0

    def best(self, choices: list[str]) -> tuple[int, str]:
        """The first of *choices* with the fewest errors, and how many."""
        best = _TOO_MANY, ""
        for text in choices:
            if text not in self._known and self.is_tired:
                break
            best = min(best, (self._errors(text), text), key=lambda found: found[0])
            if not best[0]:
                break
        return best

    def _errors(self, text: str) -> int:
        """How many errors there are with *text*."""
        if text not in self._known:
            self._known[text] = self._count(text)
        return self._known[text]

    def _count(self, text: str) -> int:
        self._left -= 1
        if self._spot:
            errors = self._spot.errors_with(text, self.replaces(text))
            return _TOO_MANY if errors is None else errors
        lexicon, quote = self._inside.lexicon, self._inside.quote
        scan = Scan(text, lexicon, quote)
        own_quote = bool(scan.quote) and (bool(scan.unopened) or not quote)
        closable = len(Scan(self._place.before, lexicon).unclosed)
        return len(scan.unclosed) + own_quote + max(len(scan.unopened) - bool(quote) - closable, 0)


def _choices(
    text: str, place: Place, inside: Inside, present: int, *, multiline: bool
) -> Iterator[tuple[list[str], int]]:
    """What to try, the best first, and how many errors it may have at most."""

    def shut(beginning: str) -> str:
        return closed(beginning, place, inside, multiline=multiline)

    yield [text], 0  # mostly that is all, and what it opens may be closed below
    whole = shut(text)
    lines = [text[: found.start()].rstrip() for found in re.finditer("\n", text)][::-1]
    lines = list(dict.fromkeys(line for line in lines if line.strip()))
    even = [line for line in lines if shut(line) == line]
    if whole != text:
        yield even[:1], present  # what was finished before is more likely right than what has to be closed
    others = [*_without_closers(text, inside), text.rstrip(","), *_with_end(whole, place, inside)]
    yield list(dict.fromkeys((whole, text, *others))), present
    yield from (([line], present) for line in even[:_MAX_PIECES])
    if lines and lines[-1] not in even[:_MAX_PIECES]:
        yield [shut(lines[-1]), lines[-1]], present
    yield from (([piece], present) for piece in _pieces(text.partition("\n")[0], place, inside))


def _with_end(text: str, place: Place, inside: Inside) -> list[str]:
    """*text* with the semicolon that a statement of its language needs, if it may lack one."""
    end = inside.lexicon.ends_statements
    return [text + end] if end and not place.line_after.strip() and text[-1:] not in ";{},:" else []


def _without_closers(text: str, inside: Inside) -> list[str]:
    """*text* up to each bracket that it closes and has not opened, the longest first."""
    unopened = [] if inside.is_prose else Scan(text, inside.lexicon, inside.quote).unopened
    return [found for mark in unopened[::-1] if (found := text[: mark.start].rstrip())]


def _pieces(line: str, place: Place, inside: Inside) -> list[str]:
    """Beginnings of a line at which a person might stop, too: after a word, with all brackets closed."""
    beginnings = [line[: match.start()] for match in _PIECE_END.finditer(line)][-2::-1]
    even = (piece for piece in beginnings if piece.strip() and closed(piece, place, inside, multiline=False) == piece)
    return list(islice(even, _MAX_PIECES))
