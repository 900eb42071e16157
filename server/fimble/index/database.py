"""What the index knows, and how it is asked.

Paths are relative to the repository, with ``/``.  Lines count from 0; an end is the line after the last one.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from fimble.index import schema

#: SQLite's default limit for variables is 32,766 (since 3.32); nobody asks for as many names as this at once.
_MAX_NAMES = 500
_MAX_FREQUENCIES = 50_000


class Definition(msgspec.Struct, frozen=True, gc=False):
    """Something that a file defines.  A struct is made in a fifth of a frozen dataclass's time."""

    path: str
    language: str
    name: str
    kind: str
    container: str
    """Dotted names of what it is defined in, outermost first; empty at the top of a file."""
    start_line: int
    body_line: int
    """Where its body begins; ``end_line`` if it has none."""
    end_line: int
    signature: str
    doc: str
    bases: tuple[str, ...]
    type: str


class Import(msgspec.Struct, frozen=True, gc=False):
    """A name that a file imports: ``from module import name as alias``.  ``name`` is empty for a whole module."""

    path: str
    module: str
    name: str
    alias: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A few lines that belong together."""

    path: str
    language: str
    start_line: int
    end_line: int
    score: float = 0.0
    """BM25, the more the better."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """By what a file is known to be unchanged."""

    mtime_ns: int
    size: int
    digest: bytes = b""
    skipped: str = ""
    """Why the file's content was left out; empty if it is in the index."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Everything that the index keeps of one file.  Secrets are masked already."""

    path: str
    language: str
    stamp: FileStamp
    definitions: Sequence[Definition] = ()
    imports: Sequence[Import] = ()
    chunks: Sequence[tuple[int, int, str]] = ()
    """Start line, end line, and the terms that it is found by (``terms``)."""


_DEFINITION = (
    "SELECT f.path, f.language, d.name, d.kind, d.container, d.start_line, d.body_line, d.end_line, d.signature, d.doc,"
    " d.bases, d.type FROM definitions d JOIN files f ON f.id = d.file"
)
_IMPORT = "SELECT f.path, i.module, i.name, i.alias FROM imports i JOIN files f ON f.id = i.file"


class Database:
    """One connection: the process that answers has one to read, the one that reads files has one to write.

    Everything raises sqlite3.Error where the file is damaged or the disk full.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._frequencies: dict[str, int] = {}
        self._counted_at = 0
        """The newest chunk when they were counted."""

    @classmethod
    def open(cls, path: Path, *, make: bool = True) -> Database:
        """The database at *path*; with *make* (for the holder of the lock) made anew where it cannot be used.

        Raises OSError or sqlite3.Error if there can be none.
        """
        return cls(schema.open_or_make(path) if make else schema.connect(path))

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    # --- asked by retrieval -------------------------------------------------------------------------------------

    def definitions_named(self, names: Iterable[str], limit: int = 200) -> list[Definition]:
        """The definitions with one of these names, in any file; *limit* of all of them together."""
        return self._definitions("d.name", names, limit)

    def members_of(self, holders: Iterable[str], limit: int = 500) -> list[Definition]:
        """What is defined in classes (modules, traits ...) of these names, in any file.

        A name is the last one of a container's: ``Inner`` finds what ``Outer.Inner`` holds.
        """
        return self._definitions("d.holder <> '' AND d.holder", holders, limit)

    def definitions_in(self, path: str) -> list[Definition]:
        """What a file defines, from top to bottom."""
        return self._definitions("f.path", [path], -1)

    def imports_of(self, path: str) -> list[Import]:
        """What a file imports, from top to bottom."""
        return [Import(*row) for row in self._rows(f"{_IMPORT} WHERE f.path = ? ORDER BY i.rowid", path)]

    def importers_of(self, name: str, limit: int = 100) -> list[Import]:
        """Where this very name is imported."""
        # The second condition says nothing new, but lets SQLite use the index, which leaves empty names out.
        sql = f"{_IMPORT} WHERE i.name = ? AND i.name <> '' LIMIT ?"
        return [Import(*row) for row in self._rows(sql, name, limit)]

    def importers_of_module(self, module: str, limit: int = 100) -> list[Import]:
        """Where a module is imported, written like this."""
        return [Import(*row) for row in self._rows(f"{_IMPORT} WHERE i.module = ? LIMIT ?", module, limit)]

    def files_named(self, stem: str, limit: int = 100) -> list[str]:
        """The files whose name without its suffixes is *stem*, whatever its case: ``user`` finds ``lib/User.ts``."""
        rows = self._rows("SELECT path FROM files WHERE stem = ? AND skipped = '' LIMIT ?", stem.lower(), limit)
        return [path for (path,) in rows]

    def files_in(self, folder: str, limit: int = 100) -> list[str]:
        """The files right in a folder, folders in it aside; ``.`` or nothing is the repository itself."""
        inside = "" if folder in ("", ".") else folder.rstrip("/") + "/"
        # A range, not LIKE: it uses the index on paths.  "0" is what follows "/".
        sql = (
            "SELECT path FROM files WHERE path >= ? AND path < ? AND instr(substr(path, ?), '/') = 0 AND skipped = ''"
            " ORDER BY path LIMIT ?"
        )
        end = inside[:-1] + "0" if inside else "\U0010ffff"
        return [path for (path,) in self._rows(sql, inside, end, len(inside) + 1, limit)]

    def has_file(self, path: str) -> bool:
        """Whether the file is in the index."""
        return bool(self._rows("SELECT 1 FROM files WHERE path = ? AND skipped = ''", path))

    def known_files(self, paths: Iterable[str]) -> list[str]:
        """Those of *paths* that are in the index, in their order."""
        asked = list(dict.fromkeys(paths))[:_MAX_NAMES]
        marks = ", ".join("?" * len(asked))
        rows = self._rows(f"SELECT path FROM files WHERE path IN ({marks}) AND skipped = ''", *asked)  # noqa: S608
        known = {path for (path,) in rows}
        return [path for path in asked if path in known]

    def language_of(self, path: str) -> str:
        """The language id of a file; empty if the index has none of that name."""
        found = self._rows("SELECT language FROM files WHERE path = ? AND skipped = ''", path)
        return str(found[0][0]) if found else ""

    def chunks_of(self, path: str) -> list[Chunk]:
        """A file's chunks, from top to bottom: every line is in one."""
        sql = (
            "SELECT f.path, f.language, c.start_line, c.end_line FROM chunks c JOIN files f ON f.id = c.file"
            " WHERE f.path = ? ORDER BY c.start_line"
        )
        return [Chunk(*row) for row in self._rows(sql, path)]

    def chunk_count(self) -> int:
        """How many chunks there are: what a term's frequency is to be compared with."""
        return self._count("chunks")

    def frequencies(self, terms: Iterable[str]) -> dict[str, int]:
        """In about how many chunks each term occurs; terms that occur nowhere are left out.

        A term's first time costs 0.1 ms; it is remembered until a twentieth of all chunks is new.
        """
        newest = self._connection.execute("SELECT max(id) FROM chunks").fetchone()[0] or 0
        if abs(newest - self._counted_at) > self._counted_at / 20 or len(self._frequencies) > _MAX_FREQUENCIES:
            self._frequencies, self._counted_at = {}, newest
        asked = list(dict.fromkeys(terms))[:_MAX_NAMES]
        for term in asked:
            if term not in self._frequencies:
                row = self._connection.execute("SELECT doc FROM vocabulary WHERE term = ?", (term,)).fetchone()
                if row:  # what occurs nowhere may do so any moment
                    self._frequencies[term] = row[0]
        return {term: self._frequencies[term] for term in asked if term in self._frequencies}

    def search(self, terms: Iterable[str], limit: int = 50) -> list[Chunk]:
        """The chunks with any of these terms (of ``terms.parts``), by BM25, the best first.

        Costs time for each chunk that has one of the terms: leave out those that `frequencies` finds everywhere.
        """
        query = " OR ".join(f'"{term}"' for term in dict.fromkeys(terms) if term and '"' not in term)
        if not query:
            return []
        sql = (
            "SELECT f.path, f.language, c.start_line, c.end_line, -w.score FROM"
            " (SELECT rowid, bm25(words) AS score FROM words WHERE words MATCH ? ORDER BY score LIMIT ?) w"
            " JOIN chunks c ON c.id = w.rowid JOIN files f ON f.id = c.file ORDER BY w.score"
        )
        return [Chunk(*row) for row in self._rows(sql, query, limit)]

    # --- asked by the server ------------------------------------------------------------------------------------

    def count_definitions(self) -> int:
        """How many definitions there are."""
        return self._count("definitions")

    def stamp_of(self, path: str) -> FileStamp | None:
        """How a file was when it was read; None if the index does not know it."""
        rows = self._rows("SELECT mtime_ns, size, digest, skipped FROM files WHERE path = ?", path)
        return FileStamp(*rows[0]) if rows else None

    def stamps(self, under: str = "") -> dict[str, FileStamp]:
        """How every file was when it was read; with *under*, that file alone, or those below that folder."""
        # A folder's paths lie between "folder/" and "folder0": 0 is the character after the slash.
        below = (f"{under}/", f"{under}0") if under else ("", "\U0010ffff")
        sql = "SELECT path, mtime_ns, size, digest, skipped FROM files WHERE path = ? OR (path >= ? AND path < ?)"
        return {path: FileStamp(*rest) for path, *rest in self._rows(sql, under, *below)}

    def count_files(self) -> int:
        """How many files are known, those included whose content was left out."""
        return self._count("files")

    def count_skipped(self) -> Counter[str]:
        """How many files' content was left out, by reason."""
        return Counter(dict(self._rows("SELECT skipped, count(*) FROM files WHERE skipped <> '' GROUP BY skipped")))

    # --- written by the indexer ---------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is written inside is in the file together, or not at all."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have ended it already
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def put(self, record: FileRecord) -> None:
        """Store a file in place of what was known of it."""
        self.remove(record.path)
        stamp, run = record.stamp, self._connection
        stem = PurePosixPath(record.path).name.lstrip(".").partition(".")[0].lower()
        file = run.execute(
            "INSERT INTO files (path, stem, language, mtime_ns, size, digest, skipped) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (record.path, stem, record.language, stamp.mtime_ns, stamp.size, stamp.digest, stamp.skipped),
        ).lastrowid
        run.executemany(
            "INSERT INTO definitions (file, name, kind, container, holder, start_line, body_line, end_line, signature,"
            " doc, bases, type) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(file, *_columns(definition)) for definition in record.definitions],
        )
        run.executemany(
            "INSERT INTO imports VALUES (?, ?, ?, ?)", [(file, i.module, i.name, i.alias) for i in record.imports]
        )
        # Numbered here: asking SQLite for each number takes as long as the insertion itself.
        newest = run.execute("SELECT max(id) FROM chunks").fetchone()[0] or 0
        numbered = list(enumerate(record.chunks, newest + 1))
        run.executemany(
            "INSERT INTO chunks VALUES (?, ?, ?, ?)", [(chunk, file, start, end) for chunk, (start, end, _) in numbered]
        )
        run.executemany("INSERT INTO words (rowid, terms) VALUES (?, ?)", [(n, terms) for n, (_, _, terms) in numbered])

    def touch(self, path: str, stamp: FileStamp) -> None:
        """Note that a file has another time but the same content."""
        self._connection.execute(
            "UPDATE files SET mtime_ns = ?, size = ? WHERE path = ?", (stamp.mtime_ns, stamp.size, path)
        )

    def remove(self, path: str) -> None:
        """Forget a file."""
        found = self._connection.execute("SELECT id FROM files WHERE path = ?", (path,)).fetchone()
        if not found:
            return
        self._connection.execute("DELETE FROM words WHERE rowid IN (SELECT id FROM chunks WHERE file = ?)", found)
        for table in ("chunks", "imports", "definitions"):
            self._connection.execute(f"DELETE FROM {table} WHERE file = ?", found)  # noqa: S608
        self._connection.execute("DELETE FROM files WHERE id = ?", found)

    def is_sound(self) -> bool:
        """Whether SQLite finds no damage.  Reads the whole file."""
        try:
            return bool(self._connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
        except sqlite3.OperationalError:  # busy, or no memory: that says nothing about the file
            raise
        except sqlite3.DatabaseError:
            return False

    def tidy(self) -> None:
        """Move what was written into the database itself, so that the log beside it does not stay large."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # ------------------------------------------------------------------------------------------------------------

    def _definitions(self, column: str, values: Iterable[str], limit: int) -> list[Definition]:
        asked = list(dict.fromkeys(values))[:_MAX_NAMES]
        marks = ", ".join("?" * len(asked))
        sql = f"{_DEFINITION} WHERE {column} IN ({marks}) ORDER BY d.file, d.start_line, d.id LIMIT ?"
        rows = self._connection.execute(sql, (*asked, limit))
        # Most have none, and loading costs as much as all the rest of a row.
        return [
            Definition(*(*row[:10], tuple(json.loads(row[10])) if row[10] != "[]" else (), row[11])) for row in rows
        ]

    def _rows(self, sql: str, *values: object) -> list[Any]:
        return self._connection.execute(sql, values).fetchall()

    def _count(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def _columns(definition: Definition) -> tuple[object, ...]:
    d = definition
    bases = json.dumps(d.bases, ensure_ascii=False) if d.bases else "[]"
    return (
        *(d.name, d.kind, d.container, d.container.rpartition(".")[2], d.start_line, d.body_line, d.end_line),
        *(d.signature, d.doc, bases, d.type),
    )
