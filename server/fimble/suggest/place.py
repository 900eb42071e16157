"""The text around a cursor, in the shapes that the steps of the recipe need."""

from __future__ import annotations

from dataclasses import dataclass, field

from fimble.core import Document

_NEAR_CHARS = 4000


@dataclass(frozen=True, slots=True)
class Place:
    """What is left and right of a cursor.  Line endings are ``\\n`` here, whatever the file uses."""

    before: str
    """At most 4,000 characters left of the cursor."""
    after: str
    """At most 4,000 characters right of it."""
    language: str = "plaintext"
    source: str = field(default="", compare=False, repr=False)
    """The whole document, line endings as they are."""

    @classmethod
    def at(cls, document: Document, offset: int) -> Place:
        """The place of *offset* in *document*."""
        source = document.text.source
        return cls(
            before=unix_lines(source[max(0, offset - _NEAR_CHARS) : offset]),
            after=unix_lines(source[offset : offset + _NEAR_CHARS]),
            language=document.language,
            source=source,
        )

    @property
    def line_before(self) -> str:
        """The cursor's line up to the cursor."""
        return self.before[self.before.rfind("\n") + 1 :]

    @property
    def line_after(self) -> str:
        """The cursor's line from the cursor on."""
        return self.after.partition("\n")[0]

    @property
    def opener_line(self) -> str:
        """The last line with text, up to the cursor: what a block at the cursor would belong to."""
        return self.before.rstrip().rpartition("\n")[2]

    @property
    def next_lines(self) -> list[str]:
        """The lines below the cursor's that are not blank."""
        return [line for line in self.after.split("\n")[1:] if line.strip()]


def unix_lines(text: str) -> str:
    """*text* with ``\\n`` for every line ending."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def indent_of(line: str) -> int:
    """The width of a line's indentation, a tab counted to the next multiple of four."""
    width = 0
    for char in line:
        if char == " ":
            width += 1
        elif char == "\t":
            width += 4 - width % 4
        else:
            break
    return width
