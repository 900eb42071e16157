"""kill -9 at any moment: the cache opens again and serves what was written."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import dying_writers
import pytest

from fimble.store import Store

#: 2 writers die in each round, in each folder.
FOLDERS, ROUNDS = 10, 10


def let_writers_die(folder: Path, rounds: int, seed: int) -> dict[str, str]:
    """Let 2 * *rounds* writers be killed; returns what they had been told was stored."""
    command = [sys.executable, str(Path(dying_writers.__file__)), str(folder), str(rounds), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    stored: dict[str, str] = json.loads(done.stdout)
    return stored


@pytest.mark.parametrize("seed", range(FOLDERS))
async def test_writers_that_are_killed_leave_a_cache_that_serves(tmp_path: Path, seed: int) -> None:
    """After two windows at a time were killed while they opened the cache and wrote, all that was stored is there.

    Each folder begins empty, so that writers also die while the database is made.
    """
    folder = tmp_path / "suggestions"
    stored = let_writers_die(folder, ROUNDS, seed)
    store = Store(folder, max_mb=64)
    try:
        assert {key: await store.get(key) for key in stored} == stored
        store.put("after", "it works")
        assert await store.get("after") == "it works"
        assert store.problem == ""
    finally:
        store.close()
    with closing(sqlite3.connect(folder / "cache.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_the_writers_do_write(tmp_path: Path) -> None:
    """The test above is about something: most writers get so far as to store values before they die."""
    assert len(let_writers_die(tmp_path / "suggestions", 10, 99)) > 10
