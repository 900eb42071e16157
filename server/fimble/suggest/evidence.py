"""What speaks for and against a suggestion, as numbers with names: the input of `confidence`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, log2

from fimble.echo import Echo, Origin, first_word
from fimble.suggest.place import Place

Evidence = Mapping[str, float]

#: Beyond this many repeated characters more say nothing new.
_MAX_MATCH_CHARS = 64

#: Natural logarithm of a probability below which all are alike.
_LEAST_LOG_PROBABILITY = -8.0

#: How much of its distance to the latest outcome the mean over the latest ones moves.
_WEIGHT = 0.08

_MAX_MISSES = 5


@dataclass(frozen=True, slots=True)
class Written:
    """A token that the model wrote: its text, and the natural logarithm of its probability."""

    text: str
    log_probability: float


class Streak:
    """How the latest guesses did, whether or not they were shown: people write what was there before in stretches."""

    def __init__(self) -> None:
        self._share = 0.3
        self._misses = 0
        self._guess: tuple[str, int, str] | None = None

    def note(self, uri: str, offset: int, text: str) -> None:
        """*text* is what is guessed to come next at *offset*."""
        self._guess = (uri, offset, text)

    def look(self, uri: str, source: str, offset: int) -> None:
        """See what was typed since the last guess, and whether it was right so far."""
        if self._guess is None:
            return
        guessed_uri, start, text = self._guess
        typed = source[start:offset]
        self._guess = None
        if uri == guessed_uri and 0 < len(typed) <= len(text):
            is_right = text.startswith(typed)
            self._share += _WEIGHT * (is_right - self._share)
            self._misses = 0 if is_right else self._misses + 1

    def evidence(self) -> Evidence:
        """The share of right guesses lately, and how many were wrong in a row."""
        return {"right lately": self._share, "wrong in a row": min(self._misses, _MAX_MISSES) / _MAX_MISSES}


def of_echo(echo: Echo, place: Place, streak: Streak) -> Evidence:
    """What a copy's match and the vote for it say."""
    match = log2(1 + min(echo.match_chars, _MAX_MATCH_CHARS))
    odds = _log_odds(echo.share)
    return {
        **_of_place(echo.text, place),
        **streak.evidence(),
        "match": match,
        "match from 7 characters on": max(match - 3, 0.0),
        "match from 22 characters on": max(match - 4.5, 0.0),
        "match of the whole line": float(echo.match_chars > len(place.line_before.lstrip(" \t"))),
        "match shorter than the longest": log(echo.reach),
        "vote": odds,
        "vote times match": odds * match / 4,
        "vote for the line's end": echo.ending,
        "agreeing places": log2(echo.agreeing),
        "places": log2(echo.places),
        "only one place": float(echo.places == 1),
        "near": float(echo.is_nearest),
        "from below": float(echo.origin is Origin.BELOW),
        "from another file": float(echo.origin is Origin.ELSEWHERE),
    }


def of_model(written: Sequence[Written], text: str, echo: Echo | None, place: Place, streak: Streak) -> Evidence:
    """What the model's own probabilities say, and whether a copy agrees.  *text* is what would be shown of it."""
    word = len(first_word(text))
    first, least, total, seen, length = 0.0, 0.0, 0.0, 0, 0
    for token in written:
        value = max(token.log_probability, _LEAST_LOG_PROBABILITY)
        if length < word:
            first += value
            least = min(least, value)
        total += value
        seen += 1
        length += len(token.text)
        if length >= len(text):
            break
    first = max(first, _LEAST_LOG_PROBABILITY)
    agrees = echo is not None and first_word(echo.text) == first_word(text)
    return {
        **_of_place(text, place),
        **streak.evidence(),
        "first word": first,
        "first word, odds": _log_odds(2.718281828**first),
        "least likely token of it": least,
        "all tokens, mean": total / max(seen, 1),
        "a copy agrees": float(agrees),
        "a copy agrees, its vote": _log_odds(echo.share) if agrees and echo else 0.0,
        "a copy agrees, its match": log2(1 + min(echo.match_chars, _MAX_MATCH_CHARS)) if agrees and echo else 0.0,
        "a copy disagrees": float(echo is not None and not agrees),
        "no copy": float(echo is None),
    }


def _of_place(text: str, place: Place) -> Evidence:
    line = place.line_before.lstrip(" \t")
    before, first = _kind(place.before[-1:]), _kind(text[:1])
    typed = len(line) - len(line.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"))
    return {
        "one": 1.0,
        "word so far": min(typed, 6) / 6,
        "line so far": min(len(line), 10) / 10,
        "line is empty": float(not line),
        "text right of the cursor": float(bool(place.line_after.strip())),
        "first word's length": log2(max(len(first_word(text)), 1)),
        "length": log2(max(len(text), 1)),
        "goes on with a word": float(before == "word" and first == "word"),
        f"word so far: {typed}" if typed < 3 else "word so far: more": 1.0,
        f"after {before}": 1.0,
        f"begins with {first}": 1.0,
    }


def _kind(char: str) -> str:
    if not char or char == "\n":
        return "line end"
    if char.isalnum() or char == "_":
        return "word"
    if char in " \t":
        return "blank"
    if char in "([{":
        return "opening bracket"
    return "dot" if char == "." else "other sign"


def _log_odds(share: float) -> float:
    """The logarithm of the odds, kept from infinity."""
    return log((share + 0.02) / (1.02 - share))
