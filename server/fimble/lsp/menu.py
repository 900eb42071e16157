"""Beside an editor's own menu: what goes on from the item that is selected there."""

from __future__ import annotations

import dataclasses

from lsprotocol import types

from fimble.core import Ask
from fimble.lsp.documents import Documents
from fimble.suggest.recipe import Outcome, Suggester


def with_selected(
    ask: Ask, selected: types.SelectedCompletionInfo, documents: Documents, suggester: Suggester
) -> tuple[Ask, Outcome | None]:
    """*ask* as it will be when the editor has put in what is *selected* in its menu, and the answer if it is known."""
    ends = (selected.range.start, selected.range.end)
    start, end = sorted(documents.offset_at(ask.document, at) for at in ends)
    typed = ask.document.text.source[start:end]
    known = None
    if end == ask.offset and selected.text.startswith(typed):
        known = suggester.going_on_from(ask, selected.text[len(typed) :])
    document = dataclasses.replace(ask.document, text=ask.document.text.replace(start, end, selected.text))
    ask = dataclasses.replace(ask, document=document, offset=start + len(selected.text))
    return ask, Outcome((known,)) if known else None
