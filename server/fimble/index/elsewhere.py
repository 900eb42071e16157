"""What the rest of the repository says about a cursor, whatever this file imports: each source best first."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from fimble.index.candidates import MOST, Piece, Place, fitting, pieces
from fimble.index.database import Chunk, Definition
from fimble.index.terms import parts
from fimble.languages import are_related
from fimble.syntax.symbols import CALLABLES, HOLDERS

#: As many homes as a name may have that says something without an import.
_RARE_HOMES = 2

#: As many chunks are looked at for the callers of a function, and as many callers are given.
_LOOK_CHUNKS = 40
_CALLERS = 3

#: Around a line that was edited.
_EDIT_LINES = 6

_TEST_FOLDERS = frozenset({"tests", "test", "__tests__", "spec"})
_TEST_NAME = re.compile(r"(^|[_.])(tests?|spec)[_.]")


def rare_names(place: Place) -> list[Piece]:
    """What is used near the cursor and defined in one or two other files, import or not."""
    cursor = place.cursor
    known = {one.local for one in cursor.imports} | cursor.defined
    names = [name for name in cursor.near if name not in known and len(name) > 2]
    by_name: dict[str, list[Definition]] = {}
    for one in place.database.definitions_named(names[:MOST], 400):
        if are_related(one.language, cursor.language):
            by_name.setdefault(one.name, []).append(one)
    found: list[Definition] = []
    for name in names:
        homes = by_name.get(name, [])
        if len({one.path for one in homes}) <= _RARE_HOMES:
            found += [one for one in homes if one.path != cursor.path]
    return pieces(found[:MOST], "defined in few files, and used near the cursor")


def of_neighbours(place: Place) -> list[Piece]:
    """What the other files of the package define, where that is known without an import."""
    fresh = [one for one in place.lookup.top_of(place.lookup.neighbours) if one.name not in place.cursor.used]
    return pieces(fitting(place, fresh)[:MOST], "in the same package")


def callers(place: Place) -> list[Piece]:
    """Where other files use the function, or the class, that the cursor is in."""
    found: list[Piece] = []
    for one in reversed(place.cursor.around):
        if one.kind not in CALLABLES and one.kind not in HOLDERS:
            continue
        whole = parts(one.name).rpartition(" ")[2]
        homes = {importer.path for importer in place.database.importers_of(one.name, 20)}
        for chunk in place.database.search([whole], _LOOK_CHUNKS) if whole and homes else ():
            if chunk.path in homes and chunk.path != place.cursor.path and len(found) < _CALLERS:
                found += _uses_in(place, chunk, one.name)
    return found


def _uses_in(place: Place, chunk: Chunk, name: str) -> list[Piece]:
    """The first line of a chunk that uses *name*, with what is around it."""
    text = place.sources.lines(chunk.path, chunk.start_line, chunk.end_line) or ""
    used = re.compile(rf"\b{re.escape(name)}\b\s*[(.]")
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), chunk.start_line):
        if used.search(line):
            return [Piece(chunk.path, max(number - 1, 0), number + 3, f"uses {name}")]
    return []


def tests(place: Place) -> list[Piece]:
    """The test of this module, or the module that this test is about."""
    mine = PurePosixPath(place.cursor.path)
    stem = mine.name.partition(".")[0]
    bare = re.sub(r"^tests?_|_tests?$|_spec$|Tests?$", "", stem)
    wanted = [bare] if _is_test(mine) else [f"test_{stem}", f"{stem}_test", f"{stem}Test", f"{stem}_spec", stem]
    found: list[Piece] = []
    for name in wanted:
        for path in place.database.files_named(name, 10):
            if PurePosixPath(path).suffix == mine.suffix and _is_test(PurePosixPath(path)) != _is_test(mine):
                fresh = [one for one in place.lookup.top_of([path]) if one.name not in place.cursor.used]
                why = "what this test is about" if _is_test(mine) else "in this module's test"
                found += pieces(fitting(place, fresh)[:8], why)
    return found


def _is_test(path: PurePosixPath) -> bool:
    folders = {part.lower() for part in path.parts[:-1]}
    return bool(folders & _TEST_FOLDERS) or _TEST_NAME.search(path.name.lower()) is not None


def edited(place: Place) -> list[Piece]:
    """Where something was changed just now."""
    return [
        Piece(path, max(line - _EDIT_LINES // 2, 0), line + _EDIT_LINES // 2 + 1, "edited a moment ago")
        for path, line in place.question.edits
        if path != place.cursor.path and place.database.has_file(path)
    ]


def lexical(place: Place) -> list[Piece]:
    """Lines with the same rare words."""
    return [Piece(one.path, one.start_line, one.end_line, "words in common") for one in place.chunks]


def alike(place: Place) -> list[Piece]:
    """Definitions in files that the lexical search has found, by their names."""
    cursor = place.cursor
    found = dict.fromkeys(one.path for one in place.chunks)
    fresh = [one for path in found for one in place.lookup.definitions_in(path) if one.name not in cursor.used]
    fits = [one for one in fresh if cursor.affinity(one.name) > 0 and parts(one.name)]
    return pieces(fitting(place, fits)[:MOST], "in a file with words in common")
