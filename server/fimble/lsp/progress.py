"""The editor's progress display while the engine starts and the model loads."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable

from lsprotocol import types
from pygls.lsp.server import LanguageServer

#: Loading that takes less than this is not worth a message.
_PATIENCE_S = 0.4


class LoadingProgress:
    """Shows work-done progress (LSP 3.15) to clients that can."""

    def __init__(self, server: LanguageServer) -> None:
        self._server = server
        self._token: str | None = None

    async def watch(self, work: Awaitable[None]) -> None:
        """Await *work*; if it takes a while, show that it goes on."""
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait({task}, timeout=_PATIENCE_S)
        if not done and self._is_supported():
            token = f"fimble-{secrets.token_hex(4)}"
            await self._server.work_done_progress.create_async(token)
            begin = types.WorkDoneProgressBegin(title="Fimble", message="Loading the model", percentage=0)
            self._server.work_done_progress.begin(token, begin)
            self._token = token
        try:
            await task
        finally:
            token, self._token = self._token, None  # type: ignore[assignment]
            if token:
                self._server.work_done_progress.end(token, types.WorkDoneProgressEnd(message="Ready"))

    def report(self, share: float) -> None:
        """The loaded share of the model, from 0 to 1."""
        if self._token:
            report = types.WorkDoneProgressReport(percentage=int(100 * share))
            self._server.work_done_progress.report(self._token, report)

    def _is_supported(self) -> bool:
        window = self._server.client_capabilities.window
        return bool(window and window.work_done_progress)
