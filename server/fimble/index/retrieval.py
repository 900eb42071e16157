"""What the rest of a repository has to say about a cursor.

Every source of `candidates` gives its pieces in its own order; they are merged by reciprocal rank (G. Cormack, C.
Clarke, S. Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods", SIGIR 2009),
each source with a weight of its own, and packed into the budget.
"""

from __future__ import annotations

from collections.abc import Callable

from fimble.index import candidates, elsewhere
from fimble.index.candidates import Piece, Place
from fimble.index.database import Database
from fimble.index.packing import Packing, Ranked
from fimble.index.source import Sources
from fimble.index.wire import Found, Retrieve

#: The constant of the paper: how little a first place is worth more than a second.
_K = 60

Source = Callable[[Place], list[Piece]]

#: What a source is worth where a name can begin, and where a member of something comes, which no import names.
#: Tuned on the projects of scripts/context_projects.py that are for it.
WEIGHTS: dict[Source, tuple[float, float]] = {
    candidates.at_the_dot: (0.0, 5.0),
    candidates.not_used_yet: (3.0, 1.0),
    candidates.open_call: (1.5, 0.8),
    candidates.of_types_near: (1.2, 1.5),
    candidates.of_modules: (1.2, 0.5),
    candidates.of_bases: (1.0, 0.8),
    candidates.of_imported_classes: (0.8, 1.5),
    candidates.used_near: (0.8, 0.5),
    elsewhere.of_neighbours: (1.0, 0.5),
    elsewhere.rare_names: (0.5, 0.5),
    elsewhere.tests: (0.5, 0.5),
    elsewhere.lexical: (0.5, 0.5),
    elsewhere.edited: (0.5, 0.5),
    elsewhere.callers: (0.4, 0.3),
    elsewhere.alike: (0.3, 0.5),
}


def retrieve(database: Database, sources: Sources, question: Retrieve) -> list[Found]:
    """Pieces of other files, the best first, together no longer than the question's budget.

    Raises sqlite3.Error if the database is damaged.
    """
    return snippets(Place(database, sources, question))


def snippets(place: Place) -> list[Found]:
    """What is told of other files at *place*; see `retrieve`."""
    question = place.question
    packing = Packing(place.sources, place.lookup.holder_of, question.budget_chars, question.text)
    return packing.snippets(ranked(place))


def copies(place: Place) -> list[str]:
    """Lines of other files that have the rare words around the cursor: somebody may be writing them again."""
    found = (place.sources.lines(chunk.path, chunk.start_line, chunk.end_line) for chunk in place.chunks)
    return [text for text in found if text]


def ranked(place: Place) -> list[Ranked]:
    """Everything that a source names, the best first; what two name counts twice."""
    scores: dict[tuple[str, int, str], float] = {}
    first: dict[tuple[str, int, str], Piece] = {}
    best: dict[tuple[str, int, str], float] = {}
    for source, weights in WEIGHTS.items():
        weight = weights[place.cursor.is_member]
        for rank, piece in enumerate(source(place) if weight else (), 1):
            if piece.path == place.cursor.path:
                continue
            worth = weight / (_K + rank)
            scores[piece.key] = scores.get(piece.key, 0.0) + worth
            if worth > best.get(piece.key, 0.0):  # the source that wanted it most says why
                best[piece.key], first[piece.key] = worth, piece
    order = sorted(scores, key=lambda key: -scores[key])
    return [Ranked(first[key], scores[key]) for key in order]
