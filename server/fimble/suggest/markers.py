"""Control tokens that came out of a model as text: ``<|fim_middle|>`` is never what somebody wants to read."""

from __future__ import annotations

import re

from fimble.suggest.place import Place

#: The spellings of the known families.  CodeLlama's and Codestral's are words of capitals that code may well hold, so
#: only their whole spelling counts.
_MARKERS = re.compile(
    r"<\|(?:fim|file|repo|im|eot|end|begin|pad)[a-z_]*\|>"
    r"|<(?:fim_(?:prefix|suffix|middle|pad)|file_sep|repo_name|reponame|filename|gh_stars)>"
    r"|<\uff5c[^\n\uff5c]{1,40}\uff5c>"  # DeepSeek writes full-width bars
    r"|<\[(?:fim-(?:prefix|suffix|middle)|end[\w\u2581-]*|begin[\w\u2581-]*|PAD[\w-]*)\]>"
    r"|<(?:PRE|SUF|MID|EOT)>|\[(?:PREFIX|SUFFIX|MIDDLE)\]"
)
#: The beginning of one at the end of an answer that was cut short.
_BEGUN = re.compile(r"<\|(?:fim|file|repo|endof)\w*\Z|<\uff5c[^\n\uff5c]*\Z|<\[fim-?\w*\Z")


def marker_start(text: str, place: Place) -> int | None:
    """Where the first control token begins in *text*; None if there is none.

    One that the document itself holds is text like any other: somebody is writing about it.
    """
    if "<" not in text and "[" not in text:
        return None
    for found in _MARKERS.finditer(text):
        if found[0] not in (place.source or place.before + place.after):
            return found.start()
    return None


def without_markers(text: str, place: Place) -> str:
    """*text* up to its first control token, whole or begun."""
    text = text[: marker_start(text, place)]
    begun = _BEGUN.search(text)
    return text[: begun.start()] if begun and begun[0] not in place.source else text
