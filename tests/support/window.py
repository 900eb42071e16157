"""One editor window for tests: the real ``fimble lsp`` as a child, driven like an editor drives it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.client import LanguageClient

from fimble.engine.client import EngineClient

NewClient = Callable[..., EngineClient]
NewWindow = Callable[..., Awaitable["Window"]]


class Window:
    """A window with the documents that were opened in it.  Positions are UTF-16 unless *encoding* says otherwise."""

    def __init__(self, folder: Path, encoding: str = "utf-16", *, progress: bool = False, status: bool = False) -> None:
        self.folder = folder
        self.client = LanguageClient("test-window", "1")
        self.messages: list[str] = []
        self.progress: list[Any] = []
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self._encoding = encoding
        self._progress = progress
        self._status = status
        self.statuses: list[dict[str, Any]] = []

        @self.client.feature(types.WINDOW_SHOW_MESSAGE)  # type: ignore[untyped-decorator]
        def show(params: types.ShowMessageParams) -> None:
            self.messages.append(params.message)

        @self.client.feature(types.WINDOW_WORK_DONE_PROGRESS_CREATE)  # type: ignore[untyped-decorator]
        def create(_params: types.WorkDoneProgressCreateParams) -> None:
            return None

        @self.client.feature(types.PROGRESS)  # type: ignore[untyped-decorator]
        def progressed(params: types.ProgressParams) -> None:
            self.progress.append(params.value)

        @self.client.feature("fimble/status")  # type: ignore[untyped-decorator]
        def status_changed(params: Any) -> None:
            self.statuses.append(dict(params._asdict()))

    async def start(self, *args: str, settings: dict[str, Any] | None = None) -> types.InitializeResult:
        """Start the server and go through initialize and initialized."""
        result = await self.initialize(*args, settings=settings)
        self.client.initialized(types.InitializedParams())
        return result

    async def initialize(self, *args: str, settings: dict[str, Any] | None = None) -> types.InitializeResult:
        """Start the server and send initialize only."""
        await self.client.start_io(sys.executable, "-m", "fimble", "lsp", *args, env=dict(os.environ))
        general = types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind(self._encoding)])
        window = types.WindowClientCapabilities(work_done_progress=self._progress)
        document = types.TextDocumentClientCapabilities(inline_completion=types.InlineCompletionClientCapabilities())
        params = types.InitializeParams(
            capabilities=types.ClientCapabilities(
                general=general,
                window=window,
                text_document=document,
                experimental={"fimbleStatus": True} if self._status else None,
            ),
            process_id=os.getpid(),
            root_uri=self.folder.as_uri(),
            initialization_options=settings,
        )
        return await self.client.initialize_async(params)

    async def stop(self) -> None:
        """Leave as editors do; a window that was left stays left."""
        if self.client.stopped:
            return
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.client.shutdown_async(None), 10)
        self.client.exit(None)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.client.stop(), 10)

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The ``fimble lsp`` child."""
        process = self.client._server
        assert process is not None
        return process

    def open(self, name: str, text: str, language: str = "python") -> str:
        """Open a document; returns its URI."""
        uri = (self.folder / name).as_uri()
        self.texts[uri], self.versions[uri] = text, 1
        item = types.TextDocumentItem(uri=uri, language_id=language, version=1, text=text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
        return uri

    def type(self, uri: str, offset: int, new: str, remove: int = 0) -> int:
        """Replace *remove* characters at *offset*; returns the offset after what was typed."""
        text = self.texts[uri]
        change = types.TextDocumentContentChangePartial(
            range=types.Range(start=self.position(uri, offset), end=self.position(uri, offset + remove)), text=new
        )
        self.texts[uri] = text[:offset] + new + text[offset + remove :]
        self.versions[uri] += 1
        identifier = types.VersionedTextDocumentIdentifier(uri=uri, version=self.versions[uri])
        params = types.DidChangeTextDocumentParams(text_document=identifier, content_changes=[change])
        self.client.text_document_did_change(params)
        return offset + len(new)

    def position(self, uri: str, offset: int) -> types.Position:
        """The position of *offset*, in the window's encoding; lines end at ``\\n`` in test documents."""
        before = self.texts[uri][:offset]
        line_start = before.rfind("\n") + 1
        units = {"utf-8": 1, "utf-16-le": 2, "utf-32-le": 4}
        codec = self._encoding if self._encoding == "utf-8" else f"{self._encoding}-le"
        character = len(before[line_start:].encode(codec)) // units[codec]
        return types.Position(line=before.count("\n"), character=character)

    def move_cursor(self, uri: str, offset: int) -> None:
        """Say that the cursor is at *offset* (fimble/didMoveCursor)."""
        position = self.position(uri, offset)
        at: dict[str, Any] = {"line": position.line, "character": position.character}
        self.client.protocol.notify("fimble/didMoveCursor", {"textDocument": {"uri": uri}, "position": at})

    async def accept(self, uri: str, offset: int, item: types.InlineCompletionItem) -> int:
        """Put in an item that was shown at *offset* and run its command, as editors do; returns the new offset."""
        offset = self.type(uri, offset, str(item.insert_text))
        assert item.command is not None
        params = types.ExecuteCommandParams(command=item.command.command, arguments=item.command.arguments)
        await asyncio.wait_for(self.client.workspace_execute_command_async(params), 30)
        return offset

    async def ask(
        self,
        uri: str,
        offset: int,
        *,
        invoked: bool = False,
        selected: tuple[int, str] | None = None,
    ) -> list[types.InlineCompletionItem]:
        """textDocument/inlineCompletion; *selected* is what a menu would put in, and from which offset on."""
        kinds = types.InlineCompletionTriggerKind
        context = types.InlineCompletionContext(trigger_kind=kinds.Invoked if invoked else kinds.Automatic)
        if selected:
            place = types.Range(start=self.position(uri, selected[0]), end=self.position(uri, offset))
            context.selected_completion_info = types.SelectedCompletionInfo(range=place, text=selected[1])
        params = types.InlineCompletionParams(
            text_document=types.TextDocumentIdentifier(uri=uri), position=self.position(uri, offset), context=context
        )
        answer = await asyncio.wait_for(self.client.text_document_inline_completion_async(params), 60)
        if answer is None:
            return []
        return list(answer.items if isinstance(answer, types.InlineCompletionList) else answer)

    async def stats(self) -> dict[str, int]:
        """The server's counters."""
        answer = await asyncio.wait_for(self.client.protocol.send_request_async("fimble/stats", {}), 60)
        return dict(answer) if isinstance(answer, dict) else dict(answer._asdict())

    async def explain(self, uri: str, offset: int) -> dict[str, Any]:
        """What the server says of a place."""
        params = {
            "textDocument": {"uri": uri},
            "position": self.client.protocol._converter.unstructure(self.position(uri, offset)),
        }
        answer = await asyncio.wait_for(self.client.protocol.send_request_async("fimble/explain", params), 60)
        found: dict[str, Any] = _plain(answer)
        return found

    def save(self, uri: str) -> None:
        """Write a document to disk, and tell the server."""
        file = self.folder / uri.removeprefix(self.folder.as_uri() + "/")
        file.write_text(self.texts[uri], "utf-8")
        self.client.text_document_did_save(types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(uri)))


def _plain(value: Any) -> Any:
    """What pygls made objects of, as JSON has it."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


class RawServer:
    """``fimble lsp`` spoken to in bytes, for what no well-behaved client would say."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls) -> RawServer:
        """Start the server; nothing is said yet."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fimble", "lsp"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(os.environ),
        )
        return cls(process)

    async def send(self, body: bytes, *, header: bool = True) -> None:
        """Write *body* to stdin, with a Content-Length unless told otherwise."""
        assert self.process.stdin is not None
        self.process.stdin.write((b"Content-Length: %d\r\n\r\n" % len(body) if header else b"") + body)
        await self.process.stdin.drain()

    async def ask(self, id_: int, method: str, params: Any) -> dict[str, Any]:
        """Send a request and wait for the answer with its id; everything read on the way must be protocol."""
        await self.send(json.dumps({"jsonrpc": "2.0", "id": id_, "method": method, "params": params}).encode())
        return await asyncio.wait_for(self._answer_to(id_), 20)

    async def end(self) -> int:
        """Close stdin, as an editor that dies does; returns the exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return await asyncio.wait_for(self.process.wait(), 20)

    async def read(self, method: str) -> dict[str, Any]:
        """Wait for a request or notification of the server's."""
        return await asyncio.wait_for(self._next(lambda message: message.get("method") == method), 20)

    async def _answer_to(self, id_: int) -> dict[str, Any]:
        return await self._next(lambda message: message.get("id") == id_ and "method" not in message)

    async def _next(self, is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        stream = self.process.stdout
        assert stream is not None
        while True:
            length = 0
            while (header := await stream.readline()).strip():
                name, _, value = header.partition(b":")
                assert name.lower() in (b"content-length", b"content-type"), header
                length = int(value) if name.lower() == b"content-length" else length
            message: dict[str, Any] = json.loads(await stream.readexactly(length))
            if is_wanted(message):
                return message


def source_of(item: types.InlineCompletionItem) -> str:
    """Where a suggestion came from."""
    assert item.command is not None
    assert item.command.arguments
    argument: Any = item.command.arguments[0]
    return str(argument["source"] if isinstance(argument, dict) else argument.source)
