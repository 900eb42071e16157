"""What the rest of a repository has to say about a cursor."""

from __future__ import annotations

from fimble.index.database import Database
from fimble.index.source import Sources
from fimble.index.terms import terms
from fimble.index.wire import Found, Retrieve

_AROUND_CHARS = 1500
_TERMS = 12
_CHUNKS = 20


def retrieve(database: Database, sources: Sources, question: Retrieve) -> list[Found]:
    """Pieces of other files, the best first, together no longer than the question's budget.

    Raises sqlite3.Error if the database is damaged.
    """
    around = question.text[max(question.offset - _AROUND_CHARS, 0) : question.offset + _AROUND_CHARS // 2]
    frequencies = database.frequencies(terms(around).split())
    rarest = sorted(frequencies, key=frequencies.__getitem__)[:_TERMS]
    found, left = [], question.budget_chars
    for chunk in database.search(rarest, _CHUNKS):
        text = sources.lines(chunk.path, chunk.start_line, chunk.end_line) if chunk.path != question.path else None
        if text and len(text) <= left:
            why = "words in common"
            found.append(
                Found(path=chunk.path, text=text, start_line=chunk.start_line, kind="chunk", why=why, score=chunk.score)
            )
            left -= len(text)
    return found
