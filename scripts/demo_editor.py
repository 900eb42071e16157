"""An editor reduced to what Fimble sees of one: it opens documents, presses keys and asks for suggestions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.client import LanguageClient

_LANGUAGES = {".py": "python", ".ts": "typescript", ".go": "go"}

_ENCODINGS = (types.PositionEncodingKind.Utf32, types.PositionEncodingKind.Utf16)
_GOODBYE_S = 5.0


class ServerGone(Exception):
    """`fimble lsp` ended; the text says what it said last."""


@dataclass(frozen=True)
class Shown:
    """A suggestion as the editor shows it; line and column count from 1."""

    source: str
    text: str
    latency_ms: float
    file: str
    line: int
    column: int
    typed: str
    accepted: types.Command | None = None


class Editor:
    """One window, on the documents of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._client = LanguageClient("fimble-demo", "1")
        self._process: asyncio.subprocess.Process | None = None
        self._said = b""
        self._lines: dict[str, list[str]] = {}
        self._version = 0
        self.file = ""
        self.line = self.column = 0
        self.messages: list[str] = []

    # --- the server's life ---

    async def start(self, command: list[str], environ: Mapping[str, str]) -> None:
        """Start the language server, and say hello to it."""

        @self._client.feature(types.WINDOW_SHOW_MESSAGE)  # type: ignore[untyped-decorator]
        def hear(params: types.ShowMessageParams) -> None:
            self.messages.append(params.message)

        # A session of its own: Ctrl-C is for the demo, which then ends the server in an orderly way.
        await self._client.start_io(*command, env=environ, start_new_session=True)
        self._process = self._client._server
        self._listening = asyncio.create_task(self._listen())
        general = types.GeneralClientCapabilities(position_encodings=_ENCODINGS)
        inline = types.InlineCompletionClientCapabilities()
        documents = types.TextDocumentClientCapabilities(inline_completion=inline)
        params = types.InitializeParams(
            capabilities=types.ClientCapabilities(general=general, text_document=documents),
            workspace_folders=[types.WorkspaceFolder(uri=self.folder.as_uri(), name=self.folder.name)],
        )
        await self._answer_of(self._client.initialize_async(params))
        self._client.initialized(types.InitializedParams())

    async def stop(self) -> None:
        """Close the window.  A server that does not go by itself is ended."""
        process = self._process
        if process is None:
            return
        try:
            async with asyncio.timeout(_GOODBYE_S):
                if process.returncode is None:
                    await self._client.shutdown_async(None)
                    self._client.exit(None)
                await process.wait()
        except Exception:  # whatever is wrong with it, it must not stay behind
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        await self._client.stop()
        await self._listening

    async def stats(self) -> dict[str, int]:
        """The server's counters."""
        counters = await self._answer_of(self._client.protocol.send_request_async("fimble/stats", {}))
        return dict(counters._asdict())

    async def _listen(self) -> None:
        """Read the server's stderr, so that it never waits for somebody to do so; the end is kept."""
        assert self._process
        assert self._process.stderr
        while part := await self._process.stderr.read(4096):
            self._said = (self._said + part)[-2000:]

    async def _answer_of(self, request: Any) -> Any:
        try:
            # Shielded: pygls cannot bear an answer to a request that was given up, as on Ctrl-C.
            return await asyncio.shield(request)
        except RuntimeError as error:  # what pygls makes of the open requests when the server ends
            said = self._said.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise ServerGone(f"`fimble lsp` ended: {said or error}") from None

    # --- documents and keys ---

    def open(self, name: str) -> None:
        """Open a file of the folder."""
        text = (self.folder / name).read_text("utf-8")
        self._lines[name] = text.split("\n")
        item = types.TextDocumentItem(self._uri(name), _LANGUAGES[Path(name).suffix], self._version, text)
        self._client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def go_below(self, name: str, mark: str) -> None:
        """Put the cursor at the end of the last line of *name* that contains *mark*."""
        lines = self._lines[name]
        self.file = name
        self.line = max(number for number, line in enumerate(lines) if mark in line)
        self.column = len(lines[self.line])

    @property
    def typed(self) -> str:
        """The cursor's line, up to the cursor."""
        return self._lines[self.file][self.line][: self.column]

    def press(self, text: str) -> None:
        """Put *text* in at the cursor: a key, an Enter with its indentation, or a suggestion that is taken."""
        here = types.Position(self.line, self.column)
        self._version += 1
        change = types.TextDocumentContentChangePartial(range=types.Range(here, here), text=text)
        document = types.VersionedTextDocumentIdentifier(uri=self._uri(self.file), version=self._version)
        self._client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))
        lines = self._lines[self.file]
        line = lines[self.line]
        new = (line[: self.column] + text).split("\n")
        lines[self.line : self.line + 1] = [*new[:-1], new[-1] + line[self.column :]]
        self.line += len(new) - 1
        self.column = len(new[-1])

    async def ask(self) -> Shown | None:
        """What is suggested at the cursor, asked as editors do after each key."""
        file, line, column, typed = self.file, self.line, self.column, self.typed
        params = types.InlineCompletionParams(
            context=types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic),
            text_document=types.TextDocumentIdentifier(self._uri(file)),
            position=types.Position(line, column),
        )
        started = time.perf_counter()
        answer = await self._answer_of(self._client.text_document_inline_completion_async(params))
        latency_ms = (time.perf_counter() - started) * 1000
        if answer is None or not answer.items:
            return None
        item = answer.items[0]
        source = item.command.arguments[0]["source"]
        return Shown(source, item.insert_text, latency_ms, file, line + 1, column + 1, typed, item.command)

    async def accept(self, shown: Shown) -> None:
        """The Tab key: take what is shown."""
        self.press(shown.text)
        if shown.accepted:
            params = types.ExecuteCommandParams(shown.accepted.command, shown.accepted.arguments)
            await self._answer_of(self._client.workspace_execute_command_async(params))

    def _uri(self, name: str) -> str:
        return (self.folder / name).as_uri()
