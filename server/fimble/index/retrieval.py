"""What the rest of a repository has to say about a cursor.

Every source of `candidates` gives its pieces in its own order; they are merged by reciprocal rank (G. Cormack, C.
Clarke, S. Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods", SIGIR 2009),
each source with a weight of its own, and packed into the budget.
"""

from __future__ import annotations

from fimble.index.candidates import Piece, Place, at_members, at_names
from fimble.index.database import Database
from fimble.index.packing import Packing, Ranked
from fimble.index.source import Sources
from fimble.index.wire import Found, Retrieve

#: The constant of the paper: how little a first place is worth more than a second.
_K = 60


def retrieve(database: Database, sources: Sources, question: Retrieve) -> list[Found]:
    """Pieces of other files, the best first, together no longer than the question's budget.

    Raises sqlite3.Error if the database is damaged.
    """
    place = Place(database, sources, question)
    return Packing(sources, question.budget_chars, question.text).snippets(ranked(place))


def ranked(place: Place) -> list[Ranked]:
    """Everything that a source names, the best first; what two name counts twice."""
    scores: dict[tuple[str, int, str], float] = {}
    first: dict[tuple[str, int, str], Piece] = {}
    best: dict[tuple[str, int, str], float] = {}
    for source, weight in at_members() if place.cursor.is_member else at_names():
        for rank, piece in enumerate(source(place), 1):
            if piece.path == place.cursor.path:
                continue
            worth = weight / (_K + rank)
            scores[piece.key] = scores.get(piece.key, 0.0) + worth
            if worth > best.get(piece.key, 0.0):  # the source that wanted it most says why
                best[piece.key], first[piece.key] = worth, piece
    order = sorted(scores, key=lambda key: -scores[key])
    return [Ranked(first[key], scores[key]) for key in order]
