"""The window's side of the index: start it when needed, ask it, survive it.

The index may be killed or missing at any moment.  A question then fails fast with a WorkspaceError, and the next one
finds a new index.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from fimble.errors import WorkspaceError
from fimble.index.launch import IndexLauncher
from fimble.index.wire import (
    MAX_LINE_BYTES,
    Answer,
    Changed,
    Done,
    Failure,
    FoundSnippets,
    Rebuild,
    Request,
    Retrieve,
    Status,
    StatusRequest,
)

T = TypeVar("T")

#: How long to wait before the next start after the first, second and third crash in a row, in seconds.
_BACKOFF_S = (0.0, 1.0, 60.0)

_START_TIMEOUT_S = 20.0
_POLL_S = 0.02

#: Late snippets are of no use: by then something else was typed.
RETRIEVE_TIMEOUT_S = 1.0
_LOOK_TIMEOUT_S = 5.0


class IndexClient:
    """Talks to the index of one IndexLauncher; belongs to one event loop.  Raises nothing but WorkspaceError."""

    def __init__(self, launcher: IndexLauncher) -> None:
        self.launcher = launcher
        self.root = Path(launcher.settings.root)
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._last_id = 0
        self._crashes = 0
        self._not_before = 0.0

    @property
    def is_connected(self) -> bool:
        """Whether there is an index that can be asked without waiting for its start."""
        return self._writer is not None

    def path_of(self, file: Path) -> str | None:
        """What the index calls *file* (absolute); None if it is not in the repository."""
        for path in (file, file.resolve()):  # the window may have come through a link
            if path.is_relative_to(self.root):
                return path.relative_to(self.root).as_posix()
        return None

    async def ensure(self) -> None:
        """Wait until an index answers, starting one if there is none.  Callers share one attempt."""
        if self._writer is not None:
            return
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._start())
            # Somebody may have stopped waiting before it fails; the failure is then nobody's news.
            self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._starting)

    async def retrieve(self, question: Retrieve, timeout_s: float = RETRIEVE_TIMEOUT_S) -> FoundSnippets:
        """What the rest of the repository has to say about a cursor.  *timeout_s* includes the start of the index."""
        return await self._ask(question, FoundSnippets, timeout_s)

    def changed(self, files: Iterable[Path]) -> None:
        """Tell that files (absolute; folders, too) were saved, created, renamed or deleted.

        An index that does not run need not be told: it looks at everything when it starts.
        """
        paths = [path for path in map(self.path_of, files) if path is not None]
        if paths and self._writer is not None:
            self._send(Changed(paths=paths))

    async def status(self) -> Status:
        """How far the index is."""
        return await self._ask(StatusRequest(), Status, _LOOK_TIMEOUT_S + _START_TIMEOUT_S)

    async def rebuild(self) -> None:
        """Have everything be read anew."""
        await self._ask(Rebuild(), Done, _LOOK_TIMEOUT_S + _START_TIMEOUT_S)

    async def close(self) -> None:
        """Let go of the connection; the index stays for other windows."""
        for task in (self._starting, self._listening):
            if task:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, WorkspaceError):
                    await task
        self._lose()

    async def _ask(self, request: Request, kind: type[T], timeout_s: float) -> T:
        try:
            async with asyncio.timeout(timeout_s):
                await self.ensure()
                answer = await self._send(request)
        except TimeoutError:
            raise WorkspaceError("The index did not answer in time.") from None
        finally:
            self._waiting.pop(request.id, None)
        if isinstance(answer, Failure):
            raise WorkspaceError(answer.message, answer.fix)
        if not isinstance(answer, kind):
            raise WorkspaceError("The index answered something else than it was asked.")
        return answer

    def _send(self, request: Request) -> asyncio.Future[Answer]:
        if self._writer is None:
            raise WorkspaceError("There is no index.")
        self._last_id += 1
        request.id = self._last_id
        coming = self._waiting[request.id] = asyncio.get_running_loop().create_future()
        coming.add_done_callback(lambda done: done.cancelled() or done.exception())  # not everybody waits for it
        self._writer.write(msgspec.json.encode(request) + b"\n")
        return coming

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                answer = msgspec.json.decode(line, type=Answer)
                coming = self._waiting.pop(answer.id, None)
                if coming is not None and not coming.done():
                    coming.set_result(answer)
                self._crashes = 0
        except (OSError, ValueError):  # gone, or talking nonsense
            pass
        # One that ended when idle, or was stopped, left nothing unanswered.
        if any(not coming.done() for coming in self._waiting.values()):
            self._note_crash()
        self._lose()

    def _lose(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()
        waiting, self._waiting = self._waiting, {}
        for coming in waiting.values():
            if not coming.done():
                coming.set_exception(WorkspaceError("The index stopped while it was answering."))

    def _note_crash(self) -> None:
        self._crashes += 1
        self._not_before = time.monotonic() + _BACKOFF_S[min(self._crashes, len(_BACKOFF_S)) - 1]

    async def _start(self) -> None:
        if not hasattr(asyncio, "open_unix_connection"):
            raise WorkspaceError(
                "The index needs Unix sockets, which this Python has not (Windows).",
                "Nothing has to be done: suggestions come from the open files.",
            )
        await self._back_off()
        deadline = time.monotonic() + _START_TIMEOUT_S
        was_spawned = False
        while time.monotonic() < deadline:
            if await self._try_connect():
                return
            if not self.launcher.is_starting:
                # 0: it ended when idle; 3: another index is there, or just going.  Neither is a crash.
                if was_spawned and self.launcher.exit_status() not in (None, 0, 3):
                    self._note_crash()
                    await self._back_off()
                was_spawned = True
                await self._spawn()
            await asyncio.sleep(_POLL_S)
        raise WorkspaceError("The index did not start in time.", "Run `fimble doctor` to find out why.")

    async def _back_off(self) -> None:
        wait_s = self._not_before - time.monotonic()
        if self._crashes >= len(_BACKOFF_S) and wait_s > 0:
            log = f"index-{self.launcher.key}.log"
            raise WorkspaceError(
                f"The index stopped {self._crashes} times in a row.", f"It is tried again in a minute; see {log}."
            )
        await asyncio.sleep(max(wait_s, 0.0))

    async def _spawn(self) -> None:
        try:
            await asyncio.to_thread(self.launcher.spawn)
        except OSError as error:
            raise WorkspaceError(f"The index cannot be started: {error}.") from error

    async def _try_connect(self) -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.launcher.socket), limit=MAX_LINE_BYTES)
        except OSError:
            return False
        self._writer = writer
        self._listening = asyncio.create_task(self._listen(reader))
        return True
