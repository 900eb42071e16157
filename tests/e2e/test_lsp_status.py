"""`fimble/status`: what the server tells those who draw a status line."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from lsprotocol import types
from window import NewWindow, Window

from fimble import paths
from fimble.engine import launch

CODE = "def first(settings):\n    return settings\n\n\n"


async def until_state(window: Window, state: str) -> dict[str, object]:
    """Wait until *state* is the last that was told, and return it."""
    async with asyncio.timeout(60):
        while not (window.statuses and window.statuses[-1]["state"] == state):
            await asyncio.sleep(0.01)
    return window.statuses[-1]


def states(window: Window) -> list[str]:
    return [str(status["state"]) for status in window.statuses]


def set_up(window: Window, **suggest: object) -> None:
    """Change the editor's settings."""
    settings = {"fimble": {"suggest": suggest}}
    window.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=settings))


async def test_from_loading_to_ready(new_window: NewWindow) -> None:
    """The engine's start is told with the model's name, then that it is ready; fast answers are not worth a word."""
    window = await new_window(settings={"suggest": {"max_tokens": 4}}, status=True)
    ready = await until_state(window, "ready")
    assert ready == {"state": "ready", "message": "Ready", "model": "fimble-45m", "percentage": None}
    assert states(window)[0] == "loading"
    assert window.statuses[0]["percentage"] == 0
    told = len(window.statuses)
    uri = window.open("a.py", CODE)
    offset = len(CODE)
    for char in "def second(":
        offset = window.type(uri, offset, char)
        await window.ask(uri, offset)
    assert "working" not in states(window)[told:]


async def test_work_that_takes_a_while_is_told(new_window: NewWindow, slow_model: Path) -> None:
    """A long prompt: working, and ready again when it is done."""
    window = await new_window(
        *("--model", str(slow_model)), settings={"suggest": {"deadline_ms": 2000, "echo": False}}, status=True
    )
    await until_state(window, "ready")
    text = "".join(f"value_{i} = compute_something({i}, 'name', option={i % 7})\n" for i in range(150))
    uri = window.open("a.py", text)
    await window.ask(uri, len(text))
    assert "working" in states(window)
    assert (await until_state(window, "ready"))["model"] == "random-73m"


async def test_off_where_nothing_is_suggested(new_window: NewWindow) -> None:
    """An excluded file, a language or everything switched off: off, and why; elsewhere it is ready again."""
    window = await new_window(status=True)
    await until_state(window, "ready")
    secret, code = window.open(".env", "KEY=1\n", "plaintext"), window.open("a.py", CODE)
    window.move_cursor(secret, 0)
    assert "privacy.exclude" in str((await until_state(window, "off"))["message"])
    window.move_cursor(code, 0)
    await until_state(window, "ready")
    set_up(window, enabled=False)
    assert "suggest.enabled" in str((await until_state(window, "off"))["message"])
    set_up(window, enabled=True)
    await until_state(window, "ready")
    window.move_cursor(secret, 0)
    await until_state(window, "off")
    window.client.text_document_did_close(
        types.DidCloseTextDocumentParams(text_document=types.TextDocumentIdentifier(uri=secret))
    )
    await until_state(window, "ready")


async def test_a_notebooks_cells_are_off_where_the_notebook_is(new_window: NewWindow) -> None:
    """Cells come as documents with addresses of their own; an excluded folder holds for them, too."""
    window = await new_window(settings={"privacy": {"exclude": ["secret/"]}}, status=True)
    await until_state(window, "ready")
    for folder, state in (("secret", "off"), ("open", "ready")):
        file = (window.folder / folder / "book.ipynb").as_uri()
        uri = f"{file.replace('file:', 'vscode-notebook-cell:')}#W1sZmlsZQ=="
        item = types.TextDocumentItem(uri=uri, language_id="python", version=1, text=CODE)
        window.client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
        window.texts[uri] = CODE
        window.move_cursor(uri, 0)
        await until_state(window, state)


async def test_folders_come_and_go(new_window: NewWindow, tmp_path: Path) -> None:
    """A folder that is added later counts like the first; when that goes, the settings of the next one hold."""
    window = await new_window(settings={"privacy": {"exclude": ["secret/"]}}, status=True)
    await until_state(window, "ready")
    other = tmp_path / "other"
    other.mkdir()
    (other / ".fimble.toml").write_text("[suggest]\nenabled = false\n")
    first, second = (types.WorkspaceFolder(uri=path.as_uri(), name=path.name) for path in (window.folder, other))
    change_folders(window, added=[second], removed=[])
    uri = (other / "secret" / "a.py").as_uri()
    item = types.TextDocumentItem(uri=uri, language_id="python", version=1, text=CODE)
    window.client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
    window.texts[uri] = CODE
    window.move_cursor(uri, 0)
    assert "privacy.exclude" in str((await until_state(window, "off"))["message"])
    window.move_cursor(window.open("a.py", CODE), 0)
    await until_state(window, "ready")
    change_folders(window, added=[], removed=[first])
    assert "suggest.enabled" in str((await until_state(window, "off"))["message"])


def change_folders(window: Window, **event: list[types.WorkspaceFolder]) -> None:
    change = types.WorkspaceFoldersChangeEvent(**event)
    window.client.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event=change))


@pytest.mark.usefixtures("without_any_model")
async def test_no_model_at_all_is_an_error(new_window: NewWindow) -> None:
    """The sentence says what to do about it."""
    window = await new_window("--model", "no-such-model", status=True)
    error = await until_state(window, "error")
    assert "fimble models list" in str(error["message"])
    assert error["model"] == "no-such-model"


async def test_the_model_in_use_is_told_and_why(new_window: NewWindow) -> None:
    """Where another model stands in, the status is its name, and in a sentence why."""
    window = await new_window("--model", "no-such-model", status=True)
    ready = await until_state(window, "ready")
    assert ready["model"] == "fimble-45m"
    assert "no-such-model" in str(ready["message"])
    assert "fimble-45m is used instead" in str(ready["message"])
    assert len(window.messages) == 1


async def test_an_engine_that_was_killed_loads_again(new_window: NewWindow) -> None:
    window = await new_window(status=True)
    await until_state(window, "ready")
    (found,) = launch.running_engines(paths.runtime_dir())
    os.kill(found.pid, signal.SIGKILL)
    told = len(window.statuses)
    uri = window.open("a.py", CODE)
    offset = len(CODE)
    async with asyncio.timeout(60):
        while "loading" not in states(window)[told:]:
            offset = window.type(uri, offset, "x")
            await window.ask(uri, offset)
    await until_state(window, "ready")


async def test_who_does_not_ask_is_not_told(new_window: NewWindow) -> None:
    """Some clients complain about notifications that they do not know."""
    window = await new_window()
    uri = window.open("a.py", CODE)
    await window.ask(uri, len(CODE))
    await window.stats()
    assert window.statuses == []
