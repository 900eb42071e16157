"""Indentation: a suggestion's lines brought to the file's own style."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from fimble.suggest.place import Place, indent_of

_INDENTS = re.compile(r"^([ \t]*)\S", re.MULTILINE)
_OPENS_BODY = re.compile(r"(?:[:{]|=>|\b(?:then|do|else)|\bdo[ \t]*\|[^|]*\|)[ \t]*$")
_DEFAULT_STEP = 4
_MAX_STEP = 8
_NEAR_CHARS = 2000


def unit_of(place: Place) -> str:
    """What indents one step around the cursor: a tab or some blanks; empty if nothing there is indented."""
    steps: Counter[int] = Counter()
    tabs = blanks = last = 0
    for found in _INDENTS.finditer(place.before[-_NEAR_CHARS:] + "\n" + place.after[:_NEAR_CHARS]):
        indent = found[1]
        tabs += indent.startswith("\t")
        blanks += indent.startswith("  ")
        if 1 < len(indent) - last <= _MAX_STEP:
            steps[len(indent) - last] += 1
        last = len(indent)
    if tabs > blanks:
        return "\t"
    return " " * max(steps, key=lambda step: (steps[step], -step)) if steps else ""


def adapted(text: str, place: Place) -> str:
    """*text* with its indentation in the file's style, its first line at the cursor's own column."""
    if not (text[0] in " \t" or "\n" in text):
        return text
    unit = unit_of(place)
    first, *lines = text.split("\n")
    if place.line_before and not place.line_before.strip():
        first = _at_cursor(first, place, unit)
    if not unit:
        return "\n".join([first, *lines])
    if not place.line_before:
        return "\n".join(_restyled([first, *lines], place.opener_line, unit))
    return "\n".join([first, *_restyled(lines, place.line_before + first, unit)])


def _at_cursor(first: str, place: Place, unit: str) -> str:
    """The first line without the indentation that the cursor's line has already."""
    written = first.lstrip(" \t")
    opener = place.opener_line
    wanted = indent_of(opener) + (indent_of(unit or " " * _DEFAULT_STEP) if _OPENS_BODY.search(opener) else 0)
    missing = min(max(wanted - indent_of(place.line_before), 0), indent_of(first))
    return _blanks(missing, unit) + written


def _restyled(lines: list[str], above: str, unit: str) -> list[str]:
    """*lines* below the line *above*, with tabs or blanks as the file has them, and as deep as the file's."""
    if unit == "\t":
        step = _blanks_for_tab(lines, above)
        return [_with_tabs(line, step) for line in lines]
    lines = [_with_blanks(line, len(unit)) for line in lines]
    step = _step_of([above, *lines])
    if step in (0, len(unit)):
        return lines
    base = indent_of(above)
    return [_scaled(line, base, step, len(unit)) for line in lines]


def _blanks_for_tab(lines: list[str], above: str) -> int:
    """How many blanks mean one step in *lines*, below a line that has tabs."""
    widths = [len(line) - len(line.lstrip(" ")) for line in lines if line.startswith("  ")]
    depth = len(above) - len(above.lstrip("\t"))
    if widths and _OPENS_BODY.search(above) and not widths[0] % (depth + 1):
        return min(widths[0] // (depth + 1), _MAX_STEP)
    return 2 if any(width % _DEFAULT_STEP for width in widths) else _DEFAULT_STEP


def _step_of(lines: list[str]) -> int:
    """How much deeper than its opener the first body is; 0 if there is none."""
    written = [line for line in lines if line.strip()]
    for line, following in pairwise(written):
        deeper = indent_of(following) - indent_of(line)
        if deeper > 0 and _OPENS_BODY.search(line):
            return deeper
    return 0


def _scaled(line: str, base: int, step: int, wanted: int) -> str:
    deeper = indent_of(line) - base
    if deeper <= 0 or not line.strip():
        return line
    return " " * (base + deeper // step * wanted + deeper % step) + line.lstrip(" \t")


def _with_tabs(line: str, step: int) -> str:
    written = line.lstrip(" \t")
    indent = line[: len(line) - len(written)].replace("\t", " " * step)
    return "\t" * (len(indent) // step) + " " * (len(indent) % step) + written


def _with_blanks(line: str, step: int) -> str:
    written = line.lstrip(" \t")
    return line[: len(line) - len(written)].replace("\t", " " * step) + written


def _blanks(width: int, unit: str) -> str:
    return "\t" * (width // _DEFAULT_STEP) if unit == "\t" else " " * width
