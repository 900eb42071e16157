"""The language server of one editor window."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsprotocol import converters, types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from fimble import __version__
from fimble.core import Ask, Document, Suggestion, Trigger
from fimble.lsp.documents import Documents
from fimble.lsp.idle import CURSOR_IDLE_S, Idle
from fimble.lsp.progress import LoadingProgress
from fimble.lsp.protocol import FimbleProtocol
from fimble.lsp.session import Session
from fimble.text import Encoding

#: Run by editors when a suggestion is accepted; its argument is {"id": ..., "source": ...}.
ACCEPTED_COMMAND = "fimble.accepted"

#: Custom request: the counters of this window, for tests, benchmarks and curious people.
STATS_REQUEST = "fimble/stats"

#: Custom notification, for LSP has none: the cursor is here now ({"textDocument": {"uri"}, "position"}).  An editor
#: that tells it gets its first suggestion at a new place as fast as the later ones.
CURSOR_NOTIFICATION = "fimble/didMoveCursor"

_SETTINGS_TIMEOUT_S = 1.0

_log = logging.getLogger("fimble.lsp")


class FimbleServer(LanguageServer):
    """pygls's server with our documents, our session, and at most one suggestion per document under way."""

    def __init__(self, flags: Mapping[str, Any] | None = None) -> None:
        super().__init__("fimble", __version__, protocol_cls=FimbleProtocol, converter_factory=converters.get_converter)
        assert isinstance(self.protocol, FimbleProtocol)
        self.documents: Documents = self.protocol.documents
        self.loading = LoadingProgress(self)
        self.idle = Idle(self._warm)
        self.session = Session(self._tell, self.loading.report, flags)
        self.editor_settings: Mapping[str, Any] | None = None
        self._running: dict[tuple[str, str], asyncio.Task[Any]] = {}
        self._background: set[asyncio.Task[None]] = set()

    def _tell(self, sentence: str) -> None:
        self.window_show_message(types.ShowMessageParams(type=types.MessageType.Warning, message=f"Fimble: {sentence}"))

    def report_server_error(self, error: Exception, source: Any) -> None:  # noqa: ARG002
        """To the log: a client's garbage or a bug of ours is no reason to pop up a window."""
        _log.error("%s", type(error).__name__)

    def start_soon(self, work: Any) -> None:
        """Run a coroutine beside the handlers; a failure goes to the log."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def suggest(self, kind: str, uri: str, position: types.Position, trigger: Trigger) -> _Answer | None:
        """The suggestions at *position*, or None when the document moved on meanwhile.

        A newer request of the same kind for the document ends this one, which then answers nothing.
        """
        await self.session.wait_configured()
        document = self.documents.get(uri)
        suggester = self.session.suggester
        if document is None or suggester is None:
            return None
        self.drop(uri, kind)
        self.idle.end()
        offset = self.documents.offset_at(document, position)
        ask = Ask(document, offset, trigger, self.documents.others(uri))
        task = asyncio.ensure_future(suggester.suggest(ask))
        self._running[uri, kind] = task
        try:
            outcome = await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current and current.cancelling():
                raise  # the client cancelled this very request
            return None
        finally:
            if self._running.get((uri, kind)) is task:
                del self._running[uri, kind]
        if self.documents.get(uri) is not document:
            return None
        self.idle.expect(uri, offset)
        for suggestion in outcome.suggestions:
            self.session.stats.add("shown", suggestion.source)
        return _Answer(document, offset, outcome.suggestions)

    def drop(self, uri: str, kind: str = "") -> None:
        """End what is under way for a document: it was edited, closed, or asked about again."""
        for (other, of_kind), task in list(self._running.items()):
            if other == uri and kind in ("", of_kind):
                task.cancel()

    def moved_to(self, params: Any) -> None:
        """The editor says where the cursor is (CURSOR_NOTIFICATION)."""
        try:
            at = self.protocol._converter.structure(params, types.TextDocumentPositionParams)
        except Exception as failure:  # cattrs has no one base for what it raises
            _log.warning("a malformed %s message was ignored: %s", CURSOR_NOTIFICATION, type(failure).__name__)
            return
        if document := self.documents.get(at.text_document.uri):
            self.idle.expect(document.uri, self.documents.offset_at(document, at.position), CURSOR_IDLE_S)

    async def _warm(self, uri: str, offset: int) -> None:
        document, suggester = self.documents.get(uri), self.session.suggester
        if document and suggester:
            await suggester.warm(Ask(document, offset))

    async def configure(self) -> None:
        """Read every source of settings, the editor's included, and warm the engine."""
        folder = self.documents.folders[0] if self.documents.folders else None
        await self.session.configure(folder, await self._pull_settings() or self.editor_settings)
        await self.loading.watch(self.session.warm())

    async def _pull_settings(self) -> Mapping[str, Any] | None:
        """What the editor answers to workspace/configuration.  One that then does not, loses nothing."""
        workspace = self.client_capabilities.workspace
        if not (workspace and workspace.configuration):
            return None
        params = types.ConfigurationParams(items=[types.ConfigurationItem(section="fimble")])
        try:
            values = await asyncio.wait_for(self.workspace_configuration_async(params), _SETTINGS_TIMEOUT_S)
        except (TimeoutError, JsonRpcException) as failure:
            _log.warning("the editor did not tell its settings: %r", failure)
            return None
        return values[0] if values and isinstance(values[0], Mapping) else None

    def read_initialize(self, params: types.InitializeParams) -> None:
        """What initialize says about the client: folders, encoding, settings."""
        encoding = self.workspace.position_encoding or types.PositionEncodingKind.Utf16
        self.documents.encoding = Encoding(types.PositionEncodingKind(encoding).value)
        folders = [folder.uri for folder in params.workspace_folders or []]
        folders += [params.root_uri] if params.root_uri and not folders else []
        self.documents.folders = tuple(Path(path) for uri in folders if (path := to_fs_path(uri)))
        if isinstance(params.initialization_options, Mapping):
            self.editor_settings = params.initialization_options


class _Answer:
    """Suggestions with what is needed to place them."""

    def __init__(self, document: Document, offset: int, suggestions: tuple[Suggestion, ...]) -> None:
        self.document = document
        self.offset = offset
        self.suggestions = suggestions
