"""What follows an acceptance is found before it is asked: Tab, Tab, Tab."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from lsprotocol import types
from window import NewWindow, Window, source_of

from fimble import paths
from fimble.engine.client import ask_props
from fimble.engine.launch import running_engines
from fimble.engine.wire import Counters

BODY = (
    "    connection = open_database_connection(settings.database_url, timeout=30)\n"
    "    cursor = connection.open_buffered_cursor(prefetch_rows=100, timeout=30)\n"
    "    statement = prepare_named_statement(cursor, settings.statement_name)\n"
    "    return execute_and_collect_rows(statement, settings.page_size)\n"
)
SOURCE = f"import os\n\n\ndef first(settings):\n{BODY}\n\ndef second(settings):\n    \n"
CURSOR = len(SOURCE) - 1
START = "connection = open_database_connec"

#: A machine that is busy with other things prepares nothing; the one that runs the tests may be.
FULL = {"engine": {"power": "full"}}
SLOW = FULL | {"suggest": {"deadline_ms": 20000}}


async def first_item(window: Window, uri: str, offset: int) -> types.InlineCompletionItem:
    (item,) = await window.ask(uri, offset)
    return item


async def counters() -> Counters:
    """The counters of the one engine that runs."""
    (found,) = running_engines(paths.runtime_dir())
    return (await ask_props(found)).counters


async def prefetched(window: Window, count: int) -> dict[str, int]:
    """Wait until so many following suggestions have been found; returns the counters."""
    async with asyncio.timeout(20):
        while (stats := await window.stats()).get("prefetched", 0) < count:
            await asyncio.sleep(0.02)
    return stats


@pytest.mark.parametrize("eagerness", ["balanced", "eager"])
async def test_three_acceptances_in_a_row_wait_for_nothing(new_window: NewWindow, eagerness: str) -> None:
    """The second and the third suggestion are there when the one before is accepted: from memory, nobody is asked."""
    window = await new_window(settings=FULL | {"suggest": {"eagerness": eagerness}})
    uri = window.open("a.py", SOURCE)
    offset = window.type(uri, CURSOR, START)
    item = await first_item(window, uri, offset)
    assert source_of(item) == "echo"
    before = await prefetched(window, 3)
    assert before["shown"] == 1, "what is found ahead is not shown"
    for _ in range(3):
        offset = await window.accept(uri, offset, item)
        item = await first_item(window, uri, offset)
        assert source_of(item) == "memory"
    after = await window.stats()
    assert after.get("engine_requests") == before.get("engine_requests")
    # All that was accepted is the body of the first function, line by line.
    await window.accept(uri, offset, item)
    assert window.texts[uri].endswith(BODY)


async def test_enter_at_the_end_of_a_line_is_as_good_as_tab(new_window: NewWindow) -> None:
    """Who accepts a line and goes to the next by hand finds its text there, too."""
    window = await new_window(settings=FULL)
    uri = window.open("a.py", SOURCE)
    offset = window.type(uri, CURSOR, START)
    item = await first_item(window, uri, offset)
    await prefetched(window, 1)
    offset = await window.accept(uri, offset, item)
    offset = window.type(uri, offset, "\n    ")
    item = await first_item(window, uri, offset)
    assert source_of(item) == "memory"
    assert item.insert_text == BODY.split("\n")[1].strip()


async def test_typing_something_else_ends_the_search(new_window: NewWindow, slow_model: Path) -> None:
    """The engine stops computing what follows as soon as the user types something else."""
    window = await new_window("--model", str(slow_model), settings=SLOW)
    uri = window.open("a.py", SOURCE)
    await window.ask(uri, 0)
    offset = window.type(uri, CURSOR, START)
    await first_item(window, uri, offset)
    async with asyncio.timeout(20):
        while "prefetch_requests" not in await window.stats():
            await asyncio.sleep(0.02)
    before = (await counters()).cancelled
    window.type(uri, offset, "7")
    async with asyncio.timeout(20):
        while (await counters()).cancelled == before:
            await asyncio.sleep(0.01)
    assert "prefetched" not in await window.stats()


@pytest.mark.usefixtures("all_likely")
async def test_typing_on_does_not_end_the_search(new_window: NewWindow, slow_model: Path) -> None:
    """While what is typed agrees with the suggestion, the search for what follows it goes on and is not begun anew."""
    window = await new_window("--model", str(slow_model), settings=SLOW)
    uri = window.open("a.py", SOURCE)
    await window.ask(uri, 0)
    offset = window.type(uri, CURSOR, START)
    item = await first_item(window, uri, offset)
    async with asyncio.timeout(20):
        while "prefetch_requests" not in await window.stats():
            await asyncio.sleep(0.02)
    for char in str(item.insert_text)[:4]:
        offset = window.type(uri, offset, char)
        await first_item(window, uri, offset)
    # One question for the end of the line, one for the line below.
    assert (await prefetched(window, 1))["prefetch_requests"] <= 2


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
async def test_line_endings_make_no_difference(new_window: NewWindow, ending: str) -> None:
    """A file with CRLF line ends gets its next lines, too: in its text they have its line ends, in the answer LF."""
    window = await new_window(settings=FULL)
    uri = window.open("a.py", SOURCE.replace("\n", ending))
    offset = window.type(uri, len(window.texts[uri]) - len(ending), START)
    item = await first_item(window, uri, offset)
    await prefetched(window, 1)
    offset = window.type(uri, offset, str(item.insert_text).replace("\n", ending))
    item = await first_item(window, uri, offset)
    assert (source_of(item), item.insert_text) == ("memory", "\n" + BODY.split("\n")[1])


async def test_nothing_is_computed_ahead_while_power_is_saved(new_window: NewWindow) -> None:
    """On battery, or told to save, the engine declines what nobody has asked for."""
    window = await new_window(settings={"engine": {"power": "saving"}, "suggest": {"echo": False}})
    uri = window.open("a.py", SOURCE)
    offset = CURSOR
    for char in "for index in range(":
        offset = window.type(uri, offset, char)
        shown = await window.ask(uri, offset)
    assert shown
    async with asyncio.timeout(20):
        while "prefetch_requests" not in await window.stats():
            await asyncio.sleep(0.02)
    stats = await window.stats()
    assert (await counters()).requests == stats["engine_requests"] + stats.get("warming_requests", 0)
    assert "prefetched" not in stats
