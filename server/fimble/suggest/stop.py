"""Where an answer ends: watched while it streams, so that the engine stops writing there."""

from __future__ import annotations

from fimble.suggest.loops import loop_end
from fimble.suggest.place import Place, indent_of

_MAX_BLOCK_LINES = 12

#: A table of numbers may repeat a few times; nobody waits for more of this.
_HOPELESS_REPEATS = 8

#: What ends a line that opens a block.
_OPENERS = (":", "{", "(", "[", "=>", "->")


class Stop:
    """One answer's end: the line, or the block if the cursor stands right after a line that opens one."""

    def __init__(self, place: Place, multiline: bool) -> None:
        self.is_block = multiline and _opens_block(place)
        opener = _opener_line(place)
        self._base_indent = indent_of(opener)
        self._starts_on_opener = bool(place.line_before.strip())

    def cut(self, text: str) -> int | None:
        """How much of *text* belongs to the answer once its end has been seen; None while it goes on."""
        # This runs for every token.  A loop's last characters stand in it many times; most texts end the search here.
        if text.count(text[-4:]) >= 3 and (end := loop_end(text, _HOPELESS_REPEATS)) is not None:
            return end
        if not self.is_block:
            end = text.find("\n")
            return None if end < 0 else end
        lines = text.split("\n")
        # The first piece stands on the cursor's own line, whose indentation is not part of the answer.
        position = len(lines[0])
        # The last line may still be growing: only what is certain of it is judged, which is its indentation.
        for number, line in enumerate(lines[1:], start=1):
            is_complete = number < len(lines) - 1
            judged = line.strip() != "" or (is_complete and number >= _MAX_BLOCK_LINES)
            if judged and (indent_of(line) <= self._base_indent or number >= _MAX_BLOCK_LINES):
                return position
            position += 1 + len(line)
        return None


def _opener_line(place: Place) -> str:
    """The last line with text, up to the cursor."""
    return place.before.rstrip().rpartition("\n")[2] if place.before.strip() else ""


def _is_inside_brackets(line: str) -> bool:
    """Whether a line that ends in a colon does so inside of brackets: an annotation, a slice, a key."""
    return line.rstrip().endswith(":") and any(line.count(a) > line.count(b) for a, b in ("()", "[]", "{}"))


def _opens_block(place: Place) -> bool:
    if place.line_after.strip():
        return False
    opener = _opener_line(place)
    if not opener.rstrip().endswith(_OPENERS) or _is_inside_brackets(opener):
        return False
    # A body that is there already wants a line, not a second body.
    following = place.next_lines
    return not following or indent_of(following[0]) <= indent_of(opener)
