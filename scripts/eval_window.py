"""Tasks put to the real `fimble lsp`, one document after the other: see eval.py, which is the command."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsprotocol import types

from demo_editor import Editor
from fimble.languages import language_of
from fimble.text import Encoding, Text
from private_home import FIMBLE, end_orderly_on_signals, private_home, start_engine

#: The server keeps its deadline itself; this much later it is taken for stuck.
_STUCK_S = 60.0


class EvalFailed(Exception):
    """The evaluation cannot go on; the text says why."""


@dataclass(frozen=True)
class Setup:
    """Who is asked, and what is open beside each task."""

    mode: str
    model: Path
    with_context: bool
    deadline_ms: int | None
    by_hand: bool = True

    @property
    def uses_model(self) -> bool:
        """Whether an engine is needed."""
        return self.mode != "echo"

    @property
    def settings(self) -> dict[str, Any]:
        """What the editor tells the server.  Nothing may come from the disk."""
        suggest: dict[str, Any] = {"echo": self.mode != "model", "model": self.uses_model}
        if self.deadline_ms is not None:
            suggest["deadline_ms"] = self.deadline_ms
        return {"model": str(self.model), "suggest": suggest, "cache": {"enabled": False}}


@dataclass(frozen=True)
class Answers:
    """What came of all tasks, beside the predictions: the server's counters and what it told the person."""

    counters: Mapping[str, Any]
    messages: Sequence[str]


class EvalWindow(Editor):
    """A window in which each document is asked about once.

    It has several folders, its own or those that are given.  A path that comes again lies in the next one, so that it
    is another document and nothing that was suggested in the first is remembered in the second; the server names both
    alike.
    """

    by_hand = True
    """Whether tasks are asked about by hand; after a key, what is not likely enough would not be shown."""

    def __init__(self, home: Path, folder_count: int, folders: Sequence[Path] = ()) -> None:
        super().__init__(home)
        self._folders = list(folders) or [home / f"folder-{number}" for number in range(folder_count)]
        self._used: Counter[str] = Counter()

    async def begin(self, environ: Mapping[str, str], settings: dict[str, Any]) -> None:
        """Start the server with these settings, and say hello to it."""

        @self._client.feature(types.WINDOW_SHOW_MESSAGE)  # type: ignore[untyped-decorator]
        def hear(params: types.ShowMessageParams) -> None:
            self.messages.append(params.message)

        # A session of its own: Ctrl-C is for the evaluation, which then ends the server in an orderly way.
        await self._client.start_io(str(FIMBLE), "lsp", env=environ, start_new_session=True)
        self._process = self._client._server
        self._listening = asyncio.create_task(self._listen())
        general = types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind.Utf32])
        inline = types.TextDocumentClientCapabilities(inline_completion=types.InlineCompletionClientCapabilities())
        params = types.InitializeParams(
            capabilities=types.ClientCapabilities(general=general, text_document=inline),
            workspace_folders=[types.WorkspaceFolder(uri=f.as_uri(), name=f.name) for f in self._folders],
            initialization_options=settings,
        )
        hello = await self._answer_of(self._client.initialize_async(params))
        if hello.capabilities.position_encoding != types.PositionEncodingKind.Utf32:
            raise EvalFailed("`fimble lsp` does not count columns in characters.")
        self._client.initialized(types.InitializedParams())

    async def predict(self, task: Mapping[str, Any], with_context: bool) -> dict[str, Any]:
        """The line of the output for one task."""
        chunks = task.get("crossfile") or [] if with_context else []
        # What was opened last counts as nearest, and tasks name their best piece first.
        opened = [self.open_as(chunk["path"], chunk["text"]) for chunk in reversed(chunks)]
        text = task["prefix"] + task["suffix"]
        opened.append(self.open_as(task["path"], text, task.get("language") or ""))
        line, character = Text(text).position_at(len(task["prefix"]), Encoding.UTF32)
        await self.stats()  # opening is done when this is answered, and is not part of the time
        try:
            return {"id": task["id"], **await self._ask(opened[-1], types.Position(line, character))}
        finally:
            for uri in opened:
                self.close(uri)

    def close(self, uri: str) -> None:
        """Close a document."""
        self._client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))

    async def explain(self, uri: str, position: types.Position) -> None:
        """Have the server look into other files, as it does in a pause, and say what it found."""
        params = {"textDocument": {"uri": uri}, "position": {"line": position.line, "character": position.character}}
        await self._answer_of(self._client.protocol.send_request_async("fimble/explain", params))

    def open_as(self, path: str, text: str, language: str = "") -> str:
        """Open *text* as the file *path*; returns its URI."""
        folder = self._folders[self._used[path] % len(self._folders)]
        self._used[path] += 1
        uri = (folder / path.lstrip("/")).as_uri()
        item = types.TextDocumentItem(uri, language or language_of(path), 1, text)
        self._client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return uri

    async def ask_at(
        self, uri: str, position: types.Position, *, by_hand: bool = False
    ) -> types.InlineCompletionItem | None:
        """What is shown there, after a key or *by_hand*: then likely or not."""
        kinds = types.InlineCompletionTriggerKind
        context = types.InlineCompletionContext(kinds.Invoked if by_hand else kinds.Automatic)
        params = types.InlineCompletionParams(context, types.TextDocumentIdentifier(uri), position)
        answer = await self._answer_of(self._client.text_document_inline_completion_async(params))
        return answer.items[0] if answer and answer.items else None

    async def change(self, uri: str, version: int, changes: Sequence[types.TextDocumentContentChangePartial]) -> None:
        """Edit a document."""
        identifier = types.VersionedTextDocumentIdentifier(uri=uri, version=version)
        self._client.text_document_did_change(types.DidChangeTextDocumentParams(identifier, list(changes)))

    async def run(self, command: types.Command) -> None:
        """Run the command of a suggestion that is taken."""
        params = types.ExecuteCommandParams(command=command.command, arguments=command.arguments)
        await self._answer_of(self._client.workspace_execute_command_async(params))

    async def _ask(self, uri: str, position: types.Position) -> dict[str, Any]:
        started = time.perf_counter()
        item: Any = await self.ask_at(uri, position, by_hand=self.by_hand)
        latency_ms = round((time.perf_counter() - started) * 1000, 2)
        if item is None:
            return {"completion": "", "latency_ms": latency_ms, "shown": False, "source": ""}
        source = str(item.command.arguments[0]["source"])
        return {"completion": item.insert_text, "latency_ms": latency_ms, "shown": True, "source": source}


async def ask_all(tasks: Sequence[Mapping[str, Any]], setup: Setup, hear: Callable[[dict[str, Any]], None]) -> Answers:
    """Put every task to a new server; *hear* gets each prediction when it is there.

    Raises EvalFailed, EngineFailed or ServerGone.  Whatever happens, nothing is left running.
    """
    end_orderly_on_signals()
    patience_s = _STUCK_S + (setup.deadline_ms or 0) / 1000
    with private_home(("CONFIG_HOME", "CACHE_HOME", "STATE_HOME", "DATA_HOME")) as (home, environ):
        async with _window(home, environ, tasks, setup) as window:
            for task in tasks:
                try:
                    async with asyncio.timeout(patience_s):
                        hear(await window.predict(task, setup.with_context))
                except TimeoutError:
                    raise EvalFailed(f"`fimble lsp` did not answer task {task['id']}.") from None
            counters = await window.stats()
    return Answers(counters, list(window.messages))


@contextlib.asynccontextmanager
async def _window(
    home: Path, environ: Mapping[str, str], tasks: Sequence[Mapping[str, Any]], setup: Setup
) -> AsyncIterator[EvalWindow]:
    """A window whose engine is up, should one be needed; it is closed in the end."""
    opened = Counter(task["path"] for task in tasks)
    if setup.with_context:
        opened.update(chunk["path"] for task in tasks for chunk in task.get("crossfile") or [])
    window = EvalWindow(home, max(opened.values(), default=1))
    window.by_hand = setup.by_hand
    try:
        await window.begin(environ, setup.settings)
        if setup.uses_model:
            # So that the engine's start is not part of the first task's time.
            props = await start_engine(environ, "--model", str(setup.model))
            if props["model_path"] != str(setup.model):
                raise EvalFailed("The engine has another model.")
        # The first question waits for what is still loading in the server, so it is none of the tasks.
        await window.predict({"id": "", "path": "warm-up.py", "prefix": "", "suffix": ""}, False)
        yield window
    finally:
        await window.stop()
