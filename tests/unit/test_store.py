"""Suggestions on disk: remembered, private, and never a reason to fail."""

from __future__ import annotations

import asyncio
import pickle
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fimble.store import Store, TextDisk

MODE_RAW, MODE_BINARY, MODE_TEXT, MODE_PICKLE = 1, 2, 3, 4

Open = Callable[[Path], Store]


@pytest.fixture
def open_store() -> Iterator[Open]:
    """Opens Stores and closes those that a test left open."""
    opened: list[Store] = []

    def make(folder: Path) -> Store:
        opened.append(Store(folder, max_mb=8))
        return opened[-1]

    yield make
    for store in opened[::-1]:
        if not store._thread._shutdown:
            store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "suggestions"


def database(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "cache.db", isolation_level=None)


def modes(folder: Path) -> dict[str, int]:
    """The permissions of the folder and of everything in it."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}


def fill(open_store: Open, folder: Path, **values: str) -> None:
    """Let a Store write *values* and close it, so that the database is there to be tampered with."""
    store = open_store(folder)
    for key, value in values.items():
        store.put(key, value)
    store.close()


def overwrite(folder: Path, change: Callable[[bytes], bytes]) -> None:
    """Damage the database's file."""
    path = folder / "cache.db"
    path.write_bytes(change(path.read_bytes()))


def plant(folder: Path, key: object, mode: int, filename: str | None, value: object, raw: int = 1) -> None:
    """Write a row as somebody with access to the file could."""
    with closing(database(folder)) as connection:
        connection.execute("DELETE FROM Cache WHERE key = ?", (key,))
        connection.execute(
            "INSERT INTO Cache(key, raw, store_time, access_time, size, mode, filename, value)"
            " VALUES (?, ?, 0, 0, 1, ?, ?, ?)",
            (key, raw, mode, filename, value),
        )


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self.target,))


async def test_a_restart_forgets_nothing(open_store: Open, folder: Path) -> None:
    """What one window stored, the next one reads: any text, to the last character."""
    values = {"plain": "return x", "odd": "a\0b\r\n\u2028😀 ' \"", "empty": ""}
    fill(open_store, folder, **values)
    again = open_store(folder)
    assert {key: await again.get(key) for key in values} == values
    assert await again.get("never stored") is None


async def test_the_last_value_wins(open_store: Open, folder: Path) -> None:
    """A key that is stored again has its new value."""
    store = open_store(folder)
    store.put("k", "old")
    store.put("k", "new")
    assert await store.get("k") == "new"


async def test_nobody_else_can_read_it(open_store: Open, folder: Path) -> None:
    """Cached source code is readable by its owner alone: folder 0700, every file 0600, also after writing."""
    store = open_store(folder)
    store.put("k", "v")
    assert await store.get("k") == "v"
    found = modes(folder)
    assert found.pop(folder.name) == 0o700
    assert "cache.db" in found
    assert set(found.values()) == {0o600}


async def test_a_planted_pickle_is_never_executed(open_store: Open, folder: Path, tmp_path: Path) -> None:
    """A row that says it is a pickle reads as a miss, and the code in it does not run (CVE-2025-69872)."""
    fill(open_store, folder, k="v")
    target = tmp_path / "executed"
    payload = pickle.dumps(Bomb(target))
    pickle.loads(payload)
    assert target.exists(), "the bomb works"
    target.unlink()
    plant(folder, "k", MODE_PICKLE, None, payload)
    plant(folder, payload, MODE_PICKLE, None, payload, raw=0)
    store = open_store(folder)
    assert await store.get("k") is None
    store.put("k", "repaired")
    assert await store.get("k") == "repaired"
    assert not target.exists()


async def test_a_planted_pickle_file_is_never_executed(open_store: Open, folder: Path, tmp_path: Path) -> None:
    """A pickle in a file beside the database is not opened either."""
    fill(open_store, folder, k="v")
    target = tmp_path / "executed"
    (folder / "x.val").write_bytes(pickle.dumps(Bomb(target)))
    plant(folder, "k", MODE_PICKLE, "x.val", None)
    assert await open_store(folder).get("k") is None
    assert not target.exists()


@pytest.mark.parametrize("mode", [MODE_RAW, MODE_BINARY, MODE_TEXT, MODE_PICKLE, 0, 99])
async def test_a_planted_file_name_is_neither_read_nor_deleted(
    open_store: Open, folder: Path, tmp_path: Path, mode: int
) -> None:
    """A row that names a file gives nothing away, and replacing the row does not delete that file."""
    fill(open_store, folder, k="v", passwd="v")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    plant(folder, "k", mode, str(secret), None)
    plant(folder, "passwd", mode, "/etc/passwd", None)
    store = open_store(folder)
    assert await store.get("k") is None
    assert await store.get("passwd") is None
    store.put("k", "mine")
    assert await store.get("k") == "mine"
    assert secret.read_text() == "secret"


@pytest.mark.parametrize(
    ("mode", "value"), [(MODE_RAW, b"bytes"), (MODE_RAW, 7), (MODE_RAW, 1.5), (MODE_RAW, None), (MODE_TEXT, "text")]
)
async def test_a_row_that_is_not_our_text_is_a_miss(open_store: Open, folder: Path, mode: int, value: object) -> None:
    """Only text that was stored as text is ever given out."""
    fill(open_store, folder, k="v")
    plant(folder, "k", mode, None, value)
    assert await open_store(folder).get("k") is None


@pytest.mark.parametrize(
    "key", ["directory", "_disk", "get", "set", "_sql", "disk_x", "eviction_policy", "size", "sqlite_a;b"]
)
async def test_planted_settings_are_a_miss(open_store: Open, folder: Path, key: str) -> None:
    """diskcache makes attributes of the rows of its Settings table; whatever they break is a cache that misses."""
    fill(open_store, folder, k="old")
    with closing(database(folder)) as connection:
        connection.execute("INSERT OR REPLACE INTO Settings VALUES (?, 'planted')", (key,))
    store = open_store(folder)
    store.put("k", "v")
    assert await store.get("k") in (None, "old", "v")


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\0" + bytes(4000)])
async def test_a_broken_database_never_fails(open_store: Open, folder: Path, content: bytes) -> None:
    """A database that is no database is a cache that misses, or one that starts anew."""
    fill(open_store, folder, k="old")
    overwrite(folder, lambda _whole: content)
    store = open_store(folder)
    store.put("k", "v")
    assert await store.get("k") == (None if store.problem else "v")


async def test_a_truncated_database_is_a_miss(open_store: Open, folder: Path) -> None:
    """A database that lost its end, as after a crash of the machine, is a cache that misses."""
    fill(open_store, folder, **{f"key{n}": "value" * 500 for n in range(50)})
    overwrite(folder, lambda whole: whole[: len(whole) // 3])
    store = open_store(folder)
    store.put("k", "v")
    assert {await store.get(f"key{n}") for n in range(50)} <= {None, "value" * 500}
    assert await store.get("unknown") is None


@pytest.fixture(params=["file", "link", "database is a folder"])
def unusable(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Path:
    """A folder in which no database can be opened.  (The tests may run as root, whom no permission stops.)"""
    if request.param == "file":
        folder.write_text("in the way")
    elif request.param == "link":
        folder.symlink_to(tmp_path)
    else:
        (folder / "cache.db").mkdir(parents=True)
    return folder


async def test_a_folder_that_cannot_be_used_is_a_problem_with_a_name(open_store: Open, unusable: Path) -> None:
    """Where nothing can be kept, everything misses, and the reason names the folder."""
    store = open_store(unusable)
    store.put("k", "v")
    assert await store.get("k") is None
    assert str(unusable) in store.problem


async def test_a_locked_database_is_a_miss(open_store: Open, folder: Path) -> None:
    """While another program holds the database, reads miss and writes are dropped; then all is well again."""
    store = open_store(folder)
    store.put("k", "v")
    assert await store.get("k") == "v"
    with closing(database(folder)) as other:
        other.execute("BEGIN EXCLUSIVE")
        store.put("dropped", "x")
        assert await asyncio.wait_for(store.get("dropped"), 30) is None
        other.execute("ROLLBACK")
    assert await store.get("k") == "v"


async def test_a_database_that_is_locked_from_the_start_is_a_miss(open_store: Open, folder: Path) -> None:
    """A suggestion does not wait for a database that another program holds while it is opened."""
    fill(open_store, folder, k="v")
    with closing(database(folder)) as other:
        other.execute("BEGIN EXCLUSIVE")
        store = open_store(folder)
        answer = asyncio.ensure_future(store.get("k"))
        # A bound against hanging, not a speed: SQLite's timeout is a quarter of a second, diskcache's retry a minute.
        done, _ = await asyncio.wait({answer}, timeout=5)
        other.execute("ROLLBACK")
    assert done, "the read waits for the lock"
    assert await answer is None


async def test_text_that_cannot_be_stored_is_dropped(open_store: Open, folder: Path) -> None:
    """Half an emoji, which SQLite takes in no encoding, costs that entry and nothing else."""
    store = open_store(folder)
    store.put("half", "\ud83d")
    store.put("whole", "😀")
    assert (await store.get("half"), await store.get("whole")) == (None, "😀")


async def test_two_windows_share_one_folder(open_store: Open, folder: Path) -> None:
    """What one open Store writes, another one reads."""
    first, second = open_store(folder), open_store(folder)
    first.put("a", "1")
    assert await first.get("a") == "1"
    assert await second.get("a") == "1"
    second.put("a", "2")
    assert await second.get("a") == "2"
    assert await first.get("a") == "2"


async def test_a_closed_store_takes_nothing_and_does_not_fail(open_store: Open, folder: Path) -> None:
    """A suggestion that arrives while a window closes is not remembered, and nothing is raised."""
    store = open_store(folder)
    store.close()
    store.put("k", "v")
    assert await open_store(folder).get("k") is None


def test_the_disk_takes_text_only(tmp_path: Path) -> None:
    """Nothing but text goes in, so that nothing but text need come out."""
    disk = TextDisk(str(tmp_path))
    wrong: tuple[Any, ...] = (b"x", 1, None, object())
    for value in wrong:
        with pytest.raises(TypeError):
            disk.put(value)
        with pytest.raises(TypeError):
            disk.store(value, read=False)
    with pytest.raises(TypeError):
        disk.store("text", read=True)
    with pytest.raises(ValueError, match="not text"):
        disk.get("k", raw=False)
