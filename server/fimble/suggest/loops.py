"""Answers in which the model has got stuck: ``"x", "x", "x", "x", `` without end."""

from __future__ import annotations

import re

#: What rulers, blanks and the ends of nested blocks are made of: such a piece may come as often as it likes.
_RULER = re.compile(r"[-=_*~#%+./\\:<>|^\s\u2500-\u257f]+|[)\]};\s]+")

#: A piece of 2 to 24 characters, four times in a row.
_LOOP = re.compile(r"(\S.{1,23}?)\1{3,}", re.DOTALL)


def loop_end(text: str, repeats: int = 4) -> int | None:
    """Where to cut *text* if it repeats a piece at least *repeats* times and up to its end; None if it does not.

    Code repeats on purpose, too, but then goes on; and a ruler (``-----``) is no loop.
    """
    for loop in _LOOP.finditer(text):
        unit = loop[1]
        enough = len(loop[0]) >= repeats * len(unit)
        if enough and unit.startswith(text[loop.end() :]) and not _RULER.fullmatch(unit):
            return loop.start() + len(unit)
    return None
