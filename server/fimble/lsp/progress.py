"""The editor's progress display while the model loads, and while a repository is read for the first time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

from lsprotocol import types
from pygls.lsp.server import LanguageServer

#: Work that takes less than this is not worth a message.
_PATIENCE_S = 0.4


class WorkProgress:
    """Shows work-done progress (LSP 3.15) to clients that can.

    *message* says what is done; the user can end it if there is *on_cancel*.
    """

    def __init__(self, server: LanguageServer, message: str, on_cancel: Callable[[], None] | None = None) -> None:
        self._server = server
        self._message = message
        self._on_cancel = on_cancel
        self._token: str | None = None

    async def watch(self, work: Awaitable[None]) -> None:
        """Await *work*; if it takes a while, show that it goes on."""
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait({task}, timeout=_PATIENCE_S)
        if not done and self._is_supported():
            token = f"fimble-{secrets.token_hex(4)}"
            await self._server.work_done_progress.create_async(token)
            can_end = self._on_cancel is not None
            begin = types.WorkDoneProgressBegin(
                title="Fimble", message=self._message, percentage=0, cancellable=can_end or None
            )
            self._server.work_done_progress.begin(token, begin)
            self._server.work_done_progress.tokens[token].add_done_callback(self._ended)
            self._token = token
        try:
            await task
        finally:
            token, self._token = self._token, None  # type: ignore[assignment]
            if token:
                self._server.work_done_progress.end(token, types.WorkDoneProgressEnd(message="Ready"))

    def _ended(self, token: Future[None]) -> None:
        # pygls cancels it when the editor says that the user has ended the work.
        if token.cancelled() and self._on_cancel:
            self._on_cancel()

    def report(self, share: float) -> None:
        """How much is done, from 0 to 1."""
        if self._token:
            report = types.WorkDoneProgressReport(percentage=int(100 * share))
            self._server.work_done_progress.report(self._token, report)

    def _is_supported(self) -> bool:
        window = self._server.client_capabilities.window
        return bool(window and window.work_done_progress)
