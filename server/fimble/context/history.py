"""What was edited lately: where, and what stood there before.

Edits of one place in a row are one hunk, however many keys they took.  A hunk is told as the lines that differ, as in a
diff; it is worked out when somebody asks for it, not at the key.
"""

from __future__ import annotations

import difflib
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from fimble.core import Document
from fimble.text import Text

#: An edit that is so many lines or fewer from the one before belongs to the same hunk.
_NEAR_LINES = 3

#: How many finished hunks are remembered, and in how many documents one is being made.
_MAX_HUNKS = 16
_MAX_DOCUMENTS = 16

#: A larger change is a paste or a reformatting, which nobody repeats by hand elsewhere.
_MAX_LINES = 12


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines of *document*, which stood at *line* (from 0), before and after."""

    document: Document
    line: int
    before: tuple[str, ...]
    after: tuple[str, ...]

    def diff(self) -> str:
        """The lines that differ, each behind its sign; empty if none does."""
        changes = difflib.ndiff(self.before, self.after)
        return "".join(f"{line.rstrip()}\n" for line in changes if line[:1] in "+-" and line[2:].strip())


@dataclass(slots=True)
class _Open:
    """A hunk in the making: the document before it, as it is now, and the lines of it that were touched."""

    first: Document
    last: Document
    start: int
    end: int


@dataclass(slots=True)
class EditHistory:
    """The latest edits of one window's documents."""

    _open: OrderedDict[str, _Open] = field(default_factory=OrderedDict)
    _done: deque[Hunk] = field(default_factory=lambda: deque(maxlen=_MAX_HUNKS))

    def note(self, before: Document, after: Document, line: int) -> None:
        """*before* became *after* by an edit that ended in *line*."""
        hunk = self._open.pop(before.uri, None)
        if hunk is not None and not hunk.start - _NEAR_LINES <= line <= hunk.end + _NEAR_LINES:
            self._close(hunk)
            hunk = None
        if hunk is None:
            hunk = _Open(before, after, line, line)
        added = after.text.line_count - before.text.line_count
        hunk.last, hunk.start, hunk.end = after, min(hunk.start, line), max(hunk.end + added, line)
        self._open[before.uri] = hunk
        if len(self._open) > _MAX_DOCUMENTS:
            self._close(self._open.popitem(last=False)[1])

    def hunks(self) -> list[Hunk]:
        """The latest changes, the newest first, those that are being made included."""
        making = [made for hunk in reversed(self._open.values()) if (made := _hunk(hunk))]
        return [*making, *reversed(self._done)]

    def closed(self, uri: str) -> None:
        """A document was closed; what was changed in it is still known."""
        if hunk := self._open.pop(uri, None):
            self._close(hunk)

    def _close(self, hunk: _Open) -> None:
        if made := _hunk(hunk):
            self._done.append(made)


def _hunk(made: _Open) -> Hunk | None:
    """The lines in which two versions differ; None if they do not, or in too many."""
    old, new = _lines(made.first.text), _lines(made.last.text)
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    before, after = old[start : len(old) - end], new[start : len(new) - end]
    if not (before or after) or max(len(before), len(after)) > _MAX_LINES:
        return None
    return Hunk(made.last, start, tuple(before), tuple(after))


def _lines(text: Text) -> list[str]:
    return text.source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
