"""What a suggestion opened and did not close, closed: ``for x in xs {`` with its ``}`` on a line of its own."""

from __future__ import annotations

import re

from fimble.suggest.brackets import Mark, Scan, closer_of
from fimble.suggest.inside import Inside
from fimble.suggest.place import Place

_TAG = re.compile(r"(?<![\w)])<(/?)([A-Za-z][\w.-]*)(?:[^<>]*?[^/<>])?>")
_TAGGED = frozenset({"html", "vue", "svelte", "javascriptreact", "typescriptreact"})
_VOID_TAGS = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)


def closed(text: str, place: Place, inside: Inside, *, multiline: bool) -> str:
    """*text* with the closers it lacks; the string that it begins in is not its own to close."""
    if inside.is_prose:
        return text + _end_tags(text, place)
    lexicon = inside.lexicon
    scan = Scan(text, lexicon, inside.quote)
    if scan.quote and (scan.unopened or not inside.quote):
        text += scan.quote
    closed_line = -1
    for mark in reversed(scan.unclosed):
        line, is_word = text.count("\n", 0, mark.start), mark.text.isalpha()
        # Brackets that were opened in one line are closed in one line: ``});``.
        if multiline and (is_word or (_ends_line(text, mark) and line != closed_line)):
            text += "\n" + _indent(text, mark, place)
        elif is_word:
            text += " "
        text += closer_of(mark.text, lexicon)
        closed_line = line
    return text + _end_tags(text, place)


def _ends_line(text: str, mark: Mark) -> bool:
    return not text[mark.end :].partition("\n")[0].strip()


def _indent(text: str, mark: Mark, place: Place) -> str:
    """The indentation of the line that *mark* stands in."""
    start = text.rfind("\n", 0, mark.start) + 1
    line = text[start : mark.start] if start else place.line_before + text[: mark.start]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _end_tags(text: str, place: Place) -> str:
    if place.language not in _TAGGED:
        return ""
    tags: list[str] = []
    for found in _TAG.finditer(text):
        if not found[1]:
            tags += [found[2]] if found[2].lower() not in _VOID_TAGS else []
        elif tags and tags[-1] == found[2]:
            tags.pop()
    return "".join(f"</{tag}>" for tag in reversed(tags))
