"""What the demo types, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

#: In a scene's script: stop here and look at what is suggested; and: take it with the Tab key.
_LOOK, _TAB = "‸", "⇥"


class Step(Enum):
    """What a person at the keyboard does next."""

    PRESS = auto()
    LOOK = auto()
    TAB = auto()


@dataclass(frozen=True)
class Scene:
    """Typing *script* into *file*, below the last line that contains *below*."""

    file: str
    below: str
    title: str
    script: str

    def steps(self) -> Iterator[tuple[Step, str]]:
        """The script, key by key.  Enter brings the next line's indentation along, as it does in an editor."""
        position = 0
        while position < len(self.script):
            key = self.script[position]
            position += 1
            if key == _LOOK:
                yield Step.LOOK, ""
            elif key == _TAB:
                yield Step.TAB, ""
            elif key == "\n":
                while self.script[position : position + 1] in (" ", "\t"):
                    key += self.script[position]
                    position += 1
                yield Step.PRESS, key
            else:
                yield Step.PRESS, key


# New statements first: where nothing of the kind was written before, only the model can answer.
SCENES = (
    Scene(
        file="shelf.py",
        below="sum(book.price_cents",
        title="a new method",
        script="""

    def‸ titles(self)‸:
        return‸ [book for book in self.⇥""",
    ),
    Scene(
        file="shop.ts",
        below="return (cents / 100)",
        title="a new function",
        script="""
}

function isLeft(book: Book)‸ {
  return‸ book.copies >‸""",
    ),
    Scene(
        file="shop.go",
        below="return os.WriteFile",
        title="a loop",
        script="""
}

func Count(books []‸Book) int {
\tfor i := range‸""",
    ),
    Scene(
        file="shelf.py",
        below="book.copies += copies",
        title="a method like its neighbours: Tab, Tab, Tab",
        script="""

    def reprice(self, isbn: str, cents: int) -> None:
        ‸book = ⇥
        ⇥
            ⇥""",
    ),
)
