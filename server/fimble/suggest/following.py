"""From a suggestion to what comes after it: whether typing agrees with it, and where its acceptance leads."""

from __future__ import annotations

import dataclasses

from fimble.core import Ask, Document, Suggestion, Trigger
from fimble.suggest.place import Place, unix_lines
from fimble.suggest.recall import CLOSERS


def typed_since(ask: Ask, document: Document, replaces: int = 0) -> str | None:
    """What was put in at the place of *ask* until its document became *document*; None if anything else changed.

    The *replaces* characters behind that place may have changed, too; what they are now is part of the answer.
    """
    old, new = ask.document.text.source, document.text.source
    after = old[ask.offset + replaces :]
    end = len(new) - len(after)
    if ask.document.uri != document.uri or end < ask.offset:
        return None
    if new[: ask.offset] != old[: ask.offset] or not new.endswith(after):
        return None
    return unix_lines(new[ask.offset : end])


def agreed_chars(text: str, typed: str) -> int | None:
    """How many characters of a suggested *text* have been *typed*; None if something else was.

    Brackets and quotes at the end of *typed* may be the editor's: it closes what was opened.
    """
    if typed.startswith(text):
        return len(text)
    for own in (typed, typed.rstrip(CLOSERS + " \t\n")):
        if text.startswith(own):
            return len(own)
    return None


def typed_of(suggestion: Suggestion, ask: Ask, document: Document) -> int | None:
    """How many characters of *suggestion*, shown at *ask*, stand in *document*; None if anything else was changed."""
    typed = typed_since(ask, document, suggestion.replaces)
    return None if typed is None else agreed_chars(suggestion.text, typed)


def after_accept(ask: Ask, text: str, replaces: int = 0) -> Ask:
    """The question that is asked once *text* is in the place of what it replaces, before anybody asks it."""
    document, source = ask.document, ask.document.text.source
    put_in = text.replace("\n", "\r\n") if "\r\n" in source else text
    changed = dataclasses.replace(document, text=document.text.replace(ask.offset, ask.offset + replaces, put_in))
    return dataclasses.replace(
        ask, document=changed, offset=ask.offset + len(put_in), trigger=Trigger.AUTOMATIC, is_guess=True
    )


def new_line(ask: Ask) -> str:
    """What Enter puts in at the end of a line: a line end and the same indentation; empty elsewhere."""
    place = Place.at(ask.document, ask.offset)
    line = place.line_before
    if not line.strip() or place.line_after.strip():
        return ""
    return "\n" + line[: len(line) - len(line.lstrip(" \t"))]
