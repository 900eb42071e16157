"""Tasks put to the real `fimble lsp`, one document after the other: see eval.py, which is the command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from lsprotocol import types

from demo_editor import Editor
from fimble.languages import language_of
from fimble.text import Encoding, Text

FIMBLE = Path(sys.executable).with_name("fimble")

#: No model has this name.  The server then says so once and goes on with echo alone: its own way to do without one.
_NO_MODEL = "none-only-echo-is-asked"

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

    @property
    def uses_model(self) -> bool:
        """Whether an engine is needed."""
        return self.mode != "echo"

    @property
    def settings(self) -> dict[str, Any]:
        """What the editor tells the server.  Nothing may come from the disk."""
        suggest: dict[str, Any] = {"echo": self.mode != "model"}
        if self.deadline_ms is not None:
            suggest["deadline_ms"] = self.deadline_ms
        model = str(self.model) if self.uses_model else _NO_MODEL
        return {"model": model, "suggest": suggest, "cache": {"enabled": False}}


@dataclass(frozen=True)
class Answers:
    """What came of all tasks, beside the predictions: the server's counters and what it told the person."""

    counters: Mapping[str, Any]
    messages: Sequence[str]


class EvalWindow(Editor):
    """A window in which each document is asked about once.

    It has several folders.  A path that comes again lies in the next one, so that it is another document and
    nothing that was suggested in the first is remembered in the second; the server names both alike.
    """

    def __init__(self, home: Path, folder_count: int) -> None:
        super().__init__(home)
        self._folders = [home / f"folder-{number}" for number in range(folder_count)]
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
        opened = [self._open(chunk["path"], chunk["text"]) for chunk in reversed(chunks)]
        text = task["prefix"] + task["suffix"]
        opened.append(self._open(task["path"], text, task.get("language") or ""))
        line, character = Text(text).position_at(len(task["prefix"]), Encoding.UTF32)
        await self.stats()  # opening is done when this is answered, and is not part of the time
        try:
            return {"id": task["id"], **await self._ask(opened[-1], types.Position(line, character))}
        finally:
            for uri in opened:
                identifier = types.TextDocumentIdentifier(uri)
                self._client.text_document_did_close(types.DidCloseTextDocumentParams(identifier))

    def _open(self, path: str, text: str, language: str = "") -> str:
        folder = self._folders[self._used[path] % len(self._folders)]
        self._used[path] += 1
        uri = (folder / path.lstrip("/")).as_uri()
        item = types.TextDocumentItem(uri, language or language_of(path), 1, text)
        self._client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return uri

    async def _ask(self, uri: str, position: types.Position) -> dict[str, Any]:
        context = types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic)
        params = types.InlineCompletionParams(context, types.TextDocumentIdentifier(uri), position)
        started = time.perf_counter()
        answer = await self._answer_of(self._client.text_document_inline_completion_async(params))
        latency_ms = round((time.perf_counter() - started) * 1000, 2)
        if answer is None or not answer.items:
            return {"completion": "", "latency_ms": latency_ms, "shown": False, "source": ""}
        item = answer.items[0]
        source = str(item.command.arguments[0]["source"])
        return {"completion": item.insert_text, "latency_ms": latency_ms, "shown": True, "source": source}


async def ask_all(tasks: Sequence[Mapping[str, Any]], setup: Setup, hear: Callable[[dict[str, Any]], None]) -> Answers:
    """Put every task to a new server; *hear* gets each prediction when it is there.

    Raises EvalFailed or ServerGone.  Whatever happens, nothing is left running.
    """
    me = asyncio.current_task()
    assert me
    for name in (signal.SIGTERM, signal.SIGHUP):  # as orderly an end as that of Ctrl-C
        asyncio.get_running_loop().add_signal_handler(name, me.cancel)
    patience_s = _STUCK_S + (setup.deadline_ms or 0) / 1000
    with _home() as (home, environ):
        async with _window(home, environ, tasks, setup) as window:
            for task in tasks:
                try:
                    async with asyncio.timeout(patience_s):
                        hear(await window.predict(task, setup.with_context))
                except TimeoutError:
                    raise EvalFailed(f"`fimble lsp` did not answer task {task['id']}.") from None
            counters = await window.stats()
    return Answers(counters, [m for m in window.messages if _NO_MODEL not in m])


@contextlib.asynccontextmanager
async def _window(
    home: Path, environ: Mapping[str, str], tasks: Sequence[Mapping[str, Any]], setup: Setup
) -> AsyncIterator[EvalWindow]:
    """A window whose engine is up, should one be needed; it is closed in the end."""
    opened = Counter(task["path"] for task in tasks)
    if setup.with_context:
        opened.update(chunk["path"] for task in tasks for chunk in task.get("crossfile") or [])
    window = EvalWindow(home, max(opened.values(), default=1))
    try:
        await window.begin(environ, setup.settings)
        if setup.uses_model:
            await _start_engine(setup.model, environ)
        # The first question waits for what is still loading in the server, so it is none of the tasks.
        await window.predict({"id": "", "path": "warm-up.py", "prefix": "", "suffix": ""}, False)
        yield window
    finally:
        await window.stop()


async def _start_engine(model: Path, environ: Mapping[str, str]) -> None:
    """Wait for the engine that `fimble lsp` has asked for, so that its start is not part of the first task's time."""
    process = await asyncio.create_subprocess_exec(
        *(FIMBLE, "engine", "start", "--model", model, "--json"),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode or json.loads(out)["model_path"] != str(model):
        raise EvalFailed(err.decode("utf-8", "replace").strip() or "The engine has another model.")


@contextlib.contextmanager
def _home() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder in which the user's settings are not seen.  Whatever happens, the engine ends with it."""
    # A Unix socket's path holds 108 bytes, and some systems' own temporary folders use most of them.
    short = "/tmp" if Path("/tmp").is_dir() else None
    home = Path(tempfile.mkdtemp(prefix="fimble-", dir=short)).resolve()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FIMBLE_")}
    for name in ("CONFIG_HOME", "CACHE_HOME", "STATE_HOME", "DATA_HOME", "RUNTIME_DIR"):
        folder = home / name.partition("_")[0].lower()
        folder.mkdir(mode=0o700)
        environ[f"XDG_{name}"] = str(folder)
    environ["FIMBLE_ENGINE_IDLE_MINUTES"] = "2"  # should the evaluation itself be killed
    try:
        yield home, environ
    finally:
        subprocess.run(
            [FIMBLE, "engine", "stop"],
            env=environ,
            capture_output=True,
            timeout=30,
            start_new_session=True,
            check=False,
        )
        _end_leftovers(environ["XDG_RUNTIME_DIR"])
        shutil.rmtree(home, ignore_errors=True)


def _end_leftovers(runtime: str) -> None:
    """End what was started here and still runs: an engine that was interrupted while it started, for one."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get("XDG_RUNTIME_DIR") == runtime:
                process.kill()
                process.wait(5)
