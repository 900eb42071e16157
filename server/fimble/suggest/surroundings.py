"""What the model is told of other files: found in pauses, and kept in its place while the user types.

A snippet that comes or goes changes the beginning of the prompt, and all of it has to be evaluated anew.  So the
list of a document changes only when what was found is better than what it has, what stays keeps its order, and what
is new stands last.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fimble.context.history import EditHistory, Hunk
from fimble.core import Ask, Snippet
from fimble.errors import WorkspaceError
from fimble.index.wire import Retrieve
from fimble.languages import are_related
from fimble.privacy import Exclusions
from fimble.suggest.place import unix_lines

if TYPE_CHECKING:
    from fimble.index.client import IndexClient

#: The most of a document that the index is sent: its beginning has the imports, the rest is around the cursor.
_HEAD_CHARS, _AROUND_CHARS = 6_000, 16_000

#: What a token of source code has, and the parts of a prompt that snippets may take: at least what the layout keeps for
#: them, at most what is left beside the middle (models/PROMPT.md, "What does not fit").
_CHARS_PER_TOKEN = 3.5
_LEAST_SHARE, _MOST_SHARE = 0.2, 0.6

#: As much of a long document's own text stands in its prompt anyway (context/anchor).
_OWN_CHARS = 8_000

#: A document's snippets change so often at most: in seconds, and in times of what evaluating the last change took.
_SETTLED_S = 3.0
_SETTLED_TIMES = 8

#: How many of the best pieces have to be there already for nothing to change.
_BEST = 2

#: An edit made elsewhere is told if a name in it stands so near to the cursor, in characters; at most so many, so long.
_NEAR_CHARS = 4_000
_MAX_HUNKS, _MAX_HUNK_CHARS = 2, 400

_NAME = re.compile(r"[^\W\d]\w{2,}")
_CALLED = re.compile(r"([^\W\d]\w{2,})\s*\(")


class Surroundings:
    """Asks the indexes of a window's repositories.  Belongs to one event loop.

    Nothing is told of files that are *excluded*.
    """

    def __init__(self, indexes: Sequence[IndexClient], history: EditHistory, excluded: Exclusions) -> None:
        self._indexes = indexes
        self._history = history
        self._excluded = excluded
        self._changed_at: dict[str, float] = {}
        self._settled_s = _SETTLED_S
        self._copies: dict[str, tuple[str, ...]] = {}

    def repository_of(self, ask: Ask) -> str:
        """The name of the repository that the document is in; empty if it is not in any."""
        index = self._index_of(ask)
        return index.root.name if index else ""

    async def find(self, ask: Ask, kept: tuple[Snippet, ...], n_ctx: int) -> tuple[Snippet, ...]:
        """The snippets that *ask*'s document should have, where it has *kept*; *kept* itself if they are as good.

        Takes as long as the index takes.  Raises nothing: without an index nothing changes.
        """
        if not n_ctx:
            return kept
        room = _room_chars(ask, n_ctx)
        found, edits = await self._asked(ask, room)
        changed_at = self._changed_at.get(ask.document.uri, float("-inf"))
        if time.monotonic() - changed_at < self._settled_s or all(
            snippet in kept for snippet in (*found[:_BEST], *edits)
        ):
            return kept
        self._changed_at[ask.document.uri] = time.monotonic()
        return _merged(kept, [*found, *edits], room)

    def copies(self, uri: str) -> tuple[str, ...]:
        """What other files of the repository say with the same words as a document did in its last pause."""
        return self._copies.get(uri, ())

    def evaluated(self, seconds: float) -> None:
        """A changed prompt took so long: a slow machine shall not be busy with nothing else."""
        self._settled_s = max(_SETTLED_S, _SETTLED_TIMES * seconds)

    def forget(self, uri: str) -> None:
        """A document was closed."""
        self._changed_at.pop(uri, None)
        self._copies.pop(uri, None)

    def _index_of(self, ask: Ask) -> IndexClient | None:
        file = ask.document.file
        return next((index for index in self._indexes if file and index.path_of(file) is not None), None)

    async def _asked(self, ask: Ask, room: int) -> tuple[list[Snippet], list[Snippet]]:
        """Pieces of other files, the best first, and what was changed elsewhere, the newest last."""
        index = self._index_of(ask)
        if index is None or ask.document.file is None:
            return [], []
        hunks = self._hunks(ask)
        diffs = [hunk.diff() for hunk in hunks]
        text, offset = _window(ask)
        question = Retrieve(
            path=index.path_of(ask.document.file) or "",
            language=ask.document.language,
            text=text,
            offset=offset,
            budget_chars=max(room - sum(map(len, diffs)), 0),
            edits=[
                (path, hunk.line)
                for hunk in self._history.hunks()
                if hunk.document.file and (path := index.path_of(hunk.document.file))
            ],
            open_paths=[path for other in ask.others if other.file and (path := index.path_of(other.file))],
            diffs=diffs,
        )
        try:
            answer = await index.retrieve(question)
        except WorkspaceError:
            return [], []  # an index that is late or gone costs a better prompt, and nothing else
        self._copies[ask.document.uri] = tuple(answer.copies)
        found = [Snippet(found.path, found.text, found.why) for found in answer.snippets]
        masked = zip(hunks, answer.diffs, strict=False)
        return found, [Snippet(hunk.document.path, diff, "just changed there") for hunk, diff in masked]

    def _hunks(self, ask: Ask) -> list[Hunk]:
        """What was changed elsewhere, as far as it names something that stands here; the newest last."""
        source = ask.document.text.source
        here = set(_NAME.findall(source[max(ask.offset - _NEAR_CHARS, 0) : ask.offset + _NEAR_CHARS]))
        told = []
        for hunk in self._history.hunks():
            document = hunk.document
            if document.uri == ask.document.uri or not are_related(ask.document.language, document.language):
                continue
            if self._excluded.covers(document.path) or not 0 < len(hunk.diff()) <= _MAX_HUNK_CHARS:
                continue
            if _names_of(hunk) & here:
                told.append(hunk)
        return told[:_MAX_HUNKS][::-1]


def _names_of(hunk: Hunk) -> set[str]:
    """The names that came or went, and those of the functions whose parameters or arguments were changed."""
    before, after = "\n".join(hunk.before), "\n".join(hunk.after)
    return (set(_NAME.findall(before)) ^ set(_NAME.findall(after))) | set(_CALLED.findall(before + "\n" + after))


def _room_chars(ask: Ask, n_ctx: int) -> int:
    """How many characters of snippets a prompt of *n_ctx* tokens has room for."""
    own = min(len(ask.document.text.source), _OWN_CHARS)
    whole = n_ctx * _CHARS_PER_TOKEN
    return int(max(_LEAST_SHARE * whole, _MOST_SHARE * whole - own))


def _window(ask: Ask) -> tuple[str, int]:
    """What is sent of the document, and where the cursor is in it."""
    source, at = ask.document.text.source, ask.offset
    start = source.rfind("\n", 0, max(at - _AROUND_CHARS, 0)) + 1
    head = source[: source.rfind("\n", 0, min(start, _HEAD_CHARS)) + 1]
    before = unix_lines(head + source[start:at])
    return before + unix_lines(source[at : at + _AROUND_CHARS]), len(before)


def _merged(kept: tuple[Snippet, ...], found: Sequence[Snippet], room: int) -> tuple[Snippet, ...]:
    """*found*, the best first, after those of *kept* that were found again or for which there is *room* beside them."""
    new = [snippet for snippet in found if snippet not in kept]
    renewed = {snippet.filename for snippet in new}  # of these files kept ones say what is old, or say it twice
    room -= sum(len(snippet.text) for snippet in found)
    stay = []
    for snippet in reversed(kept):  # the newest is what was of use last
        if snippet in found:
            stay.append(snippet)
        elif len(snippet.text) <= room and snippet.filename not in renewed:
            stay.append(snippet)
            room -= len(snippet.text)
    return (*reversed(stay), *reversed(new))
