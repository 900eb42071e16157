"""The index's database: what is asked of it, and that it serves whatever happens to its process or its file."""

from __future__ import annotations

import json
import logging
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import dying_indexers
import pytest
from dying_indexers import record

from fimble.index import schema
from fimble.index.database import Database, Definition, FileRecord, FileStamp, Import
from fimble.index.terms import parts, terms

FOLDERS, ROUNDS = 4, 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index" / "a.db"


def define(name: str, container: str = "", path: str = "lib/user.py") -> Definition:
    return Definition(path, "python", name, "class", container, 1, 2, 5, f"class {name}:", "A doc.", ("Base", "B"), "")


def put(database: Database, *records: FileRecord) -> None:
    with database.transaction():
        for one in records:
            database.put(one)


def test_definitions_are_found_by_name_and_by_holder(path: Path) -> None:
    """What was stored comes back as it was; members are found by the last name of what holds them."""
    with closing(Database.open(path)) as database:
        mine, inner = define("User"), define("save", "Outer.User")
        put(database, FileRecord("lib/user.py", "python", FileStamp(1, 2), [mine, inner]))
        assert database.definitions_named(["User", "nobody"]) == [mine]
        assert database.members_of(["User"]) == [inner]
        assert database.members_of(["Outer"]) == database.members_of([""]) == database.members_of([]) == []
        assert database.definitions_in("lib/user.py") == [mine, inner]
        assert database.count_definitions() == 2


def test_imports_are_found_from_both_ends(path: Path) -> None:
    """Imports by file, by what is imported and by module."""
    with closing(Database.open(path)) as database:
        one, whole = Import("a.py", "lib.user", "User", "U"), Import("a.py", "os", "", "")
        put(database, FileRecord("a.py", "python", FileStamp(1, 2), imports=[one, whole]))
        assert database.imports_of("a.py") == [one, whole]
        assert database.importers_of("User") == database.importers_of_module("lib.user") == [one]


def test_files_are_found_by_their_names(path: Path) -> None:
    """Stems know no case and no suffixes; a file whose content was left out is not found."""
    with closing(Database.open(path)) as database:
        skipped = FileStamp(1, 2, b"", "binary")
        put(
            database,
            *(FileRecord(name, "x", FileStamp(1, 2)) for name in ("a/User.test.ts", "b/user.py", "b/users.py")),
        )
        put(database, FileRecord("c/user.bin", "plaintext", skipped))
        assert database.files_named("user") == ["a/User.test.ts", "b/user.py"]
        assert database.has_file("b/user.py")
        assert not database.has_file("c/user.bin")
        assert database.count_skipped() == {"binary": 1}
        assert set(database.stamps("b")) == {"b/user.py", "b/users.py"}
        assert set(database.stamps("b/user.py")) == {"b/user.py"}
        assert database.stamps()["c/user.bin"] == skipped


def test_search_ranks_by_rare_words(path: Path) -> None:
    """A chunk with the rarer of two words comes first, whatever the spelling of its identifiers."""
    with closing(Database.open(path)) as database:
        texts = ["common = 1", "commonThing = serverPort", "common + HTTP_SERVER", "x = common"]
        chunks = [(line, line + 1, terms(text)) for line, text in enumerate(texts)]
        put(database, FileRecord("a.py", "python", FileStamp(1, 2), chunks=chunks))
        assert [chunk.start_line for chunk in database.search(terms("common server_port").split())][:2] == [1, 2]
        assert database.frequencies(["common", "server", "nowhere"]) == {"common": 4, "server": 2}
        assert database.search(['"', "", "AND", "nowhere"]) == []
        assert [chunk.end_line for chunk in database.chunks_of("a.py")] == [1, 2, 3, 4]


def test_a_file_that_is_forgotten_leaves_nothing(path: Path) -> None:
    """After a removal no table knows the file, its words included; others are as they were."""
    with closing(Database.open(path)) as database:
        put(database, record("a.py", 7), record("b.py", 8))
        with database.transaction():
            database.remove("a.py")
        assert [database.definitions_in("a.py"), database.imports_of("a.py"), database.chunks_of("a.py")] == [[]] * 3
        assert database.search(["name7"]) == []
        assert database.search(["name8"])
        assert database.frequencies(["name7"]) == {}


@pytest.mark.parametrize("text", ["\0", "é" * 5000, "'; DROP TABLE files; --", "a\u2028b", "😀"])
def test_any_text_comes_back(path: Path, text: str) -> None:
    """Names are data, whatever is in them."""
    with closing(Database.open(path)) as database:
        put(database, FileRecord(text, "python", FileStamp(1, 2), [define(text, text, path=text)]))
        assert database.definitions_named([text]) == [define(text, text, path=text)]
        assert database.has_file(text)


@pytest.mark.parametrize(
    ("identifier", "found"),
    [
        ("HTTPServer_port2", "http server port2 httpserverport2"),
        ("serverPort", "server port serverport"),
        ("__init__", "init"),
        ("MAX_SIZE", "max size maxsize"),
        ("x", "x"),
        ("_", ""),
        ("straßenName", "straßen name straßenname"),
        ("a" * 81, ""),
    ],
)
def test_parts_of_identifiers(identifier: str, found: str) -> None:
    """Camel case and snake case come apart, in lower case, with the whole at the end."""
    assert parts(identifier) == found


@pytest.mark.parametrize("seed", range(FOLDERS))
def test_processes_that_are_killed_leave_an_index_that_serves(path: Path, seed: int) -> None:
    """After kill -9 at random moments the database opens as it is, and each file in it is whole."""
    command = [sys.executable, str(Path(dying_indexers.__file__)), str(path), str(ROUNDS), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    stored: dict[str, int] = json.loads(done.stdout)
    assert stored
    assert "built anew" not in done.stderr
    with closing(Database.open(path)) as database:
        assert database.is_sound()
        stamps = database.stamps()
        assert stored.keys() <= stamps.keys()
        for file, stamp in stamps.items():
            expected = record(file, stamp.mtime_ns)
            assert database.definitions_in(file) == expected.definitions
            assert len(database.chunks_of(file)) == len(expected.chunks)
        put(database, record("after.py", 1))
        assert database.search(["name1"])
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "no database":
        content[:] = b"this is no database" * 1000
    elif how == "cut off":
        del content[len(content) // 2 :]
    elif how == "head":
        content[100:4096] = bytes(3996)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("how", ["no database", "cut off", "head"])
def test_a_damaged_file_is_thrown_away(path: Path, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """A file that SQLite cannot use is replaced by an empty index that works, and that is said once."""
    with closing(Database.open(path)) as database:
        put(database, *(record(f"{n}.py", n) for n in range(60)))
        database.tidy()
    damage(path, how)
    with caplog.at_level(logging.WARNING), closing(Database.open(path)) as database:
        assert database.stamps() == {}
        put(database, record("a.py", 1))
        assert database.search(["name1"])
        assert database.is_sound()
    assert len(caplog.records) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_damage_inside_is_found_by_the_check(path: Path) -> None:
    """A page in the middle that is overwritten opens, but does not pass as sound."""
    with closing(Database.open(path)) as database:
        put(database, *(record(f"{n}.py", n) for n in range(60)))
        database.tidy()
    content = bytearray(path.read_bytes())
    for page in range(12, len(content) // 4096, 3):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(bytes(content))
    with closing(Database.open(path, make=False)) as database:
        assert not database.is_sound()


@pytest.mark.parametrize("change", ["PRAGMA user_version = 999", "UPDATE meta SET value = '0.0.0'"])
def test_another_versions_file_is_thrown_away(path: Path, change: str) -> None:
    """What another Fimble wrote is not read."""
    with closing(Database.open(path)) as database:
        put(database, record("a.py", 1))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(change)
    with closing(Database.open(path)) as database:
        assert database.stamps() == {}


def test_readers_are_served_while_the_index_is_written(path: Path) -> None:
    """A reader waits for no writer, and sees what was committed."""
    with closing(Database.open(path)) as writer, closing(Database.open(path, make=False)) as reader:
        put(writer, record("a.py", 1))
        with writer.transaction():
            writer.put(record("b.py", 2))
            assert set(reader.stamps()) == {"a.py"}
        assert set(reader.stamps()) == {"a.py", "b.py"}


def test_a_transaction_that_fails_leaves_nothing(path: Path) -> None:
    """An error inside takes back what was written before it."""
    with closing(Database.open(path)) as database:
        unfit = FileRecord("a.py", "python", FileStamp(1, 2), chunks=[(1, 2, "\ud800")])
        with pytest.raises(UnicodeEncodeError), database.transaction():
            database.put(unfit)
        assert database.stamps() == {}
        put(database, record("b.py", 1))


def test_a_reader_makes_no_file(path: Path) -> None:
    """Opened to be read, a database that is not there is an error, not an empty file."""
    path.parent.mkdir()
    with pytest.raises(sqlite3.OperationalError):
        schema.connect(path)
    assert not path.exists()
