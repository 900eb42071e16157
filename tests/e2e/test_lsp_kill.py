"""kill -9 of ``fimble lsp`` itself, in the middle of a session: the next one goes on with what was written."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from contextlib import closing

import pytest
from window import NewWindow, Window, source_of

from fimble import paths

pytestmark = pytest.mark.usefixtures("all_likely")

SETTINGS = {"suggest": {"echo": False}}
SOURCE = "import os\n\n\ndef main(numbers):\n    "


async def type_for_ever(window: Window, uri: str) -> None:
    """A user who writes line after line, each other than all before."""
    offset, number = len(window.texts[uri]), 0
    while True:
        number += 1
        for key in f"\n    value_{number} = ":
            offset = window.type(uri, offset, key)
            await window.ask(uri, offset)


async def test_a_session_that_is_killed_leaves_its_suggestions(new_window: NewWindow) -> None:
    """Three sessions are killed at random moments while they write to the cache; each finds what the last one kept."""
    chance = random.Random(5)
    kept = ""
    for number in range(4):
        window = await new_window(settings=SETTINGS)
        uri = window.open("a.py", SOURCE + "for index in range(")
        (item,) = await window.ask(uri, len(window.texts[uri]))
        assert item.insert_text == (kept or item.insert_text)
        assert source_of(item) == "model"
        stats = await window.stats()
        assert ("engine_requests" in stats, stats.get("disk_hits", 0)) == (number == 0, int(number > 0))
        kept = str(item.insert_text)
        typing = asyncio.ensure_future(type_for_ever(window, window.open(f"{number}.py", SOURCE)))
        await asyncio.sleep(1 + chance.random())
        window.process.kill()
        typing.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await typing
        await window.process.wait()
    with closing(sqlite3.connect(paths.cache_dir() / "suggestions" / "cache.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT COUNT(*) FROM Cache").fetchone()[0] > 4
