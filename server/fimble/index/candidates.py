"""Who has something to say about a cursor: each source gives definitions or lines of other files, best first.

A source is a function from a `Place` to pieces; `SOURCES` says how much each is worth.  They know nothing of each
other: ranking merges what they give.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from fimble.index.cursor import Cursor, Imported
from fimble.index.database import Chunk, Database, Definition
from fimble.index.lookup import Lookup
from fimble.index.source import Sources
from fimble.index.terms import parts, terms
from fimble.index.wire import Retrieve
from fimble.languages import are_related
from fimble.syntax.symbols import CALLABLES, HOLDERS, DefinitionKind

#: As many of one source: more would not find room.
_MOST = 40

#: What it is worth that an imported name occurs nowhere, in units of affinity.
_NEVER_USED = 0.4

_RARE_HOMES = 2
_TERMS = 16
_LEXICAL_CHARS = (700, 200)
_CHUNKS = 12
_LOOK_CHUNKS = 40
_CALLERS = 3
_EDIT_LINES = 6

_NEVER_WRITTEN = (DefinitionKind.MODULE, DefinitionKind.SECTION)

#: How what stands at the top of a file says that others may use it, in languages where they may not without.
_SAY_PUBLIC = {"rust": ("pub", "macro_rules"), "typescript": "export", "typescriptreact": "export"}


@dataclass(frozen=True, slots=True)
class Piece:
    """Something of another file: a definition, or some lines."""

    path: str
    start_line: int
    end_line: int
    why: str
    definition: Definition | None = None

    @property
    def key(self) -> tuple[str, int, str]:
        """What makes two pieces the same."""
        return self.path, self.start_line, self.definition.name if self.definition else ""


class Place:
    """A cursor, and everything that sources ask."""

    def __init__(self, database: Database, sources: Sources, question: Retrieve) -> None:
        self.question = question
        self.database = database
        self.sources = sources
        self.cursor = Cursor(question)
        self.lookup = Lookup(database, self.cursor)

    @cached_property
    def chunks(self) -> list[Chunk]:
        """Lines of other files with the same rare words, by BM25."""
        cursor = self.cursor
        before, after = _LEXICAL_CHARS
        around = cursor.text[max(cursor.offset - before, 0) : cursor.offset + after]
        frequencies = self.database.frequencies(terms(around).split())
        rarest = sorted(frequencies, key=frequencies.__getitem__)[:_TERMS]
        found = self.database.search(rarest, _LOOK_CHUNKS)  # this file's own are among the best
        others = [one for one in found if one.path != cursor.path and are_related(one.language, cursor.language)]
        return others[:_CHUNKS]


def _pieces(found: Iterable[Definition], why: str) -> list[Piece]:
    return [Piece(one.path, one.start_line, one.end_line, why, one) for one in found]


def _fitting(place: Place, found: Iterable[Definition]) -> list[Definition]:
    """The same definitions, those first whose names fit what is written here; equal ones stay in order."""
    return sorted(found, key=lambda one: (_is_hidden(one), -place.cursor.affinity(one.name)))


def _is_offered(one: Definition) -> bool:
    """Whether another file would ever write its name."""
    return one.kind not in _NEVER_WRITTEN and not (one.name.startswith("__") and one.name.endswith("__"))


def _is_hidden(one: Definition) -> bool:
    """Whether it says that it is nobody else's business."""
    if one.language in _SAY_PUBLIC:
        return not one.container and not one.signature.startswith(_SAY_PUBLIC[one.language])
    return one.name.startswith("_") or one.signature.startswith("private ")


# --- imports ------------------------------------------------------------------------------------------------


def not_used_yet(place: Place) -> list[Piece]:
    """Names that were imported and do not occur yet: somebody is going to write them."""
    cursor = place.cursor
    unused = [one for one in cursor.imports if one.local not in cursor.used and one.local not in ("", "*")]
    return _pieces(_of_imports(place, unused), "imported here, not used yet")


def used_near(place: Place) -> list[Piece]:
    """Imported names that are used around the cursor."""
    cursor = place.cursor
    by_name = {one.local: one for one in cursor.imports}
    near = [by_name[name] for name in cursor.near if name in by_name]
    return _pieces(_of_imports(place, near, is_sorted=False), "imported and used near the cursor")


def _of_imports(place: Place, imports: Sequence[Imported], *, is_sorted: bool = True) -> list[Definition]:
    found = [(one.local, each) for one in imports if one.name not in ("", "*") for each in place.lookup.imported(one)]
    if is_sorted:
        cursor = place.cursor
        # Nobody imports what is never used: a name that does not occur below either is waited for.
        found.sort(key=lambda pair: -cursor.affinity(pair[0]) - _NEVER_USED * (pair[0] not in cursor.used_later))
    return [each for _, each in found][:_MOST]


def of_modules(place: Place) -> list[Piece]:
    """What stands in modules that are imported as a whole, where their name is used or would be."""
    cursor = place.cursor
    found: list[Definition] = []
    for one in cursor.imports:
        if one.local in cursor.near or one.local not in cursor.used:
            found += place.lookup.top_of(place.lookup.modules_of(one)[:2])
    fresh = [one for one in found if one.name not in cursor.used and _is_offered(one)]
    return _pieces(_fitting(place, fresh)[:_MOST], "in a module that is imported here")


# --- members ------------------------------------------------------------------------------------------------


def at_the_dot(place: Place) -> list[Piece]:
    """What can follow the dot that the cursor is after."""
    receiver = place.cursor.receiver
    found = [one for one in place.lookup.members_at(receiver) if _is_offered(one)] if receiver else []
    name = receiver[-1][0] if receiver else ""
    fresh = sorted(_fitting(place, found), key=lambda one: one.name in place.cursor.used)
    return _pieces(fresh[:_MOST], f"member of what {name} is")


def of_types_near(place: Place) -> list[Piece]:
    """Members of the types that variables around the cursor have."""
    cursor, lookup = place.cursor, place.lookup
    types = [cursor.types[name] for name in cursor.near if name in cursor.types]
    types += [cursor.types[name] for name in cursor.types if "." in name and cursor.types[name] not in types]
    members = [one for name in dict.fromkeys(types) for one in lookup.members_of(lookup.classes_named(name))]
    fresh = [one for one in members if one.name not in cursor.used and _is_offered(one)]
    return _pieces(_fitting(place, fresh)[:_MOST], "member of a type that is used near the cursor")


def of_imported_classes(place: Place) -> list[Piece]:
    """Members of the classes that this file imports."""
    lookup, cursor = place.lookup, place.cursor
    names = [one.local for one in cursor.imports if one.name not in ("", "*")]
    classes = [one for name in names[:_MOST] for one in lookup.classes_named(name)]
    fresh = [one for one in lookup.members_of(classes) if one.name not in cursor.used and _is_offered(one)]
    return _pieces(_fitting(place, fresh)[:_MOST], "member of a class that is imported here")


def open_call(place: Place) -> list[Piece]:
    """What is being called: the signature that the arguments have to fit."""
    *receivers, name = place.cursor.open_call or [""]
    if not name or name in place.cursor.defined:
        return []
    if receivers:
        members = place.lookup.members_at([(one, False) for one in receivers])
        found = [one for one in members if one.name == name]
    else:
        found = place.lookup.named(name)
    return _pieces(found[:3], f"{name} is being called")


def of_bases(place: Place) -> list[Piece]:
    """What the class around inherits, the method that is overridden first."""
    bases = place.lookup.bases_of_cursor()
    around = {one.name for one in place.cursor.around}
    members = place.lookup.members_of(bases)
    overridden = [one for one in members if one.name in around]
    rest = [one for one in members if one.name not in place.cursor.defined and one.kind in CALLABLES and _is_offered(one)]
    first = _pieces(overridden[:2], "overridden here") + _pieces(bases[:2], "base of the class around the cursor")
    return first + _pieces(_fitting(place, rest)[:_MOST], "inherited by the class around the cursor")


# --- the rest of the repository -----------------------------------------------------------------------------


def rare_names(place: Place) -> list[Piece]:
    """What is used near the cursor and defined in one or two other files, import or not."""
    cursor = place.cursor
    known = {one.local for one in cursor.imports} | cursor.defined
    names = [name for name in cursor.near if name not in known and len(name) > 2]
    by_name: dict[str, list[Definition]] = {}
    for one in place.database.definitions_named(names[:_MOST], 400):
        if are_related(one.language, cursor.language):
            by_name.setdefault(one.name, []).append(one)
    found: list[Definition] = []
    for name in names:
        homes = by_name.get(name, [])
        if len({one.path for one in homes}) <= _RARE_HOMES:
            found += [one for one in homes if one.path != cursor.path]
    return _pieces(found[:_MOST], "defined in few files, and used near the cursor")


def of_neighbours(place: Place) -> list[Piece]:
    """What the other files of the package define, where that is known without an import."""
    fresh = [one for one in place.lookup.top_of(place.lookup.neighbours) if one.name not in place.cursor.used]
    return _pieces(_fitting(place, fresh)[:_MOST], "in the same package")


def callers(place: Place) -> list[Piece]:
    """Where other files use the function, or the class, that the cursor is in."""
    found: list[Piece] = []
    for one in reversed(place.cursor.around):
        if one.kind not in CALLABLES and one.kind not in HOLDERS:
            continue
        for importer in place.database.importers_of(one.name, 20):
            if importer.path != place.cursor.path and len(found) < _CALLERS:
                found += _uses_in(place, importer.path, one.name, f"uses {one.name}")
    return found


def _uses_in(place: Place, path: str, name: str, why: str) -> list[Piece]:
    """The first line of a file that uses *name* in code, with what is around it."""
    text = place.sources.lines(path, 0, 5_000)
    if text is None:
        return []
    used = re.compile(rf"\b{re.escape(name)}\b\s*[(.]")
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text)):
        if used.search(line):
            return [Piece(path, max(number - 1, 0), number + 3, why)]
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
                found += _pieces(_fitting(place, fresh)[:8], why)
    return found


def _is_test(path: PurePosixPath) -> bool:
    folders = {part.lower() for part in path.parts[:-1]}
    name = path.name.lower()
    return bool(folders & {"tests", "test", "__tests__", "spec"}) or re.search(r"(^|[_.])(tests?|spec)[_.]", name) is not None


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
    return _pieces(_fitting(place, fits)[:_MOST], "in a file with words in common")


Source = Callable[[Place], list[Piece]]


def at_names() -> Iterator[tuple[Source, float]]:
    """The sources where a name can begin, and what a first place of each is worth."""
    yield from ((not_used_yet, 3.0), (of_types_near, 1.2), (used_near, 0.8), (of_modules, 1.2), (of_bases, 1.0))
    yield from ((open_call, 1.5), (of_imported_classes, 0.8), (rare_names, 0.5), (of_neighbours, 1.0), (tests, 0.5))
    yield from ((callers, 0.4), (edited, 0.5), (lexical, 0.5), (alike, 0.3))


def at_members() -> Iterator[tuple[Source, float]]:
    """The sources where a member comes, which no import names."""
    yield from ((at_the_dot, 5.0), (of_types_near, 1.5), (of_imported_classes, 1.5), (of_modules, 0.5), (of_bases, 0.8))
    yield from ((not_used_yet, 1.0), (used_near, 0.5), (open_call, 0.8), (rare_names, 0.5), (of_neighbours, 0.5))
    yield from ((tests, 0.5), (callers, 0.3), (edited, 0.5), (lexical, 0.5), (alike, 0.5))
