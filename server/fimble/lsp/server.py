"""The language server of one editor window."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsprotocol import converters, types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from fimble import __version__
from fimble.core import Ask, Suggestion, Trigger
from fimble.days import Diary
from fimble.errors import FimbleError
from fimble.lsp.documents import Documents, file_of
from fimble.lsp.idle import CURSOR_IDLE_S, Ahead, Idle
from fimble.lsp.menu import with_selected
from fimble.lsp.progress import WorkProgress
from fimble.lsp.protocol import FimbleProtocol
from fimble.lsp.session import Session
from fimble.lsp.status import STATUS_NOTIFICATION, StatusTeller, wants_status
from fimble.suggest.explanation import Explanation, as_markdown
from fimble.suggest.recipe import Outcome, Suggester
from fimble.text import Encoding

#: Run by editors when a suggestion is accepted; its argument is {"id": ..., "source": ...}.
ACCEPTED_COMMAND = "fimble.accepted"

#: Custom request: the counters of this window, for tests, benchmarks and curious people.
STATS_REQUEST = "fimble/stats"

#: Custom notification, for LSP has none: the cursor is here now ({"textDocument": {"uri"}, "position"}).  An editor
#: that tells it gets its first suggestion at a new place as fast as the later ones.
CURSOR_NOTIFICATION = "fimble/didMoveCursor"

#: Custom request ({"textDocument": {"uri"}, "position"}): what the model is told there and why, for people.
EXPLAIN_REQUEST = "fimble/explain"

_SETTINGS_TIMEOUT_S = 1.0

_log = logging.getLogger("fimble.lsp")


class FimbleServer(LanguageServer):
    """pygls's server with our documents, our session, and at most one suggestion per document under way."""

    def __init__(self, flags: Mapping[str, Any] | None = None) -> None:
        super().__init__("fimble", __version__, protocol_cls=FimbleProtocol, converter_factory=converters.get_converter)
        assert isinstance(self.protocol, FimbleProtocol)
        self.documents: Documents = self.protocol.documents
        self.loading = WorkProgress(self, "Loading the model")
        self.reading = WorkProgress(
            self, "Reading the repository", lambda: self.start_soon(self.session.stop_reading())
        )
        self.idle = Idle(self._warm)
        self.ahead = Ahead(self._prefetch)
        self.session = Session(self._tell, self._note_loaded, flags)
        self.diary = Diary(self.session.stats)
        self.status = StatusTeller(self.session, self._send_status)
        self.editor_settings: Mapping[str, Any] | None = None
        self._running: dict[tuple[str, str], _Running] = {}
        self._background: set[asyncio.Task[None]] = set()

    def _tell(self, sentence: str) -> None:
        self.window_show_message(types.ShowMessageParams(type=types.MessageType.Warning, message=f"Fimble: {sentence}"))

    def _note_loaded(self, share: float) -> None:
        self.loading.report(share)
        self.status.loading(share)

    def _send_status(self, status: dict[str, Any]) -> None:
        self.protocol.notify(STATUS_NOTIFICATION, status)

    def report_server_error(self, error: Exception, source: Any) -> None:  # noqa: ARG002
        """To the log: a client's garbage or a bug of ours is no reason to pop up a window."""
        _log.error("%s", type(error).__name__)

    def start_soon(self, work: Any) -> None:
        """Run a coroutine beside the handlers; a failure goes to the log."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def suggest(
        self,
        kind: str,
        uri: str,
        position: types.Position,
        trigger: Trigger,
        selected: types.SelectedCompletionInfo | None = None,
    ) -> _Answer | None:
        """The suggestions at *position*, or None when the document moved on meanwhile.

        A newer request of the same kind for the document ends this one, which then answers nothing.  *selected* is
        what the editor's menu would put in, and where: the suggestions are for the text with it, and begin with it.
        """
        await self.session.wait_configured()
        document, suggester = self.documents.get(uri), self.session.suggester
        if document is None or suggester is None:
            return None
        here = self.documents.offset_at(document, position)
        ask = Ask(document, here, trigger, self.documents.others(uri))
        place = types.Range(start=position, end=position)
        outcome = None
        if selected:
            place = selected.range
            ask, outcome = with_selected(ask, selected, self.documents, suggester)
        if outcome is None:
            with self.status.working(document):
                outcome = await self._run(suggester, kind, ask)
        if outcome is None or self.documents.get(uri) is not document:
            return None
        self.idle.expect(uri, here)
        # The menu's item has its range, and no suggestion that begins with it may have another.
        shown = tuple(s for s in outcome.suggestions if not (selected and s.replaces))
        if shown:
            self._note_shown(ask, shown, is_ghost=kind == "inline" and not selected)
        before = selected.text if selected else ""
        return _Answer(place, tuple(dataclasses.replace(s, text=before + s.text) for s in shown))

    async def _run(self, suggester: Suggester, kind: str, ask: Ask) -> Outcome | None:
        """What the recipe answers; None if it was ended by a later edit or request."""
        uri = ask.document.uri
        self.idle.end()
        older = self._running.get((uri, kind))
        if older and suggester.is_writing_on(older.ask, ask.document):
            # It is writing what was typed: once it is complete, its rest is in memory.
            await asyncio.wait({older.task})
            now = self.documents.get(uri)
            if now is None or now.version != ask.document.version:
                return None
        self.drop(uri, kind)
        running = _Running(ask, asyncio.ensure_future(suggester.suggest(ask)))
        self._running[uri, kind] = running
        running.task.add_done_callback(lambda _task: self._ended(uri, kind, running))
        try:
            return await asyncio.shield(running.task)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is None or not current.cancelling():
                return None
            if not suggester.is_writing_on(ask, self.documents.get(uri)):
                running.task.cancel()
            raise  # the client cancelled this very request

    def _ended(self, uri: str, kind: str, running: _Running) -> None:
        if self._running.get((uri, kind)) is running:
            del self._running[uri, kind]

    def _note_shown(self, ask: Ask, suggestions: tuple[Suggestion, ...], *, is_ghost: bool) -> None:
        for suggestion in suggestions:
            self.session.stats.add("shown", suggestion.source)
        self.ahead.shown(ask, suggestions[0])
        # Who chooses in a menu says nothing about what else could have been chosen.
        if is_ghost and self.session.suggester:
            self.session.suggester.reactions.shown(ask, suggestions)

    def edited(self, uri: str) -> None:
        """A document was edited: what it has made worthless ends."""
        document, suggester = self.documents.get(uri), self.session.suggester
        if document is None:
            return
        self.ahead.edited(document)
        if suggester:
            suggester.reactions.edited(document)
        for (other, _kind), running in list(self._running.items()):
            if other == uri and not (suggester and suggester.is_writing_on(running.ask, document)):
                running.task.cancel()
        if self.documents.edited_to is not None:
            self.idle.expect(uri, self.documents.edited_to)

    def closed(self, uri: str) -> None:
        """A document was closed."""
        self.drop(uri)
        self.status.closed(uri)
        self.idle.end()
        self.ahead.end()
        if self.session.suggester:
            self.session.suggester.forget(uri)

    async def explain(self, uri: str, position: types.Position) -> dict[str, Any] | None:
        """What goes into the prompt at *position*, and why each suggestion is as likely as it is; ``markdown``, too."""
        await self.session.wait_configured()
        document, suggester = self.documents.get(uri), self.session.suggester
        if document is None or suggester is None:
            return None
        here = self.documents.offset_at(document, position)
        try:
            ask = Ask(document, here, Trigger.INVOKED, self.documents.others(uri))
            explanation = await suggester.explain(ask)
        except FimbleError as failure:
            explanation = Explanation(silence=str(failure))
        return dataclasses.asdict(explanation) | {"markdown": as_markdown(explanation)}

    def saved(self, uris: Iterable[str]) -> None:
        """Files were saved, created, renamed or deleted, here or by another program."""
        self.session.saved([file for uri in uris if (file := file_of(uri))])

    async def watch_files(self) -> None:
        """Ask the editor to tell what other programs do to the workspace's files, if it can."""
        workspace = self.client_capabilities.workspace
        watching = workspace.did_change_watched_files if workspace else None
        if not (watching and watching.dynamic_registration):
            return  # the index looks for itself now and then
        options = types.DidChangeWatchedFilesRegistrationOptions(
            watchers=[types.FileSystemWatcher(glob_pattern="**/*")]
        )
        method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
        registration = types.Registration(id="fimble-files", method=method, register_options=options)
        with contextlib.suppress(JsonRpcException):
            await self.client_register_capability_async(types.RegistrationParams([registration]))

    def drop(self, uri: str, kind: str = "") -> None:
        """End what is under way for a document: it was closed, or asked about again."""
        for (other, of_kind), running in list(self._running.items()):
            if other == uri and kind in ("", of_kind):
                running.task.cancel()

    def place_in(self, method: str, params: Any) -> types.TextDocumentPositionParams | None:
        """The place that the *params* of one of our own messages name; None if they are malformed."""
        try:
            return self.protocol._converter.structure(params, types.TextDocumentPositionParams)
        except Exception as failure:  # cattrs has no one base for what it raises
            _log.warning("a malformed %s message was ignored: %s", method, type(failure).__name__)
            return None

    def moved_to(self, params: Any) -> None:
        """The editor says where the cursor is (CURSOR_NOTIFICATION)."""
        at = self.place_in(CURSOR_NOTIFICATION, params)
        if at and (document := self.documents.get(at.text_document.uri)):
            offset = self.documents.offset_at(document, at.position)
            self.idle.expect(document.uri, offset, CURSOR_IDLE_S)
            self.status.changed(document)
            if self.session.suggester:
                self.session.suggester.reactions.moved(document, offset)

    async def _warm(self, uri: str, offset: int) -> None:
        document, suggester = self.documents.get(uri), self.session.suggester
        if document and suggester:
            await suggester.warm(Ask(document, offset, others=self.documents.others(uri)))
        if self.diary.is_due:
            await asyncio.to_thread(self.diary.keep)

    async def _prefetch(self, ask: Ask, suggestion: Suggestion) -> tuple[Ask, Suggestion] | None:
        suggester = self.session.suggester
        following = await suggester.prefetch(ask, suggestion) if suggester else None
        if following:
            self.session.stats.add("prefetched")
        return following

    async def configure(self) -> None:
        """Read every source of settings, the editor's included, and warm the engine."""
        settings = await self._pull_settings() or self.editor_settings
        await self.session.configure(self.documents.folders, settings, self.documents.history)
        warming = asyncio.ensure_future(self.session.warm())
        await asyncio.sleep(0)  # by now it has begun to start the engine, or has found it
        self.status.changed()
        await self.loading.watch(warming)
        self.status.changed()
        await self.reading.watch(self.session.watch_reading(self.reading.report))

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
        self.status.is_wanted = wants_status(params.capabilities.experimental)
        if isinstance(params.initialization_options, Mapping):
            self.editor_settings = params.initialization_options


@dataclass(frozen=True, slots=True)
class _Running:
    """A question that the recipe is answering."""

    ask: Ask
    task: asyncio.Task[Outcome]


@dataclass(frozen=True, slots=True)
class _Answer:
    """Suggestions, and what in the document they take the place of."""

    range: types.Range
    suggestions: tuple[Suggestion, ...]
