"""Where an answer ends: watched while it streams, so that the engine stops writing there.

Within a line the answer is the rest of the statement; after a line that opens a block, the block.  A statement goes
on over several lines while its brackets are open.  The tree says once what the cursor is in; the answer itself is
only read by a lexer, because this runs for every token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fimble.suggest.brackets import Mark, Marker, Scan, begins_with_closer, lexicon_of
from fimble.suggest.inside import inside_of
from fimble.suggest.loops import loop_end
from fimble.suggest.markers import marker_start
from fimble.suggest.place import Place, indent_of
from fimble.syntax import Spot

_MAX_LINES = 12

#: A table of numbers may repeat a few times; nobody waits for more of this.
_HOPELESS_REPEATS = 8

#: What ends a line that opens a block without a bracket.
_OPENERS = (":", "=>", "->")
#: Languages in which a colon only ends a name, and what follows stands on the same line.
_COLON_OPENS_NOTHING = frozenset({"css", "json", "jsonc", "toml"})

#: What ends or begins a line whose statement goes on in the next one, whatever the brackets say.
_GOES_ON = re.compile(r"(?:&&|\|\||=|\\|=>)[ \t]*$")
_DECORATED = frozenset({"python", "java", "javascript", "typescript", "javascriptreact", "typescriptreact"})

#: Languages in which a line that begins with a dot goes on with the statement above it.
_CHAINED = frozenset(
    (
        "csharp",
        "java",
        "javascript",
        "javascriptreact",
        "ruby",
        "rust",
        "svelte",
        "typescript",
        "typescriptreact",
        "vue",
    )
)

#: What ends the line of a block that a word opens: ``if x then``, ``def f(a)``, ``each do |x|``.
_WORD_OPENED = re.compile(r"(?:\b(?:then|in)|[)|])[ \t]*$")

#: Right of the cursor: only what closes something.  Often an editor has put it there.
_ONLY_CLOSERS = re.compile(r"[)\]}\"'`;:,>\s]*")


@dataclass(slots=True)
class _SoFar:
    """What was read of an answer."""

    is_block: bool
    owed: int
    """How many brackets of the cursor's own line it has still to close."""
    depth: int = 0
    lines: int = 0
    start: int = 0
    """Where its present statement begins."""


class Stop:
    """One answer's end."""

    def __init__(self, place: Place, multiline: bool, spot: Spot | None = None) -> None:
        self._place = place
        self._lexicon = lexicon_of(place.language)
        inside = inside_of(place, spot)
        self._quote = inside.quote
        opener = Scan(place.opener_line, self._lexicon)
        self._has_rest = bool(place.line_after.strip())
        self._one_line = not multiline or inside.is_prose
        self.is_block = not self._one_line and not self._quote and _opens_block(place, opener)
        self._base_indent = indent_of(place.opener_line if self.is_block else place.line_before)
        opened = opener.unclosed if self.is_block else Scan(place.line_before, self._lexicon).unclosed
        # What is open and closed nowhere yet is for the answer to close.
        self._owed = 0 if self._has_rest or is_closed_below(place, self._base_indent) else len(opened)
        self._must_not_close = not _ONLY_CLOSERS.fullmatch(place.line_after)

    def cut(self, text: str) -> int | None:
        """How much of *text* belongs to the answer once its end has been seen; None while it goes on."""
        if (marker := marker_start(text, self._place)) is not None:
            return marker
        # A loop's last characters stand in it many times; most texts end the search here.
        if text.count(text[-4:]) >= 3 and (end := loop_end(text, _HOPELESS_REPEATS)) is not None:
            return end
        if self._one_line:
            end = text.find("\n")
            return None if end < 0 else end
        return self._end_in(text)

    def _end_in(self, text: str) -> int | None:
        # What goes on in the opener's own line is no block, whatever the line opened.
        is_fresh = not self._place.line_before.strip() or text.lstrip(" \t")[:1] in ("", "\n")
        so_far = _SoFar(self.is_block and is_fresh, self._owed)
        for mark in Scan(text, self._lexicon, self._quote, is_final=False).marks:
            if mark.marker is Marker.OPENS:
                so_far.depth += 1
            elif mark.marker is Marker.CLOSES and so_far.depth:
                so_far.depth -= 1
            elif mark.marker is Marker.CLOSES and so_far.owed:
                so_far.owed -= 1
                if so_far.is_block and not so_far.owed:
                    return _after_closer(text, mark)
            elif mark.marker is Marker.CLOSES:
                if so_far.is_block or self._must_not_close:
                    return _before_closer(text, mark)
            else:
                so_far.lines += 1
                if self._ends_with_line(text, mark, so_far):
                    return mark.start
                so_far.start = so_far.start if so_far.depth else mark.end
        return None

    def _ends_with_line(self, text: str, mark: Mark, so_far: _SoFar) -> bool:
        """Whether the answer ends with the line that ends at *mark*."""
        rest = text[mark.end :]
        if self._has_rest or (so_far.lines >= _MAX_LINES and (rest.strip() or "\n" in rest)):
            return True
        if mark.marker is Marker.INNER_LINE_END:
            # A long string that the cursor was in goes on line by line; one that the answer began is finished.
            return bool(self._quote) and so_far.lines == 1
        if so_far.depth:
            return False
        if not so_far.is_block:
            statement = text[so_far.start : mark.start]
            return not so_far.owed and not self._goes_on(statement, rest, is_first=so_far.start == 0)
        # Of a line that is still growing only its indentation is certain, and only once a character follows.
        following = rest.partition("\n")[0]
        if not following.strip() or indent_of(following) > self._base_indent:
            return False
        return not (so_far.owed and self._may_close(following, is_growing="\n" not in rest))

    def _goes_on(self, statement: str, rest: str, *, is_first: bool) -> bool:
        """Whether a statement goes on in the next line, or may still do so as far as *rest* tells."""
        statement = (self._place.line_before + statement if is_first else statement).strip()
        if not statement:
            return False
        if statement.startswith("@") and self._place.language in _DECORATED:
            return True
        if self._place.language in _CHAINED and statement[-1] not in ";{},":
            following = rest.lstrip(" \t")
            if not following or (following[0] == "." and following[:2] != ".."):
                return True
        return _GOES_ON.search(statement) is not None

    def _may_close(self, line: str, *, is_growing: bool) -> bool:
        if begins_with_closer(line, self._lexicon):
            return True
        return is_growing and any(word.startswith(line.strip()) for word in self._lexicon.closing_words)


def is_closed_below(place: Place, base_indent: int) -> bool:
    """Whether what was opened in a line of *base_indent* is continued or closed by the lines below the cursor."""
    following = place.next_lines[:1]
    return any(
        indent_of(line) > base_indent
        or (indent_of(line) == base_indent and begins_with_closer(line, lexicon_of(place.language)))
        for line in following
    )


def _after_closer(text: str, closer: Mark) -> int | None:
    """The end of an answer with the closer it owed; what ends the statement belongs to it."""
    end = closer.end
    while end < len(text) and text[end] in ";,":
        end += 1
    return end if end < len(text) else None


def _before_closer(text: str, closer: Mark) -> int:
    """The end of an answer without a closer that stands right or below; nor the line that it would stand on."""
    line_start = text.rfind("\n", 0, closer.start)
    return closer.start if text[line_start + 1 : closer.start].strip() or line_start < 0 else line_start


def _opens_block(place: Place, opener: Scan) -> bool:
    if place.line_after.strip():
        return False
    line = place.opener_line
    code = line[: opener.comment_start] if opener.comment_start >= 0 else line
    if not code.strip() or opener.quote:
        return False
    if opener.unclosed:
        last = opener.unclosed[-1]
        tail = code[last.end :]
        opens = not tail.strip() or (
            last.text.isalpha() and (_WORD_OPENED.search(tail) or not place.line_before.strip())
        )
    else:
        opens = code.rstrip().endswith(_OPENERS) and place.language not in _COLON_OPENS_NOTHING
    if not opens:
        return False
    # A body that is there already wants a line, not a second body.
    following = place.next_lines
    return not following or indent_of(following[0]) <= indent_of(line)
