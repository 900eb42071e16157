"""Our lines in somebody else's file: between two marks, and nothing else is touched."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fimble.errors import ConfigError

_BEGIN, _END = "fimble: begin", "fimble: end"


@dataclass(frozen=True, slots=True)
class Block:
    """Lines for a file whose comments start with *comment*; at its top if *is_first*, else at its end."""

    comment: str
    lines: tuple[str, ...]
    is_first: bool = False

    def text(self, line_end: str = "\n") -> str:
        """The lines between their marks."""
        marked = (f"{self.comment} {_BEGIN}", *self.lines, f"{self.comment} {_END}")
        return "".join(line + line_end for line in marked)


def put_in(text: str, block: Block) -> str:
    """*text* with the block: in the place of the one that is there, else as a new one.  Line ends are the file's.

    Raises ConfigError if one mark is there without the other.
    """
    ours = block.text(_line_end(text))
    if found := _find(text):
        return text[: found.start()] + ours + text[found.end() :]
    if not text or block.is_first:
        return ours + text
    gap = "" if text.endswith("\n") else _line_end(text)
    return text + gap + ours


def take_out(text: str) -> str:
    """*text* without our block.  Raises ConfigError if one mark is there without the other."""
    found = _find(text)
    return text[: found.start()] + text[found.end() :] if found else text


def is_in(text: str) -> bool:
    """Whether our block is in *text*."""
    return _find(text) is not None


def _find(text: str) -> re.Match[str] | None:
    found = re.search(rf"^[^\S\n]*\S+ {_BEGIN}.*?^[^\S\n]*\S+ {_END}[^\n]*(?:\n|\Z)", text, re.MULTILINE | re.DOTALL)
    begins, ends = (len(re.findall(rf"^[^\S\n]*\S+ {mark}", text, re.MULTILINE)) for mark in (_BEGIN, _END))
    if (begins, ends) not in ((0, 0), (1, 1)) or (begins and not found):
        raise ConfigError(
            f"The marks `{_BEGIN}` and `{_END}` do not belong together in that file.",
            "Leave one of each, in this order, or remove both.",
        )
    return found


def _line_end(text: str) -> str:
    crlf = text.count("\r\n")
    return "\r\n" if crlf > text.count("\n") - crlf else "\n"
