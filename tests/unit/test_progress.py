"""The progress display while the model loads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lsprotocol import types

from fimble.lsp import progress
from fimble.lsp.progress import LoadingProgress


class Editor:
    """Stands in for the server's connection to an editor, and writes down what it would display."""

    def __init__(self, *, supports_progress: bool) -> None:
        window = types.WindowClientCapabilities(work_done_progress=supports_progress)
        self.client_capabilities = types.ClientCapabilities(window=window)
        self.shown: list[str] = []
        self.work_done_progress = self

    async def create_async(self, token: str) -> None:
        self.shown.append("create")

    def begin(self, token: str, value: Any) -> None:
        self.shown.append(f"begin {value.message}")

    def report(self, token: str, value: Any) -> None:
        self.shown.append(f"{value.percentage} %")

    def end(self, token: str, value: Any) -> None:
        self.shown.append("end")


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.01)


async def _load(loading: LoadingProgress) -> None:
    await asyncio.sleep(0.1)
    loading.report(0.5)


async def test_slow_loading_is_shown_from_begin_to_end() -> None:
    """An editor that can show progress sees it begin, move and end."""
    editor = Editor(supports_progress=True)
    loading = LoadingProgress(editor)  # type: ignore[arg-type]
    await loading.watch(_load(loading))
    assert editor.shown == ["create", "begin Loading the model", "50 %", "end"]


async def test_a_failure_ends_the_display() -> None:
    """When loading fails, the display ends and the failure is passed on."""
    editor = Editor(supports_progress=True)
    loading = LoadingProgress(editor)  # type: ignore[arg-type]

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

    await LoadingProgress(fast).watch(done())  # type: ignore[arg-type]
    loading = LoadingProgress(old)  # type: ignore[arg-type]
    await loading.watch(_load(loading))
    assert fast.shown == old.shown == []
