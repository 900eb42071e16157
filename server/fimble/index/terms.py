"""Identifiers and their parts: ``HttpServer_port2`` is ``http``, ``server``, ``port2``, and itself.

Lexical search compares these, so that ``serverPort`` finds ``server_port``.
"""

from __future__ import annotations

import re
from functools import lru_cache

_IDENTIFIER = re.compile(r"[^\W\d]\w+")

#: The same where all is ASCII, in half of the time: no character has to be looked up in Unicode's tables.
_ASCII_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]+")

#: A part: capitals that end before a capitalised word, a capitalised word, a run without capitals; digits stay.
_PART = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[^\W_A-Z]+")

#: Longer names are data, not names.
_MAX_CHARS = 80


def identifiers(text: str) -> list[str]:
    """Every name of two characters and more in *text*, comments and strings included, in order."""
    return (_ASCII_IDENTIFIER if text.isascii() else _IDENTIFIER).findall(text)


@lru_cache(maxsize=60_000)
def parts(identifier: str) -> str:
    """The parts of *identifier*, lower-cased, and the whole if it has several, with spaces between."""
    if len(identifier) > _MAX_CHARS:
        return ""
    found = [part.lower() for part in _PART.findall(identifier)]
    if len(found) < 2:
        return found[0] if found else ""
    return " ".join([*found, "".join(found)])


def terms(text: str) -> str:
    """What *text* is found by, as one text with spaces between."""
    return " ".join(map(parts, identifiers(text)))
