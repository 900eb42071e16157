"""What stands right above a definition: decorators, attributes, and the comment that documents it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable

_MAX_DOC = 120

#: No more of a comment is looked at, and no more comments in a row.
_MAX_COMMENT = 1000
_MAX_ROW = 30

_STRING = r"[rRbBuUfF]{0,2}(?:\"{1,3}|'{1,3})"
_LINE_MARKS = r"///?/?!?|#+[!:]?|--+(?:\[=*\[)?|%+|;+"
_MARKS = re.compile(rf"^[ \t\f]*(?:/\*+!?|\*+/|\*+(?!\w)|<!--|{_LINE_MARKS}|{_STRING})?[ \t]?")
_END_MARKS = re.compile(r"[ \t]*(?:\*+/|-->|\]=*\]|\"{1,3}|'{1,3})?[ \t]*\Z")
_TAGS = re.compile(r"</?(?:summary|para|remarks|p)\b[^>]*>")
_LINE_END = re.compile(r"\r\n|\n|\r")
_SENTENCE = re.compile(r".*?[.!?](?=\s|\Z)")


def summary(comment: str) -> str:
    """The first sentence of a comment or of a docstring, or its first paragraph, without its marks."""
    words: list[str] = []
    for line in _LINE_END.split(comment[:_MAX_COMMENT]):
        text = _TAGS.sub("", _END_MARKS.sub("", _MARKS.sub("", line, count=1))).strip()
        if not text.strip("-=*#/~ "):
            if words:
                break
            continue
        if text.startswith(("@", ":param", "\\param")):
            break
        words.append(text)
        if _SENTENCE.match(text):
            break
    folded = " ".join(words)
    sentence = _SENTENCE.match(folded)
    folded = sentence[0] if sentence else folded
    return folded if len(folded) <= _MAX_DOC else folded[: _MAX_DOC - 1].rstrip() + "…"


class Above:
    """The comments and attributes of a text."""

    def __init__(self, source: str, comments: Iterable[tuple[int, int]], attributes: Iterable[tuple[int, int]]) -> None:
        self._source = source
        both = [(start, end, True) for start, end in comments] + [(start, end, False) for start, end in attributes]
        # Some grammars let a comment end after its line.
        self._spans = sorted((start, start + len(source[start:end].rstrip()), is_doc) for start, end, is_doc in both)
        self._starts = [start for start, _, _ in self._spans]

    def before(self, start: int) -> tuple[int, str]:
        """Where what belongs to a definition at *start* begins, and the comment right above it."""
        first, top, comment_end = start, start, -1
        below = bisect_left(self._starts, start)
        for begin, end, is_comment in reversed(self._spans[max(below - _MAX_ROW, 0) : below]):
            if end > top or not self._is_right_above(end, top) or (is_comment and not self._begins_line(begin)):
                break
            top = begin
            if not is_comment:
                first, comment_end = begin, -1
            elif comment_end < 0:
                comment_end = end
        return first, self._source[top : min(comment_end, top + _MAX_COMMENT)] if comment_end >= 0 else ""

    def without(self, source: str, start: int, end: int, name_start: int) -> str:
        """``source[start:end]`` without its comments, and without the attributes before the name."""
        index, kept, at = bisect_left(self._starts, start), [], start
        while index < len(self._spans) and self._spans[index][0] < end:
            begin, stop, is_comment = self._spans[index]
            if begin >= at and (is_comment or stop <= name_start):
                kept.append(source[at:begin])
                at = stop
            index += 1
        return "".join([*kept, source[at:end]])

    def _is_right_above(self, end: int, start: int) -> bool:
        gap = self._source[end:start] if start - end < 200 else "x"
        return not gap.strip() and len(_LINE_END.findall(gap)) <= 1

    def _begins_line(self, offset: int) -> bool:
        source = self._source
        line = max(source.rfind("\n", 0, offset), source.rfind("\r", 0, offset)) + 1
        return not source[line:offset].strip()
