"""From a file to what the index keeps of it: encodings, what is left out, chunks, masked secrets."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble.index import records
from fimble.index.crawl import Candidate
from fimble.index.database import Database, FileRecord, FileStamp
from fimble.index.source import Sources, decode

SOURCE = '''\
"""A shop."""
from lib.money import Price as P, total
import os.path as osp


class Basket(Base):
    """What somebody wants to buy.  More."""

    def add(self, item: P, count: int = 1) -> None:
        """Put it in."""
        self.items.append(item)


def größe(ä: str) -> int:
    return len(ä)
'''

MAX_BYTES = 1_000_000


def read(root: Path, name: str, data: bytes, known: FileStamp | None = None) -> FileRecord | FileStamp | str:
    (root / name).write_bytes(data)
    info = (root / name).stat()
    return records.read(root, Candidate(name, info.st_mtime_ns, info.st_size), MAX_BYTES, known)


def record(root: Path, name: str, data: bytes) -> FileRecord:
    found = read(root, name, data)
    assert isinstance(found, FileRecord)
    return found


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "utf-16-be"])
def test_every_encoding_gives_the_same_outline(tmp_path: Path, encoding: str) -> None:
    """Whatever the bytes, the lines and names are those of the text."""
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    kept = record(tmp_path, "shop.py", mark + SOURCE.encode(encoding))
    assert [(d.name, d.kind, d.container, d.start_line, d.end_line) for d in kept.definitions] == [
        ("Basket", "class", "", 5, 11),
        ("add", "method", "Basket", 8, 11),
        ("größe", "function", "", 13, 15),
    ]
    basket, add, _ = kept.definitions
    assert basket.doc == "What somebody wants to buy."
    assert basket.bases == ("Base",)
    assert add.signature == "def add(self, item: P, count: int = 1) -> None:"
    assert add.body_line == 9
    assert [(i.module, i.name, i.alias) for i in kept.imports] == [
        ("lib.money", "Price", "P"),
        ("lib.money", "total", "total"),
        ("os.path", "", "osp"),
    ]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings(tmp_path: Path, ending: str) -> None:
    """A line ends where editors end it."""
    kept = record(tmp_path, "shop.py", SOURCE.replace("\n", ending).encode())
    assert [(d.name, d.start_line) for d in kept.definitions] == [("Basket", 5), ("add", 8), ("größe", 13)]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.py", b"x = 1\0", records.BINARY),
        ("a.py", codecs.BOM_UTF16_LE + b"\x00\xd8", records.BINARY),
        ("a.js", b"var a=1;" * 10_000, records.GENERATED),
        ("a.js", (b"var a=1;" * 50 + b"\n") * 100, records.GENERATED),
        ("a.json", b'{"a": 1}\n' * 10_000, records.DATA),
        ("data", b"1 2 3\n" * 20_000, records.DATA),
    ],
)
def test_what_is_left_out(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    """Binary, generated and large data files are known, with a reason, and nothing of them is kept."""
    kept = record(tmp_path, name, data)
    assert kept.stamp.skipped == reason
    assert kept.stamp.digest
    assert (kept.definitions, kept.imports, kept.chunks) == ((), (), ())


def test_a_language_without_a_grammar_has_chunks(tmp_path: Path) -> None:
    """Lines of any text can be found by their words."""
    kept = record(tmp_path, "notes.txt", b"fooBar baz\n" * 100)
    assert kept.definitions == []
    assert kept.chunks[0][:2] == (0, 34)
    assert kept.chunks[0][2].startswith("foo bar foobar baz foo")


def test_the_same_content_is_not_kept_twice(tmp_path: Path) -> None:
    """A file that was only touched gives its new stamp and nothing else."""
    kept = record(tmp_path, "a.py", b"x = 1\n")
    os.utime(tmp_path / "a.py", ns=(1, 1))
    again = read(tmp_path, "a.py", b"x = 1\n", kept.stamp)
    assert isinstance(again, FileStamp)
    assert isinstance(read(tmp_path, "a.py", b"x = 2\n", kept.stamp), FileRecord)


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is gone, has become a link or a folder, or is closed to this user costs nothing but itself."""
    gone = Candidate("a.py", 1, 1)
    assert records.read(tmp_path, gone, MAX_BYTES, None) == records.VANISHED
    (tmp_path / "b.py").write_text("x = 1")
    (tmp_path / "a.py").symlink_to(tmp_path / "b.py")
    assert records.read(tmp_path, gone, MAX_BYTES, None) == records.UNREADABLE
    (tmp_path / "folder").mkdir()
    assert records.read(tmp_path, Candidate("folder", 1, 1), MAX_BYTES, None) == records.UNREADABLE
    os.mkfifo(tmp_path / "pipe")
    assert records.read(tmp_path, Candidate("pipe", 1, 1), MAX_BYTES, None) == records.UNREADABLE

    def refuse(*_: object) -> int:  # root may read everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert records.read(tmp_path, Candidate("b.py", 1, 1), MAX_BYTES, None) == records.UNREADABLE


def test_a_file_that_has_grown_is_not_read(tmp_path: Path) -> None:
    """20 MB that were 20 bytes when the walk saw them are left for the next walk, which knows their size."""
    (tmp_path / "a.py").write_text("x = 1\n" * 3_500_000)
    assert records.read(tmp_path, Candidate("a.py", 1, 20), MAX_BYTES, None) == records.VANISHED


@given(st.lists(st.integers(0, 400), max_size=40), st.integers(1, 400))
def test_chunks_are_all_lines_once(cuts: list[int], count: int) -> None:
    """Wherever definitions begin, the chunks follow each other, cover everything, and none is too long."""
    chunks = list(records._chunks(sorted({cut for cut in cuts if cut < count}), count))
    assert [line for start, end in chunks for line in range(start, end)] == list(range(count))
    assert all(0 < end - start <= 40 for start, end in chunks)


@given(st.binary())
def test_any_bytes_are_text_or_not(data: bytes) -> None:
    """Whatever a file holds, decoding it does not fail, and the text can be stored."""
    text = decode(data)
    assert text is None or text.encode("utf-8") is not None


def sources(root: Path, name: str, data: bytes) -> tuple[Sources, Database]:
    kept = record(root, name, data)
    database = Database.open(root / "index" / "a.db")
    with database.transaction():
        database.put(kept)
    return Sources(root, database, MAX_BYTES), database


def test_pieces_of_files_have_no_secrets(tmp_path: Path) -> None:
    """Lines of a file are given as they are, but for what is secret in them."""
    found, database = sources(tmp_path, "a.py", b'a = 1\r\npassword = "correct horse"\r\nb = 2\r\nc = 3')
    assert found.lines("a.py", 0, 3) == 'a = 1\r\npassword = "<secret>"\r\nb = 2\r\n'
    assert found.lines("a.py", 3, 99) == "c = 3"
    assert found.lines("a.py", 99, 100) == ""
    assert found.lines("unknown.py", 0, 1) is None
    database.close()


def test_a_file_that_changed_since_is_not_given(tmp_path: Path) -> None:
    """Line numbers of an older content are of no use; nor is a file that has become a link to another."""
    found, database = sources(tmp_path, "a.py", b"a = 1\n")
    assert found.lines("a.py", 0, 1) == "a = 1\n"
    (tmp_path / "a.py").write_text("a = 1\nb = 2\n")
    assert found.lines("a.py", 0, 1) is None
    (tmp_path / "b.py").write_text("a = 1\n")
    os.utime(tmp_path / "b.py", ns=(database.stamps()["a.py"].mtime_ns,) * 2)
    (tmp_path / "a.py").unlink()
    (tmp_path / "a.py").symlink_to(tmp_path / "b.py")
    assert found.lines("a.py", 0, 1) is None
    (tmp_path / "a.py").unlink()
    assert found.lines("a.py", 0, 1) is None
    database.close()
