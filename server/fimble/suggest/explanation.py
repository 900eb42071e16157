"""Why a suggestion is what it is: what the model was told, what was left out, and what speaks for each suggestion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fimble.core import Snippet, Suggestion
from fimble.engine.wire import PromptPart

#: As many reasons are told for a suggestion: the rest hardly count.
_REASONS = 6

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


def as_markdown(explanation: Explanation) -> str:
    """*explanation* as a page for people to read in an editor."""
    if explanation.silence:
        return (
            f"# Fimble: why nothing is suggested here\n\n{explanation.silence[:1].upper()}{explanation.silence[1:]}.\n"
        )
    lines = ["# Fimble: what is suggested here, and why", ""]
    for judged in explanation.judged:
        suggestion = judged.suggestion
        verdict = "shown while you type" if judged.is_shown else "only shown when you ask"
        lines += [f"## {suggestion.source}: {suggestion.confidence:.0%} likely to be taken, {verdict}", ""]
        lines += ["```", suggestion.text, "```", ""]
        if suggestion.written:
            words = (f"`{_inline(token)}` {probability:.0%}" for token, probability in suggestion.written)
            lines += ["Token by token: " + ", ".join(words), ""]
        reasons = (f"{name} {value:+.1f}" for name, value in judged.reasons[:_REASONS] if value)
        lines += ["Mostly because: " + ", ".join(reasons), ""]
    if not explanation.judged:
        lines += ["Nothing was found here.", ""]
    lines += ["## What the model is told, in this order", ""]
    lines += ["| part | from | why | tokens | left out |", "|---|---|---|---:|---:|"]
    for part in explanation.told:
        lines.append(f"| {part.part} | {_inline(part.name)} | {part.why} | {part.tokens} | {part.left_out or ''} |")
    for part in explanation.told:
        if part.text:
            lines += ["", f"### {_inline(part.name)}", "", "```", part.text.rstrip("\n"), "```"]
    return "\n".join(lines) + "\n"


def _inline(text: str) -> str:
    return text.replace("\n", "⏎").replace("`", "'").replace("|", "¦")


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
