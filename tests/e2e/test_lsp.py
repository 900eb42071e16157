"""The language server as a process, driven like an editor drives it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from lsprotocol import types
from models import BUNDLED_MODEL
from pygls.exceptions import JsonRpcException
from window import NewWindow, Window, source_of

from fimble import paths
from fimble.engine import launch
from fimble.engine.client import ask_props
from fimble.engine.wire import Counters

LINE = "connection = open_database_connection(settings.database_url, timeout=30)"
ECHO_START = "connection = open_database_conn"
ECHO_REST = LINE.removeprefix(ECHO_START)

SOURCE = f"import os\n\n\ndef first(settings):\n    {LINE}\n    return connection\n\n\ndef second(settings):\n    \n"
CURSOR = len(SOURCE) - 1

LONG = "".join(f"value_{i} = compute_something({i}, 'name', option={i % 7})\n" for i in range(150))


async def engine_counters() -> Counters:
    """The counters of the one engine that runs."""
    (found,) = launch.running_engines(paths.runtime_dir())
    return (await ask_props(found)).counters


async def ask_until_shown(window: Window, uri: str, offset: int, text: str) -> tuple[int, types.InlineCompletionItem]:
    """Type *text* key by key until the model suggests something; returns the cursor and the item."""
    for char in text:
        offset = window.type(uri, offset, char)
        items = await window.ask(uri, offset)
        if items and source_of(items[0]) == "model" and len(str(items[0].insert_text)) > 3:
            return offset, items[0]
    raise AssertionError("the model suggested nothing")


async def test_initialize_does_not_wait_for_the_model(home: Path, tmp_path: Path) -> None:
    """`initialize` is answered while there is no engine yet, with every capability and the client's encoding."""
    for encoding in ("utf-8", "utf-16", "utf-32"):
        window = Window(tmp_path, encoding)
        result = await window.initialize()
        assert not launch.running_engines(paths.runtime_dir())
        capabilities = result.capabilities
        assert capabilities.inline_completion_provider
        assert capabilities.completion_provider
        assert capabilities.position_encoding == encoding
        assert isinstance(capabilities.text_document_sync, types.TextDocumentSyncOptions)
        assert capabilities.text_document_sync.change == types.TextDocumentSyncKind.Incremental
        await window.stop()


async def test_the_model_suggests(new_window: NewWindow) -> None:
    """With nothing to copy, the text comes from llama.cpp; its range is empty and at the cursor."""
    window = await new_window(settings={"suggest": {"echo": False}})
    uri = window.open("a.py", SOURCE)
    offset, item = await ask_until_shown(window, uri, CURSOR, "for index in range(")
    assert item.range == types.Range(start=window.position(uri, offset), end=window.position(uri, offset))
    assert (await window.stats())["engine_requests"] >= 1


async def test_the_echo_suggests_what_stands_above(new_window: NewWindow) -> None:
    """A long repetition is completed at once, without asking the model."""
    window = await new_window()
    uri = window.open("a.py", SOURCE)
    offset = window.type(uri, CURSOR, ECHO_START)
    (item,) = await window.ask(uri, offset)
    assert item.insert_text == ECHO_REST
    assert source_of(item) == "echo"
    assert "engine_requests" not in await window.stats()


async def test_the_echo_reads_other_open_files(new_window: NewWindow) -> None:
    """What another open file repeats is offered, too; an excluded file is never read."""
    window = await new_window()
    window.open(".env", f"{LINE}-secret\n", "plaintext")
    window.open("a.py", SOURCE)
    uri = window.open("b.py", "")
    offset = window.type(uri, 0, ECHO_START)
    (item,) = await window.ask(uri, offset)
    assert item.insert_text == ECHO_REST


async def test_the_menus_word_hides_nothing_that_is_known(new_window: NewWindow) -> None:
    """What is shown without the menu is shown with it: after a word that is only selected, it would be too unlikely."""
    window = await new_window()
    text = (
        "def first(path):\n    table = read_table_of_contents(path, depth=3)\n    return table\n\n\ndef second(path):\n"
    )
    text += "    table = read_table_of_con"
    uri, offset = window.open("new.py", text), len(text)
    (item,) = await window.ask(uri, offset, selected=(offset - 17, "read_table_of_contents"))
    assert item.insert_text == "read_table_of_contents(path, depth=3)"
    assert isinstance(item.range, types.Range)
    assert (item.range.start.character, item.range.end.character) == (12, 29)
    (alone,) = await window.ask(uri, offset)
    assert alone.insert_text == "tents(path, depth=3)"


async def test_typing_through_a_suggestion_asks_nobody(new_window: NewWindow) -> None:
    """As long as the user types what is shown, the rest stays shown and no request reaches the engine."""
    window = await new_window(settings={"suggest": {"echo": False}, "engine": {"power": "saving"}})
    uri = window.open("a.py", SOURCE)
    offset, item = await ask_until_shown(window, uri, CURSOR, "for index in range(")
    shown = str(item.insert_text)
    asked = (await window.stats())["engine_requests"]
    counters = await engine_counters()
    for index, char in enumerate(shown[:-1]):
        offset = window.type(uri, offset, char)
        (item,) = await window.ask(uri, offset)
        assert item.insert_text == shown[index + 1 :]
        assert source_of(item) == "memory"
    assert (await window.stats())["engine_requests"] == asked
    assert (await engine_counters()).requests == counters.requests


async def test_backspace_brings_the_suggestion_back(new_window: NewWindow) -> None:
    """A character typed through and deleted again: the whole suggestion is there again, from memory."""
    window = await new_window()
    uri = window.open("a.py", SOURCE)
    offset = window.type(uri, CURSOR, ECHO_START)
    await window.ask(uri, offset)
    window.type(uri, offset, ECHO_REST[0])
    window.type(uri, offset, "", remove=1)
    (item,) = await window.ask(uri, offset)
    assert item.insert_text == ECHO_REST
    assert source_of(item) == "memory"


async def test_two_windows_use_one_engine(new_window: NewWindow) -> None:
    """Two windows that start at the same moment end with one engine process, and both are served."""
    one, other = await asyncio.gather(new_window(), new_window())
    for number, window in enumerate((one, other)):
        uri = window.open(f"{number}.py", SOURCE)
        await ask_until_shown(window, uri, CURSOR, "for index in range(")
    assert len(launch.running_engines(paths.runtime_dir())) == 1


async def test_a_newer_request_replaces_an_older_one(new_window: NewWindow, slow_model: Path) -> None:
    """Of two questions about one document the older is answered with nothing, and its computing ends."""
    window = await new_window("--model", str(slow_model), settings={"suggest": {"deadline_ms": 20000, "echo": False}})
    uri = window.open("a.py", LONG)
    await window.ask(uri, 0)  # the engine is up
    first = asyncio.ensure_future(window.ask(uri, len(LONG)))
    await asyncio.sleep(0.3)
    second = asyncio.ensure_future(window.ask(uri, len(LONG) - 10))
    assert await first == []
    await second
    assert (await engine_counters()).cancelled >= 1


async def test_cancelling_reaches_the_engine(new_window: NewWindow, slow_model: Path) -> None:
    """$/cancelRequest is answered as cancelled, and the engine stops evaluating the prompt."""
    window = await new_window("--model", str(slow_model), settings={"suggest": {"deadline_ms": 20000, "echo": False}})
    uri = window.open("a.py", LONG)
    await window.ask(uri, 0)
    before = await engine_counters()
    position = window.position(uri, len(LONG))
    context = types.InlineCompletionContext(trigger_kind=types.InlineCompletionTriggerKind.Automatic)
    params = types.InlineCompletionParams(
        text_document=types.TextDocumentIdentifier(uri=uri), position=position, context=context
    )
    answer = window.client.protocol.send_request_async(types.TEXT_DOCUMENT_INLINE_COMPLETION, params, msg_id="mine")
    while (await engine_counters()).prompt_tokens_evaluated < before.prompt_tokens_evaluated + 64:
        await asyncio.sleep(0.01)
    window.client.cancel_request(types.CancelParams(id="mine"))
    with pytest.raises(JsonRpcException):
        await asyncio.wait_for(answer, 5)
    while (after := await engine_counters()).cancelled == before.cancelled:
        await asyncio.sleep(0.01)
    assert after.tokens_predicted == before.tokens_predicted


async def test_nothing_is_answered_when_the_document_moved_on(new_window: NewWindow, slow_model: Path) -> None:
    """An edit while a suggestion is computed makes it worthless: nothing is answered."""
    window = await new_window("--model", str(slow_model), settings={"suggest": {"deadline_ms": 20000, "echo": False}})
    uri = window.open("a.py", LONG)
    await window.ask(uri, 0)
    asked = asyncio.ensure_future(window.ask(uri, len(LONG)))
    await asyncio.sleep(0.2)
    window.type(uri, 0, "# moved on\n")
    assert await asyncio.wait_for(asked, 5) == []


async def test_a_killed_engine_costs_one_suggestion(new_window: NewWindow, slow_model: Path) -> None:
    """kill -9 of the engine: the open request is answered empty within a second, the next works within five."""
    window = await new_window("--model", str(slow_model), settings={"suggest": {"deadline_ms": 4000, "echo": False}})
    uri = window.open("a.py", LONG)
    await window.ask(uri, 0)
    asked = asyncio.ensure_future(window.ask(uri, len(LONG)))
    await asyncio.sleep(0.2)
    (found,) = launch.running_engines(paths.runtime_dir())
    os.kill(found.pid, signal.SIGKILL)
    assert await asyncio.wait_for(asked, 1) == []
    short = window.open("b.py", "import os\n\nfor x in ")
    async with asyncio.timeout(5):
        await window.ask(short, 20)
    assert (await engine_counters()).tokens_predicted >= 1


async def test_menu_completion_for_editors_without_inline(home: Path, tmp_path: Path) -> None:
    """textDocument/completion answers editors that cannot show ghost text, and only those."""
    params: types.CompletionParams
    for declares_inline in (False, True):
        window = Window(tmp_path)
        if declares_inline:
            await window.start()
        else:
            await window.start(settings={"suggest": {"completion_menu": "always"}})
        uri = window.open("a.py", SOURCE)
        offset = window.type(uri, CURSOR, ECHO_START)
        params = types.CompletionParams(
            text_document=types.TextDocumentIdentifier(uri=uri), position=window.position(uri, offset), context=None
        )
        answer = await asyncio.wait_for(window.client.text_document_completion_async(params), 30)
        if declares_inline:
            assert answer is None
        else:
            assert isinstance(answer, types.CompletionList)
            (item,) = answer.items
            assert isinstance(item.text_edit, types.TextEdit)
            assert item.text_edit.new_text == ECHO_REST
        await window.stop()


async def test_acceptance_is_counted(new_window: NewWindow) -> None:
    """Editors run an item's command when it is accepted; the server counts it by source."""
    window = await new_window()
    uri = window.open("a.py", SOURCE)
    (item,) = await window.ask(uri, window.type(uri, CURSOR, ECHO_START))
    assert item.command is not None
    params = types.ExecuteCommandParams(command=item.command.command, arguments=item.command.arguments)
    await asyncio.wait_for(window.client.workspace_execute_command_async(params), 30)
    assert (await window.stats())["accepted_echo"] == 1


async def test_settings_change_while_running(new_window: NewWindow) -> None:
    """Switching suggestions off in the editor's settings takes effect at once."""
    window = await new_window()
    uri = window.open("a.py", SOURCE)
    offset = window.type(uri, CURSOR, ECHO_START)
    assert await window.ask(uri, offset)
    settings = {"fimble": {"suggest": {"enabled": False}}}
    window.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=settings))
    async with asyncio.timeout(10):
        while await window.ask(uri, offset):
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("without_any_model")
async def test_without_a_model_the_echo_goes_on(new_window: NewWindow) -> None:
    """That there is no model at all is said once, with what to do, and copying still works."""
    window = await new_window("--model", "no-such-model")
    uri = window.open("a.py", SOURCE)
    offset = window.type(uri, CURSOR, ECHO_START)
    (item,) = await window.ask(uri, offset)
    assert item.insert_text == ECHO_REST
    await window.ask(uri, 3)
    assert [m for m in window.messages if "no-such-model" in m and "fimble models list" in m]
    assert len(window.messages) == 1


async def test_who_wants_no_model_gets_copies_and_no_engine(new_window: NewWindow) -> None:
    """`suggest.model` off is a choice, and nothing to complain about."""
    window = await new_window(settings={"suggest": {"model": False}})
    text = "total = width * height\n\n\ntotal = wid"
    uri = window.open("a.py", text)
    (item,) = await window.ask(uri, len(text))
    assert item.insert_text == "th * height"
    assert not launch.running_engines(paths.runtime_dir())
    assert not window.messages


async def test_a_broken_model_is_said_once(new_window: NewWindow, tmp_path: Path) -> None:
    """A damaged file: one message names it and the fix, however many keys are typed; nothing fails."""
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(BUNDLED_MODEL.read_bytes()[:1_000_000])
    window = await new_window("--model", str(bad))
    uri = window.open("a.py", "x")
    offset = 1
    for char in "yz = 1":
        offset = window.type(uri, offset, char)
        assert await window.ask(uri, offset) == []
    assert len([m for m in window.messages if "bad.gguf" in m]) == 1
    assert window.process.returncode is None


async def test_a_wrong_setting_names_its_key(new_window: NewWindow) -> None:
    """A bad value and an unknown key are one message each; everything else works."""
    window = await new_window(settings={"suggest": {"max_tokens": "many", "colour": 1}})
    uri = window.open("a.py", SOURCE)
    offset = window.type(uri, CURSOR, ECHO_START)
    assert await window.ask(uri, offset)
    assert [m for m in window.messages if "suggest.max_tokens" in m]
    assert [m for m in window.messages if "suggest.colour" in m]


async def test_folders_that_cannot_be_written(home: Path, tmp_path: Path, new_window: NewWindow) -> None:
    """With neither cache, log nor settings folder usable, suggestions still come."""
    for name in ("cache", "state", "config", "data"):
        (home / name).write_text("a file where a folder should be")
    window = await new_window()
    uri = window.open("a.py", SOURCE)
    assert await window.ask(uri, window.type(uri, CURSOR, ECHO_START))
    await ask_until_shown(window, uri, CURSOR, "\n    for index in range(")


async def test_suggestions_survive_a_restart(new_window: NewWindow) -> None:
    """What the model wrote in one session is found on disk by the next, without asking it again."""
    settings = {"suggest": {"echo": False}}
    first = await new_window(settings=settings)
    uri = first.open("a.py", SOURCE)
    offset, item = await ask_until_shown(first, uri, CURSOR, "for index in range(")
    typed = first.texts[uri]
    await first.stop()
    second = await new_window(settings=settings)
    uri = second.open("a.py", typed)
    (again,) = await second.ask(uri, offset)
    assert again.insert_text == item.insert_text
    assert (await second.stats())["disk_hits"] == 1
    assert "engine_requests" not in await second.stats()
