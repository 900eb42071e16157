"""The progress display while the model loads."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

import pytest
from lsprotocol import types

from fimble.lsp import progress
from fimble.lsp.progress import WorkProgress


class Editor:
    """Stands in for the server's connection to an editor, and writes down what it would display."""

    def __init__(self, *, supports_progress: bool) -> None:
        window = types.WindowClientCapabilities(work_done_progress=supports_progress)
        self.client_capabilities = types.ClientCapabilities(window=window)
        self.shown: list[str] = []
        self.work_done_progress = self
        self.tokens: dict[str, Future[None]] = {}

    async def create_async(self, token: str) -> None:
        self.shown.append("create")
        self.tokens[token] = Future()

    def begin(self, token: str, value: Any) -> None:
        self.shown.append(f"begin {value.message}" + ", can be ended" * bool(value.cancellable))

    def report(self, token: str, value: Any) -> None:
        self.shown.append(f"{value.percentage} %")

    def end(self, token: str, value: Any) -> None:
        self.shown.append("end")


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.01)


async def _load(loading: WorkProgress) -> None:
    await asyncio.sleep(0.1)
    loading.report(0.5)


async def test_slow_loading_is_shown_from_begin_to_end() -> None:
    """An editor that can show progress sees it begin, move and end."""
    editor = Editor(supports_progress=True)
    loading = WorkProgress(editor, "Loading the model")  # type: ignore[arg-type]
    await loading.watch(_load(loading))
    assert editor.shown == ["create", "begin Loading the model", "50 %", "end"]


async def test_work_that_the_user_ends_hears_of_it() -> None:
    """The editor's button reaches who does the work; its end by itself is none."""
    editor, ended = Editor(supports_progress=True), list[str]()
    reading = WorkProgress(editor, "Reading", lambda: ended.append("by the user"))  # type: ignore[arg-type]

    async def until_ended() -> None:
        await asyncio.sleep(0.1)
        for token in editor.tokens.values():
            token.cancel()

    await reading.watch(until_ended())
    assert editor.shown[1] == "begin Reading, can be ended"
    assert ended == ["by the user"]


async def test_a_failure_ends_the_display() -> None:
    """When loading fails, the display ends and the failure is passed on."""
    editor = Editor(supports_progress=True)
    loading = WorkProgress(editor, "Loading the model")  # type: ignore[arg-type]

    async def fail() -> None:
        await asyncio.sleep(0.1)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await loading.watch(fail())
    assert editor.shown[-1] == "end"


async def test_fast_loading_and_old_editors_see_nothing() -> None:
    """What is over in a moment is not worth a message, and who cannot show progress is not bothered."""
    fast, old = Editor(supports_progress=True), Editor(supports_progress=False)

    async def done() -> None:
        pass

    await WorkProgress(fast, "Loading the model").watch(done())  # type: ignore[arg-type]
    loading = WorkProgress(old, "Loading the model")  # type: ignore[arg-type]
    await loading.watch(_load(loading))
    assert fast.shown == old.shown == []
