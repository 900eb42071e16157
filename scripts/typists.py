"""Recorded typing sessions, and people who type them again while somebody makes suggestions.

A session is a file NAME.jsonl.gz of rows ``{"txn", "pos", "del", "ins"}`` in order: at code point *pos* take *del*
characters away, put *ins* in.  Rows with one *txn* are one change.  The first row is the file as it stood.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

#: What an editor puts in at one key.
_PAIRS = ("()", "{}", "[]", '""', "''", "``")

#: Nobody accepts a suggestion for less.
LEAST_CHARS = 2

#: How much of what is typed next is known at a key.
_MAX_NEXT_CHARS = 400


class SessionFailed(Exception):
    """A session cannot be read; the text says why."""


@dataclass(slots=True)
class Event:
    """One change: rows of (position, characters removed, text put in), each on the result of the one before."""

    rows: list[tuple[int, int, str]]
    text: str
    """The document after it."""
    offset: int
    """Where it ended."""
    is_key: bool
    goes_on: bool
    """Whether it begins where the change before ended."""
    next: str = ""
    """What is typed next, key after key, until something else is done."""

    @property
    def key(self) -> str:
        """What was put in by the first row: all of it, for a key."""
        return self.rows[0][2]


class Typist(StrEnum):
    """Who accepts what."""

    WHOLE = "whole"
    """Only what is right to its last character."""
    WORD = "word"
    """The longest right beginning that ends at a word's edge."""
    NEVER = "never"
    """Nothing: types through."""


@dataclass(frozen=True, slots=True)
class Ghost:
    """What is shown after a key, and who made it."""

    text: str
    source: str = ""


class Player(Protocol):
    """Who makes the suggestions."""

    async def edit(self, *events: Event) -> None:
        """The document is changed: by all of them at once."""

    async def ask(self, event: Event) -> Ghost | None:
        """What is shown after that change."""

    async def accept(self, ghost: Ghost, taken: str) -> None:
        """*taken*, the whole of *ghost* or its beginning, is put in, with the next edit."""


def read_session(path: Path, start: int, count: int) -> tuple[str, list[Event]]:
    """The text before change *start* (0 is the first after the file as it stood), and *count* changes from it on.

    Raises SessionFailed.
    """
    read = list(itertools.islice(_everything(path), start, start + count + 1))
    if len(read) < 2:
        raise SessionFailed(f"{path} has no change {start}.")
    before, *events = read
    for event, following in zip(reversed(events[:-1]), reversed(events[1:]), strict=True):
        if following.is_key and following.goes_on:
            event.next = (following.key + following.next)[:_MAX_NEXT_CHARS]
    return before.text, events


def retyped(text: str, count: int) -> tuple[str, list[Event]]:
    """A session out of a file: about *count* characters of its middle are typed anew, an indentation as one key.

    The text without them, and the changes.
    """
    start = text.rfind("\n", 0, len(text) // 2) + 1
    end = text.find("\n", start + count)
    end = len(text) if end < 0 else end
    before, after = text[:start], text[end:]
    events: list[Event] = []
    at = start
    while at < end:
        size = 1
        while text[at] == "\n" and at + size < end and text[at + size] in " \t":
            size += 1
        done = at + size
        events.append(Event([(at, 0, text[at:done])], text[:done] + after, done, True, bool(events)))
        events[-1].next = text[done : min(end, done + _MAX_NEXT_CHARS)]
        at = done
    return before + after, events


def changes(path: Path) -> Iterator[Event]:
    """Every change in turn; what is typed next is not known yet.  Raises SessionFailed."""
    return itertools.islice(_everything(path), 1, None)


def _everything(path: Path) -> Iterator[Event]:
    """The file as it stood, as if it had been put in at once, and the changes."""
    text, ended = "", -1
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for _txn, group in itertools.groupby(map(json.loads, file), key=lambda row: row["txn"]):
                rows = [(row["pos"], row["del"], row["ins"]) for row in group]
                for at, removed, put_in in rows:
                    text = text[:at] + put_in + text[at + removed :]
                goes_on = rows[0][0] == ended
                ended = rows[-1][0] + len(rows[-1][2])
                is_key = len(rows) == 1 and not rows[0][1] and _is_key(rows[0][2])
                yield Event(rows, text, ended, is_key, goes_on)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SessionFailed(f"{path} cannot be read as a session: {error!r}.") from None


def _is_key(text: str) -> bool:
    is_enter = text.startswith("\n") and not text.strip()
    return len(text.strip(" \t")) <= 1 or text in _PAIRS or is_enter


def taken(suggestion: str, following: str, typist: Typist) -> str:
    """What *typist* accepts of a *suggestion* where *following* is to be typed; empty if nothing."""
    size = len(suggestion) if following.startswith(suggestion) else 0
    if not size and typist is Typist.WORD:
        while size < min(len(suggestion), len(following)) and suggestion[size] == following[size]:
            size += 1
        while size and size < len(suggestion) and suggestion[size - 1].isalnum() and suggestion[size].isalnum():
            size -= 1
    return suggestion[:size] if size >= LEAST_CHARS and typist is not Typist.NEVER else ""


def _covered(waiting: Iterator[Event], chars: int) -> Iterator[Event]:
    """The next keys, which put in *chars* characters."""
    while chars > 0 and (event := next(waiting, None)):
        chars -= len(event.key)
        yield event


async def simulate(events: Sequence[Event], player: Player, typist: Typist) -> Counter[str]:
    """Type *events*, and accept what comes.

    Keys that an acceptance covers are not typed and nothing is asked after them; an acceptance is one key.  Counted
    are ``keys``, ``asked``, ``shown`` (at least two characters that are not blank), ``shown_SOURCE``, ``accepted``,
    ``accepted_SOURCE``, ``saved`` keys, ``wrong`` (shown, and not even its first word was typed), ``open`` (wrong, but
    nothing of it is known to be: the keys ended before, as the person took the word from a menu, pasted or went
    elsewhere), ``possible`` (keys after which a perfect suggestion would have been of use).
    """
    counts: Counter[str] = Counter()
    waiting = iter(events)
    for event in waiting:
        await player.edit(event)
        if not event.is_key:
            continue
        counts["keys"] += 1
        counts["possible"] += len(event.next.strip()) >= LEAST_CHARS
        ghost = await player.ask(event)
        counts["asked"] += 1
        if ghost is None or len(ghost.text.strip()) < LEAST_CHARS:
            continue
        counts["shown"] += 1
        counts[f"shown_{ghost.source}"] += 1
        is_wrong = not taken(ghost.text, event.next, Typist.WORD)
        counts["wrong"] += is_wrong
        counts["open"] += is_wrong and ghost.text.startswith(event.next)
        accepted = taken(ghost.text, event.next, typist)
        if accepted:
            counts["accepted"] += 1
            counts[f"accepted_{ghost.source}"] += 1
            counts["saved"] += len(accepted) - 1
            await player.accept(ghost, accepted)
            covered = list(_covered(waiting, len(accepted)))
            counts["keys"] += len(covered)
            if covered:
                await player.edit(*covered)
    return counts
