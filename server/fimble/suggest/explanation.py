"""Why a suggestion is what it is: what the model was told, what was left out, and what speaks for each suggestion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fimble.core import Snippet, Suggestion
from fimble.engine.wire import PromptPart

#: What the parts of a prompt are, for people.
_PARTS = {
    "repository": "the repository's name",
    "file": "the file's name",
    "prefix": "what stands above the line where typing began",
    "suffix": "what stands below the cursor",
    "typed": "what was typed since",
}


@dataclass(frozen=True, slots=True)
class ToldPart:
    """A part of the prompt: *tokens* of it were told, *left_out* had no room."""

    part: str
    name: str
    why: str
    tokens: int
    left_out: int
    text: str = ""
    """Of a snippet."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A suggestion, and what its confidence is made of: by name, the logarithms of odds that add up to it."""

    suggestion: Suggestion
    reasons: tuple[tuple[str, float], ...]
    is_shown: bool
    """Whether it is likely enough to be shown while somebody types."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One place, explained.  *silence* says why nothing is suggested there; empty if something is."""

    told: tuple[ToldPart, ...] = ()
    judged: tuple[Judged, ...] = ()
    silence: str = ""


def told(parts: Sequence[PromptPart], snippets: Sequence[Snippet]) -> tuple[ToldPart, ...]:
    """The parts of a prompt that begins with *snippets*, with the reason for each."""
    left = iter(snippets)
    found = []
    for part in parts:
        snippet = next(left, None) if part.part == "snippet" else None
        why = snippet.why if snippet else _PARTS.get(part.part, "")
        text = snippet.text if snippet else ""
        found.append(ToldPart(part.part, part.name, why, part.tokens, part.left_out, text))
    return tuple(found)
