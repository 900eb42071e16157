"""The nouns of Fimble: plain frozen values that every layer may use."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from fimble.text import Text


class Source(StrEnum):
    """Where a suggestion came from."""

    MEMORY = "memory"
    ECHO = "echo"
    MODEL = "model"


class Trigger(StrEnum):
    """Why a suggestion was asked for (LSP 3.18 ``InlineCompletionTriggerKind``)."""

    INVOKED = "invoked"
    AUTOMATIC = "automatic"


@dataclass(frozen=True, slots=True)
class Document:
    """One version of one open file.

    ``path`` is what a person would call the file: relative to its workspace folder where there is one.
    """

    uri: str
    path: str
    language: str
    version: int
    text: Text
    file: Path | None = None
    """Where it lies on disk, absolute; None if it does not."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of another file that stands before the prompt."""

    filename: str
    text: str
    why: str = field(default="", compare=False)
    """Why it was chosen, in words for people."""


_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Text to put in at the cursor."""

    text: str
    source: Source
    replaces: int = 0
    """How many characters right of the cursor it takes the place of: closers, which the text holds, too."""
    latency_ms: float = 0.0
    confidence: float = 1.0
    """How likely it is accepted, from 0 to 1."""
    evidence: Mapping[str, float] = field(default_factory=dict, compare=False, repr=False)
    """What the confidence was told from; empty for what was shown before."""
    written: tuple[tuple[str, float], ...] = field(default=(), compare=False, repr=False)
    """The tokens that the model wrote for it, each with its probability; empty if another source made it."""
    id: int = field(default_factory=lambda: next(_ids))


@dataclass(frozen=True, slots=True)
class Ask:
    """One keystroke's question: what comes next at ``offset`` of ``document``?"""

    document: Document
    offset: int
    trigger: Trigger = Trigger.AUTOMATIC
    others: tuple[Document, ...] = ()
    """The other open documents, the most recently used first."""
    is_guess: bool = False
    """Whether nobody has asked this yet: it prepares what may be asked next."""
