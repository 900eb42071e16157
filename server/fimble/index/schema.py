"""The database's file: its tables, how it is opened, and when it is thrown away.

Write-ahead logging lets windows be answered while the index is written, and a process that is killed at any moment
leaves what its last transaction left.  Whatever cannot be opened, is damaged, or is of another version is
deleted: everything in it can be read again from the repository.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

from fimble import __version__, paths

#: Bumped when the tables change.
SCHEMA = 1

#: How long a reader or writer waits for the other one.  In WAL mode that is only while the file is made or repaired.
_TIMEOUT_S = 5.0

#: Twice SQLite's own: writing the first index takes an eighth less, as fewer pages go through the log.
_PAGE_BYTES = 8192

#: SQLite >= 3.43 can delete from a full-text table that keeps no copy of what it indexes (sqlite.org/fts5.html,
#: "Contentless-Delete Tables"); an older one has to keep it.
_CONTENTLESS = "content='', contentless_delete=1, " if sqlite3.sqlite_version_info >= (3, 43) else ""

_TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE files (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, stem TEXT NOT NULL, language TEXT NOT NULL,
    mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL, digest BLOB NOT NULL, skipped TEXT NOT NULL
);
CREATE INDEX files_by_stem ON files (stem);
CREATE TABLE definitions (
    id INTEGER PRIMARY KEY, file INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
    container TEXT NOT NULL, holder TEXT NOT NULL,
    start_line INTEGER NOT NULL, body_line INTEGER NOT NULL, end_line INTEGER NOT NULL,
    signature TEXT NOT NULL, doc TEXT NOT NULL, bases TEXT NOT NULL, type TEXT NOT NULL
);
CREATE INDEX definitions_by_name ON definitions (name);
CREATE INDEX definitions_by_holder ON definitions (holder) WHERE holder <> '';
CREATE INDEX definitions_by_file ON definitions (file);
CREATE TABLE imports (file INTEGER NOT NULL, module TEXT NOT NULL, name TEXT NOT NULL, alias TEXT NOT NULL);
CREATE INDEX imports_by_file ON imports (file);
CREATE INDEX imports_by_name ON imports (name) WHERE name <> '';
CREATE INDEX imports_by_module ON imports (module);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, file INTEGER NOT NULL, start_line INTEGER NOT NULL, end_line INTEGER NOT NULL
);
CREATE INDEX chunks_by_file ON chunks (file);
CREATE VIRTUAL TABLE words USING fts5 (terms, {_CONTENTLESS}tokenize='unicode61 remove_diacritics 0');
CREATE VIRTUAL TABLE vocabulary USING fts5vocab (words, row);
"""

_log = logging.getLogger("fimble.index")


def open_or_make(path: Path) -> sqlite3.Connection:
    """A connection to the database at *path*, which is made if there is none that can be used.

    Only one process at a time may call this: the one that holds the index's lock.  Raises OSError or sqlite3.Error
    if it can neither be opened nor made: the folder is read-only, the disk full.
    """
    paths.make_private_dir(path.parent)
    if path.exists():
        problem: str | None = ""
        try:
            connection = connect(path)
            if (problem := _why_not(connection)) is None:
                return connection
            connection.close()
        except sqlite3.Error as error:
            problem = f"is damaged ({error})"
        if problem:
            _log.warning("the index %s %s; it is built anew", path.name, problem)
        remove(path)
    # Made here, because SQLite would let others read it; its -wal and -shm files take over the mode.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = connect(path)
    named = f"INSERT INTO meta VALUES ('fimble', '{__version__}');"  # noqa: S608
    connection.executescript(f"BEGIN;{_TABLES}{named}PRAGMA user_version = {SCHEMA};COMMIT;")
    return connection


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a database that is there.  It may be used from any one thread at a time.

    Raises sqlite3.Error.
    """
    # Never made by this: a reader that comes while the file is thrown away must not leave one that all can read.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # heeded while the file is empty, before it has a log
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -16000")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def remove(path: Path) -> None:
    """Delete a database with what belongs to it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _why_not(connection: sqlite3.Connection) -> str | None:
    """Why the database cannot be used, for the log; None if it can, empty if its making was not finished."""
    version = connection.execute("PRAGMA user_version").fetchone()
    if version == (0,):
        return ""
    if version != (SCHEMA,):
        return "is of another version"
    made_by = connection.execute("SELECT value FROM meta WHERE key = 'fimble'").fetchone()
    for table in ("files", "definitions", "imports", "chunks", "words"):
        connection.execute(f"SELECT * FROM {table} ORDER BY rowid DESC LIMIT 1").fetchone()  # noqa: S608
    return None if made_by == (__version__,) else "is of another version"
