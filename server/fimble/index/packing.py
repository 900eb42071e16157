"""From ranked pieces to snippets: one for each file, whole lines, together no longer than a budget.

Signatures come first, because ten of them say more than one body; what room is left goes to the bodies of the best.
A snippet's lines stand in the order of their file, and the snippets in the order of their best pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fimble.index.candidates import Piece
from fimble.index.database import Definition
from fimble.index.source import Sources
from fimble.index.wire import Found
from fimble.syntax.symbols import CALLABLES, HOLDERS
from fimble.text import Text

#: What of the budget may go to pieces that are no definitions: they are long, and say least.
_LINES_SHARE = 0.35

#: A body that is longer is not put in whole.
_MAX_BODY_LINES = 12

_MIN_LINES_CHARS = 60

#: More of a signature says little of what it is called with.
_MAX_SIGNATURE_CHARS = 140

_INDENT = "    "


@dataclass(frozen=True, slots=True)
class Ranked:
    """A piece and what it is worth."""

    piece: Piece
    score: float


@dataclass
class _Snippet:
    """What is taken of one file: the text of lines by the line that each stands at."""

    path: str
    best: Ranked
    lines: dict[int, str] = field(default_factory=dict)

    def text(self) -> str:
        return "".join(f"{line}\n" for _, line in sorted(self.lines.items()))


class Packing:
    """Snippets that grow until a budget of characters is used up; a snippet costs its file's name, too.

    *holder_of* gives the class that a member stands in, *known* is what the prompt has anyway.
    """

    def __init__(
        self, sources: Sources, holder_of: Callable[[Definition], Definition | None], budget_chars: int, known: str
    ) -> None:
        self._sources = sources
        self._holder_of = holder_of
        self._left = budget_chars
        self._budget = budget_chars
        self._snippets: dict[str, _Snippet] = {}
        self._known = {line.strip() for line in _lines(known)}
        self._signatures: set[tuple[str, str]] = set()

    def snippets(self, ranked: Sequence[Ranked]) -> list[Found]:
        """The best of *ranked*, the best first."""
        taken = [one for one in ranked if one.piece.definition and self._take_signature(one, one.piece.definition)]
        for one in taken[:2]:
            self._take_body(one)
        room = min(self._left, int(self._budget * _LINES_SHARE))
        for one in ranked:
            if not one.piece.definition and room > _MIN_LINES_CHARS:
                room -= self._take_lines(one, room)
        return [self._found(snippet) for snippet in self._snippets.values()]

    def _take_signature(self, one: Ranked, definition: Definition) -> bool:
        signature = shown(definition.signature)
        # The first of several overloads speaks for them, and one of two copies of a file.
        keys = {(definition.path, f"{definition.container}.{definition.name}"), (definition.container, signature)}
        if not signature or signature in self._known or keys & self._signatures:
            return False
        lines = {definition.start_line: _indented(definition, signature)}
        holder = self._holder_of(definition) if definition.container else None
        if holder is not None and (head := shown(holder.signature)):
            lines[holder.start_line] = _indented(holder, head)
        if not self._put(one, lines):
            return False
        self._signatures |= keys
        return True

    def _take_body(self, one: Ranked) -> None:
        definition = one.piece.definition
        if definition is None or definition.kind in HOLDERS or definition.kind not in CALLABLES:
            return
        if not 1 < definition.end_line - definition.start_line <= _MAX_BODY_LINES:
            return
        text = self._sources.lines(definition.path, definition.start_line, definition.end_line)
        snippet = self._snippets.get(definition.path)
        if text is None or snippet is None:
            return
        lines = _lines(text)
        old = snippet.lines.get(definition.start_line, "")
        cost = sum(len(line) + 1 for line in lines) - len(old) - 1
        if cost <= self._left // 2:
            self._left -= cost
            snippet.lines.update(dict(enumerate(lines, definition.start_line)))

    def _take_lines(self, one: Ranked, room: int) -> int:
        """Put in the first lines of a piece for which there is room; returns what they cost."""
        piece = one.piece
        text = self._sources.lines(piece.path, piece.start_line, piece.end_line)
        lines = _lines(text) if text else []
        known = sum(line.strip() in self._known for line in lines if line.strip())
        if not lines or known * 2 > len(lines):
            return 0
        chosen: dict[int, str] = {}
        room -= 0 if piece.path in self._snippets else len(piece.path) + 2
        for at, line in enumerate(lines):
            room -= len(line) + 1
            if room < 0:
                break
            if line.strip() or chosen:
                chosen[piece.start_line + at] = line
        before = self._left
        return before - self._left if chosen and self._put(one, chosen) else 0

    def _put(self, one: Ranked, lines: dict[int, str]) -> bool:
        """Put lines into the snippet of their file, if all of them fit."""
        path = one.piece.path
        snippet = self._snippets.get(path)
        there = snippet.lines if snippet else {}
        new = {place: line for place, line in lines.items() if place not in there}
        cost = sum(len(line) + 1 for line in new.values()) + (0 if snippet else len(path) + 2)
        if cost > self._left:
            return False
        self._left -= cost
        if snippet is None:
            snippet = self._snippets[path] = _Snippet(path, one)
        snippet.lines.update(new)
        return True

    def _found(self, snippet: _Snippet) -> Found:
        best = snippet.best
        definition = best.piece.definition
        return Found(
            path=snippet.path,
            text=snippet.text(),
            start_line=min(snippet.lines),
            kind=definition.kind if definition else "chunk",
            why=best.piece.why,
            score=round(best.score, 5),
            name=definition.name if definition else "",
        )


def _lines(text: str) -> list[str]:
    whole = Text(text)
    lines = [whole.line(number) for number in range(whole.line_count)]
    return lines[:-1] if lines and not lines[-1] else lines


def shown(signature: str) -> str:
    """A signature as it is put into a prompt: a long list of parameters ends with three dots."""
    if len(signature) <= _MAX_SIGNATURE_CHARS:
        return signature.strip()
    kept, comma, _ = signature[:_MAX_SIGNATURE_CHARS].rpartition(",")
    return f"{kept}, ..." if comma and "(" in kept else ""


def _indented(definition: Definition, signature: str) -> str:
    return (_INDENT if definition.container else "") + signature
