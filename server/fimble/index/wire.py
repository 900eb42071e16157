"""What windows and the index of their repository say to each other: one JSON object a line, over a Unix socket.

A request carries an ``id``, its answer the same one; answers may come in another order.  Paths are relative to the
repository, with ``/``; lines count from 0; offsets are code points.
"""

from __future__ import annotations

import msgspec

#: Bumped when a window and an index of different versions could not understand each other.
PROTOCOL = 1

#: The longest line that either side reads: a document of the largest size that gets suggestions, escaped.
MAX_LINE_BYTES = 64 * 1024 * 1024


class IndexSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What makes one index differ from another.  Windows that agree on all of it share a process."""

    root: str
    """The repository's folder, absolute and without links."""
    max_files: int
    max_file_kb: int
    idle_minutes: float
    exclude: tuple[str, ...] = ()
    """Files, as gitignore patterns, that are never read (``privacy.exclude``)."""
    languages_off: tuple[str, ...] = ()


class Retrieve(msgspec.Struct, tag=True, kw_only=True, omit_defaults=True):
    """Asks what the rest of the repository has to say about a cursor."""

    id: int = 0
    path: str
    language: str
    text: str
    """The document, or a window of it around the cursor."""
    offset: int
    """Where the cursor is in ``text``."""
    text_start: int = 0
    """Where ``text`` begins in the document."""
    budget_chars: int = 6000
    edits: list[tuple[str, int]] = []
    """What was edited lately, the latest first: path and line."""
    open_paths: list[str] = []
    diffs: list[str] = []
    """Changes that are to be told, too; answered with their secrets masked."""


class Changed(msgspec.Struct, tag=True, kw_only=True, omit_defaults=True):
    """Tells that files were saved, created, renamed or deleted.  Folders may be named, too.  Answered by Done."""

    id: int = 0
    paths: list[str]


class StatusRequest(msgspec.Struct, tag="Status", kw_only=True, omit_defaults=True):
    """Asks how far the index is."""

    id: int = 0


class Rebuild(msgspec.Struct, tag=True, kw_only=True, omit_defaults=True):
    """Has everything be read anew.  Answered by Done."""

    id: int = 0


class Stop(msgspec.Struct, tag=True, kw_only=True, omit_defaults=True):
    """Ends the process.  Answered by Done."""

    id: int = 0


Request = Retrieve | Changed | StatusRequest | Rebuild | Stop


class Found(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of another file, secrets masked."""

    path: str
    text: str
    start_line: int
    kind: str = ""
    """What it is: ``function``, ``class``, ...; ``chunk`` for lines that no definition holds together."""
    why: str = ""
    """Why it was chosen, in words for ``fimble complete --explain``."""
    score: float = 0.0
    name: str = ""
    """What is defined there."""


class FoundSnippets(msgspec.Struct, tag=True, kw_only=True, omit_defaults=True):
    """Answers Retrieve: the best first, together within the budget."""

    id: int = 0
    snippets: list[Found] = []
    diffs: list[str] = []
    """Those of the question, in its order."""
    copies: list[str] = []
    """Lines with words of the cursor's surroundings, to copy from."""
    ms: float = 0.0
    is_complete: bool = True
    """Whether the whole repository had been read by then."""


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the index's server tells the process that reads files: to look at these paths, or at everything."""

    paths: list[str] | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far the indexing is."""

    state: str = "starting"
    """``starting``, ``scanning``, ``indexing``, ``ready`` or ``failed``."""
    files_total: int = 0
    files_done: int = 0
    skipped: dict[str, int] = {}
    """Files that were left out, counted by reason."""
    seconds: float = 0.0
    """How long the last pass took, or takes so far."""
    problem: str = ""
    memory_bytes: int = 0
    """Of the process that reads the files."""

    @property
    def is_busy(self) -> bool:
        """Whether files are being read."""
        return self.state in ("starting", "scanning", "indexing")


class Status(msgspec.Struct, tag=True, kw_only=True, omit_defaults=True):
    """Answers StatusRequest."""

    id: int = 0
    fimble: str
    pid: int
    root: str
    database: str
    database_bytes: int
    definitions: int
    windows: int
    memory_bytes: int
    """Of the process that answers and the one that reads files together."""
    progress: Progress


class Done(msgspec.Struct, tag=True, kw_only=True, omit_defaults=True):
    """Answers what needs no other answer."""

    id: int = 0


class Failure(msgspec.Struct, tag=True, kw_only=True, omit_defaults=True):
    """Answers what could not be done."""

    id: int = 0
    message: str
    fix: str = ""


Answer = FoundSnippets | Status | Done | Failure
