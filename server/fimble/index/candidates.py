"""What imports, types and bases say about a cursor: each source gives definitions of other files, best first.

A source is a function from a `Place` to pieces.  They know nothing of each other: `retrieval` merges what they give.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from fimble.index.cursor import Cursor, Imported
from fimble.index.database import Chunk, Database, Definition
from fimble.index.lookup import Lookup
from fimble.index.source import Sources
from fimble.index.terms import terms
from fimble.index.wire import Retrieve
from fimble.languages import are_related
from fimble.syntax.symbols import CALLABLES, DefinitionKind

#: As many of one source: more would not find room.
MOST = 40

#: What it is worth that an imported name occurs nowhere, in units of affinity.
_NEVER_USED = 0.4

#: Of the lexical search: the text before and after the cursor that it looks for, as many of its rarest words, as many
#: chunks that are asked for, and as many of other files that are taken.
_LEXICAL_CHARS = (700, 200)
_TERMS = 16
_LOOK_CHUNKS = 40
_CHUNKS = 12

#: A term costs time for each chunk that has it; in more than this many it tells none of them from another.
_COMMON_CHUNKS = 3_000

#: What an outline names, but no line of code after a cursor.
_NEVER_WRITTEN = (DefinitionKind.MODULE, DefinitionKind.SECTION)

#: How what stands at the top of a file says that others may use it, in languages where they may not without.
_SAY_PUBLIC = {"rust": ("pub", "macro_rules"), "typescript": ("export",), "typescriptreact": ("export",)}


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
        rare = [term for term, count in frequencies.items() if count <= _COMMON_CHUNKS]
        rarest = sorted(rare, key=frequencies.__getitem__)[:_TERMS]
        found = self.database.search(rarest, _LOOK_CHUNKS)  # this file's own are among the best
        others = [one for one in found if one.path != cursor.path and are_related(one.language, cursor.language)]
        return others[:_CHUNKS]


def pieces(found: Iterable[Definition], why: str) -> list[Piece]:
    """Definitions as pieces, chosen for one reason; modules and headings are left out."""
    return [Piece(one.path, one.start_line, one.end_line, why, one) for one in found if one.kind not in _NEVER_WRITTEN]


def fitting(place: Place, found: Iterable[Definition]) -> list[Definition]:
    """The same definitions, those first whose names fit what is written here; equal ones stay in order."""
    return sorted(found, key=lambda one: (_is_hidden(one), -place.cursor.affinity(one.name)))


def _is_offered(one: Definition) -> bool:
    """Whether another file would ever write its name."""
    return one.kind not in _NEVER_WRITTEN and not (one.name.startswith("__") and one.name.endswith("__"))


def _is_hidden(one: Definition) -> bool:
    """Whether it says that it is nobody else's business."""
    if one.language in _SAY_PUBLIC:
        # TypeScript's members are public unless they say otherwise.
        is_said = one.language == "rust" or not one.container
        return one.signature.startswith("private ") or (
            is_said and not one.signature.startswith(_SAY_PUBLIC[one.language])
        )
    return one.name.startswith("_") or one.signature.startswith("private ")


# --- imports ------------------------------------------------------------------------------------------------


def not_used_yet(place: Place) -> list[Piece]:
    """Names that were imported and do not occur yet: somebody is going to write them."""
    cursor = place.cursor
    unused = [one for one in cursor.imports if one.local not in cursor.used and one.local not in ("", "*")]
    return pieces(_of_imports(place, unused), "imported here, not used yet")


def used_near(place: Place) -> list[Piece]:
    """Imported names that are used around the cursor."""
    cursor = place.cursor
    by_name = {one.local: one for one in cursor.imports}
    near = [by_name[name] for name in cursor.near if name in by_name]
    return pieces(_of_imports(place, near, is_sorted=False), "imported and used near the cursor")


def _of_imports(place: Place, imports: Sequence[Imported], *, is_sorted: bool = True) -> list[Definition]:
    found = [(one.local, each) for one in imports if one.name not in ("", "*") for each in place.lookup.imported(one)]
    if is_sorted:
        cursor = place.cursor
        # Nobody imports what is never used: a name that does not occur below either is waited for.
        found.sort(key=lambda pair: -cursor.affinity(pair[0]) - _NEVER_USED * (pair[0] not in cursor.used_later))
    return [each for _, each in found][:MOST]


def of_modules(place: Place) -> list[Piece]:
    """What stands in modules that are imported as a whole, where their name is used or would be."""
    cursor = place.cursor
    found: list[Definition] = []
    for one in cursor.imports:
        if one.local in cursor.near or one.local not in cursor.used:
            found += place.lookup.top_of(place.lookup.modules_of(one)[:2])
    fresh = [one for one in found if one.name not in cursor.used and _is_offered(one)]
    return pieces(fitting(place, fresh)[:MOST], "in a module that is imported here")


# --- members ------------------------------------------------------------------------------------------------


def at_the_dot(place: Place) -> list[Piece]:
    """What can follow the dot that the cursor is after."""
    receiver = place.cursor.receiver
    found = [one for one in place.lookup.members_at(receiver) if _is_offered(one)] if receiver else []
    name = receiver[-1][0] if receiver else ""
    fresh = sorted(fitting(place, found), key=lambda one: one.name in place.cursor.used)
    return pieces(fresh[:MOST], f"member of what {name} is")


def of_types_near(place: Place) -> list[Piece]:
    """Members of the types that variables around the cursor have."""
    cursor, lookup = place.cursor, place.lookup
    types = [cursor.types[name] for name in cursor.near if name in cursor.types]
    types += [cursor.types[name] for name in cursor.types if "." in name and cursor.types[name] not in types]
    members = [one for name in dict.fromkeys(types) for one in lookup.members_of(lookup.classes_named(name))]
    fresh = [one for one in members if one.name not in cursor.used and _is_offered(one)]
    return pieces(fitting(place, fresh)[:MOST], "member of a type that is used near the cursor")


def of_imported_classes(place: Place) -> list[Piece]:
    """Members of the classes that this file imports."""
    lookup, cursor = place.lookup, place.cursor
    names = [one.local for one in cursor.imports if one.name not in ("", "*")]
    classes = [one for name in names[:MOST] for one in lookup.classes_named(name)]
    fresh = [one for one in lookup.members_of(classes) if one.name not in cursor.used and _is_offered(one)]
    return pieces(fitting(place, fresh)[:MOST], "member of a class that is imported here")


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
    return pieces(found[:3], f"{name} is being called")


def of_bases(place: Place) -> list[Piece]:
    """What the class around inherits, the method that is overridden first."""
    bases = place.lookup.bases_of_cursor()
    around = {one.name for one in place.cursor.around}
    members = place.lookup.members_of(bases)
    overridden = [one for one in members if one.name in around]
    rest = [
        one for one in members if one.name not in place.cursor.defined and one.kind in CALLABLES and _is_offered(one)
    ]
    first = pieces(overridden[:2], "overridden here") + pieces(bases[:2], "base of the class around the cursor")
    return first + pieces(fitting(place, rest)[:MOST], "inherited by the class around the cursor")
