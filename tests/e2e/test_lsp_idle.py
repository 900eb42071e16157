"""What a window does while its user pauses: the next key's prompt is evaluated before it is needed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from window import NewWindow, Window

from fimble import paths
from fimble.engine.client import ask_props
from fimble.engine.launch import running_engines
from fimble.engine.wire import Counters

NO_ECHO = {"suggest": {"echo": False}, "cache": {"enabled": False}}

#: Two places with enough between them that a prompt for the one does not serve the other.
HEAD = "".join(f"def first_{n}(value):\n    return value + {n}\n\n\n" for n in range(8))
TAIL = "\n\n" + "".join(f"def last_{n}(value):\n    return value - {n}\n\n\n" for n in range(8))
MIDDLE = len(HEAD)


async def counters() -> Counters:
    """Of the one engine that runs."""
    (found,) = running_engines(paths.runtime_dir())
    return (await ask_props(found)).counters


async def until_quiet() -> Counters:
    """Wait until the engine has computed something, and then nothing more for a moment."""
    before = await counters()
    for _ in range(200):
        await asyncio.sleep(0.05)
        after = await counters()
        if after.prompt_tokens_evaluated > before.prompt_tokens_evaluated:
            break
    else:
        pytest.fail("nothing was evaluated in ten seconds")
    while True:
        await asyncio.sleep(0.3)
        now = await counters()
        if now.prompt_tokens_evaluated == after.prompt_tokens_evaluated:
            return now
        after = now


async def evaluated_by_a_key(window: Window, uri: str, offset: int, key: str) -> int:
    """Type *key* at *offset*, ask as editors do, and return how many prompt tokens that cost on the user's path."""
    before = await counters()
    offset = window.type(uri, offset, key)
    await window.ask(uri, offset)
    return (await counters()).prompt_tokens_evaluated - before.prompt_tokens_evaluated


async def opened(new_window: NewWindow) -> tuple[Window, str]:
    """A window whose engine is up and whose user has been asked about the end of a file."""
    window = await new_window(settings=NO_ECHO)
    uri = window.open("a.py", HEAD + TAIL)
    await window.ask(uri, len(HEAD + TAIL))
    return window, uri


async def test_a_key_at_an_unknown_place_costs_its_prompt(new_window: NewWindow) -> None:
    """Without a pause or a word from the editor the first key elsewhere pays: the other tests measure against this."""
    window, uri = await opened(new_window)
    assert await evaluated_by_a_key(window, uri, MIDDLE, "x") > 100


async def test_a_pause_after_an_edit_pays_for_the_next_key(new_window: NewWindow) -> None:
    """A paste is not asked about; while the user looks at it, its prompt is evaluated."""
    window, uri = await opened(new_window)
    offset = window.type(uri, MIDDLE, "def pasted(value):\n    ")
    await until_quiet()
    assert await evaluated_by_a_key(window, uri, offset, "r") <= 2
    assert (await window.stats())["warming_requests"] == 1


async def test_a_cursor_that_moves_pays_for_the_next_key(new_window: NewWindow) -> None:
    """An editor that says where the cursor went gets the first key there as cheaply as the others."""
    window, uri = await opened(new_window)
    window.move_cursor(uri, MIDDLE)
    await until_quiet()
    assert await evaluated_by_a_key(window, uri, MIDDLE, "x") <= 2


async def test_going_back_costs_nothing(new_window: NewWindow) -> None:
    """What was prepared elsewhere did not push out what is known of the place before."""
    window, uri = await opened(new_window)
    end = len(HEAD + TAIL)
    await evaluated_by_a_key(window, uri, end, "y")
    window.move_cursor(uri, MIDDLE)
    await until_quiet()
    assert await evaluated_by_a_key(window, uri, end + 1, "z") <= 2


async def test_returning_to_a_file_costs_its_changed_tail(new_window: NewWindow) -> None:
    """Meanwhile ten other files were worked on, more than the engine has sequences: what was computed is kept."""
    window, uri = await opened(new_window)
    end = len(HEAD + TAIL)
    await evaluated_by_a_key(window, uri, end, "x")
    first = await counters()
    for number in range(10):
        text = HEAD.replace("first", f"other_{number}")
        other = window.open(f"other_{number}.py", text + TAIL)
        assert await evaluated_by_a_key(window, other, len(text), "y") > 100
    assert (await counters()).put_aside > first.put_aside
    assert await evaluated_by_a_key(window, uri, end + 1, " = ") <= 3


async def test_a_malformed_cursor_is_ignored(new_window: NewWindow) -> None:
    """Nonsense about the cursor costs nothing."""
    window, uri = await opened(new_window)
    no_position = {"textDocument": {"uri": uri}}
    no_number = no_position | {"position": {"line": "x", "character": None}}
    for params in (None, {}, no_position, no_number, {"textDocument": 1, "position": 2}):
        window.client.protocol.notify("fimble/didMoveCursor", params)
    assert await evaluated_by_a_key(window, uri, len(HEAD + TAIL), "x") <= 2


async def test_a_cursor_in_a_file_that_is_not_open(new_window: NewWindow, tmp_path: Path) -> None:
    """A file that the server does not know is not looked for."""
    window, uri = await opened(new_window)
    elsewhere = (tmp_path / "b.py").as_uri()
    window.texts[elsewhere] = ""
    window.move_cursor(elsewhere, 0)
    assert await evaluated_by_a_key(window, uri, len(HEAD + TAIL), "x") <= 2


async def test_typing_ends_the_work_of_a_pause(new_window: NewWindow, slow_model: Path) -> None:
    """A key while a long prompt is prepared stops that; nothing is computed for a place that was left."""
    window = await new_window("--model", str(slow_model), settings=NO_ECHO | {"suggest": {"deadline_ms": 20000}})
    uri = window.open("a.py", HEAD * 4 + TAIL)
    await window.ask(uri, 0)
    before = await counters()
    window.type(uri, len(HEAD * 4), "\n")
    while (await counters()).prompt_tokens_evaluated == before.prompt_tokens_evaluated:
        await asyncio.sleep(0.01)
    window.type(uri, 0, "#")
    async with asyncio.timeout(10):
        while (await counters()).cancelled == before.cancelled:
            await asyncio.sleep(0.01)
