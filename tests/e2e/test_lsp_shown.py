"""What is shown beside an editor's menu and on request, and what becomes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from window import NewWindow, Window, source_of

from fimble import paths
from fimble.engine.client import ask_props
from fimble.engine.launch import running_engines
from fimble.suggest.habits import ENOUGH
from fimble.suggest.reactions import READ_S

pytestmark = pytest.mark.usefixtures("all_likely")

LINE = "connection = open_database_connection(settings.database_url, timeout=30)"
SOURCE = f"import os\n\n\ndef first(settings):\n    {LINE}\n    return connection\n\n\ndef second(settings):\n    \n"
CURSOR = len(SOURCE) - 1
START = "connection = open_database_conn"
REST = LINE.removeprefix(START)

NO_CACHE: dict[str, Any] = {"suggest": {"deadline_ms": 20000, "echo": False}, "cache": {"enabled": False}}


async def opened(new_window: NewWindow, typed: str = START) -> tuple[Window, str, int]:
    """A window in which *typed* stands at the place where the line further up is repeated."""
    window = await new_window(settings={"suggest": {"deadline_ms": 20000}})
    uri = window.open("a.py", SOURCE)
    return window, uri, window.type(uri, CURSOR, typed)


async def decodes() -> int:
    """How much the one engine that runs has computed."""
    (found,) = running_engines(paths.runtime_dir())
    return (await ask_props(found)).counters.decodes


async def test_a_suggestion_goes_on_from_the_menus_selection(new_window: NewWindow) -> None:
    """With an item of the menu selected, the text begins with that item's, and takes the place that it would take."""
    window, uri, offset = await opened(new_window, "connection = open")
    start = offset - len("open")
    (item,) = await window.ask(uri, offset, selected=(start, "open_database_connection"))
    assert item.insert_text == "open_database_connection(settings.database_url, timeout=30)"
    assert item.range == types.Range(start=window.position(uri, start), end=window.position(uri, offset))


async def test_a_selection_that_does_not_continue_what_was_typed(new_window: NewWindow) -> None:
    """Menus find `odc` in `open_database_connection`, too: what was typed is replaced."""
    window, uri, offset = await opened(new_window, "connection = odc")
    start = offset - len("odc")
    (item,) = await window.ask(uri, offset, selected=(start, "open_database_conn"))
    assert str(item.insert_text).startswith("open_database_connection(")
    assert item.range == types.Range(start=window.position(uri, start), end=window.position(uri, offset))


@pytest.mark.usefixtures("without_any_model")
async def test_a_selection_that_leads_nowhere_shows_nothing(new_window: NewWindow) -> None:
    """Where nothing follows what is selected, nothing is shown, whatever would be without the menu."""
    window = await new_window("--model", "no-such-model")
    uri = window.open("a.py", SOURCE)
    offset = window.type(uri, CURSOR, START)
    assert await window.ask(uri, offset, selected=(offset - 4, "XQJV")) == []
    assert await window.ask(uri, offset)


async def where_several_fit(new_window: NewWindow) -> tuple[Window, str, int]:
    """A place where the file has gone on in two ways before."""
    window = await new_window(settings={"suggest": {"deadline_ms": 20000}})
    start = "    total = settings."
    before = f"def first(settings):\n{start}width * settings.height\n\n\ndef second(settings):\n{start}depth - 7\n\n\n"
    text = f"import os\n\n\n{before}def third(settings):\n{start}"
    return window, window.open("a.py", text), len(text)


async def test_asking_by_hand_shows_several(new_window: NewWindow) -> None:
    """By itself one suggestion comes; on request all that were found, each text once, the one that was shown first."""
    window, uri, offset = await where_several_fit(new_window)
    shown = await window.ask(uri, offset)
    assert len(shown) == 1
    several = await window.ask(uri, offset, invoked=True)
    texts = [str(item.insert_text) for item in several]
    assert texts[0] == shown[0].insert_text
    assert len(texts) > 1
    assert len(set(texts)) == len(texts)
    # Nothing that was found on request takes the place of what was shown.
    (again,) = await window.ask(uri, offset)
    assert again.insert_text == shown[0].insert_text


async def test_of_several_the_one_that_is_typed_stays(new_window: NewWindow) -> None:
    """Who types the beginning of the second suggestion gets its rest, from memory."""
    window, uri, offset = await where_several_fit(new_window)
    first, second, *_ = [str(item.insert_text) for item in await window.ask(uri, offset, invoked=True)]
    same = next(number for number, (one, other) in enumerate(zip(first, second, strict=False)) if one != other)
    offset = window.type(uri, offset, second[: same + 1])
    (item,) = await window.ask(uri, offset)
    assert (item.insert_text, source_of(item)) == (second[same + 1 :], "memory")


async def dismiss(window: Window, uri: str, offset: int) -> None:
    """Look at what is shown at *offset* as long as it takes to read it, type something else, and take that back."""
    assert await window.ask(uri, offset)
    await asyncio.sleep(READ_S * 1.1)
    window.type(uri, offset, "7")
    window.type(uri, offset, "", remove=1)


async def test_a_place_where_nothing_is_wanted_is_left_alone(new_window: NewWindow) -> None:
    """After three dismissals nothing comes by itself there; asking by hand ends that."""
    window, uri, offset = await opened(new_window)
    for _ in range(ENOUGH):
        await dismiss(window, uri, offset)
    assert (await window.stats())["dismissed"] == ENOUGH
    assert await window.ask(uri, offset) == []
    assert await window.ask(uri, offset, invoked=True)
    assert await window.ask(uri, offset)


async def test_an_acceptance_is_no_dismissal(new_window: NewWindow) -> None:
    """What was accepted, typed, or typed over at once, counts against no place."""
    window, uri, offset = await opened(new_window)
    (item,) = await window.ask(uri, offset)
    end = await window.accept(uri, offset, item)
    window.type(uri, offset, "", remove=end - offset)
    await window.ask(uri, offset)
    for char in REST[:-1]:
        offset = window.type(uri, offset, char)
        await window.ask(uri, offset)
    offset = window.type(uri, offset, REST[-1])
    window.type(uri, offset - len(REST), "", remove=len(REST))
    await window.ask(uri, offset - len(REST))
    window.type(uri, offset - len(REST), "7")
    stats = await window.stats()
    assert (stats["accepted_echo"], stats["typed"], stats["ignored"]) == (1, 1, 1)
    assert "dismissed" not in stats


async def written_at_length(window: Window) -> tuple[str, str]:
    """A text, and what the model's random weights write after it, of which something is left when a key was typed."""
    for name in ("name", "item", "value", "path", "line", "user", "file", "word"):
        before = f"import os\n\nfor {name} in "
        found = await window.ask(window.open(f"{name}.py", before), len(before))
        if found and len(text := str(found[0].insert_text)) > 3:
            return before, text
    pytest.fail("the model writes nothing")


@pytest.mark.parametrize("cancels", [False, True], ids=["neovim", "vscode"])
async def test_typing_what_is_being_written_waits_for_its_rest(
    new_window: NewWindow, slow_model: Path, cancels: bool
) -> None:
    """A key that agrees with the answer under way does not end it: the next question gets its rest, nobody is asked.

    Some editors take the first question back, others do not.
    """
    learning = await new_window("--model", str(slow_model), settings=NO_CACHE)
    before, text = await written_at_length(learning)
    await learning.stop()
    window = await new_window("--model", str(slow_model), settings=NO_CACHE)
    uri = window.open(f"{before.split()[3]}.py", before)
    done = await decodes()
    context = types.InlineCompletionContext(trigger_kind=types.InlineCompletionTriggerKind.Automatic)
    params = types.InlineCompletionParams(
        text_document=types.TextDocumentIdentifier(uri=uri), position=window.position(uri, len(before)), context=context
    )
    first = window.client.protocol.send_request_async(types.TEXT_DOCUMENT_INLINE_COMPLETION, params, msg_id="first")
    first = asyncio.ensure_future(first)
    async with asyncio.timeout(20):
        while await decodes() < done + 8 or "engine_requests" not in await window.stats():
            await asyncio.sleep(0.005)
    offset = window.type(uri, len(before), text[0])
    if cancels:
        window.client.cancel_request(types.CancelParams(id="first"))
    (item,) = await window.ask(uri, offset)
    assert (item.insert_text, source_of(item)) == (text[1:], "memory")
    assert (await window.stats())["engine_requests"] == 1
    if cancels:
        with pytest.raises(JsonRpcException):
            await first
    else:
        assert await first is None
