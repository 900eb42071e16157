"""The index's process: ``python -m fimble.index.server SETTINGS_JSON RUNTIME_DIR``.

One for each repository, shared by its windows.  It answers; a child of its own reads the files (``indexer``), because
parsing keeps Python's lock for longer than a window may wait.  It holds a lock for as long as it lives, so a socket
that is found while the lock is free is a leftover.

Exit status: 0 after a stop or when idle, 3 when another process has this index already.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import filelock
import msgspec

from fimble.index import endpoint
from fimble.index.answers import Answers
from fimble.index.crash import describe
from fimble.index.wire import MAX_LINE_BYTES, Answer, Failure, IndexSettings, Request, Stop

ALREADY_RUNNING = 3

#: How often an index asks itself whether it is still of use.
_LOOK_EVERY_S = 1.0

#: A database that was not written for this long belongs to a repository that is gone or forgotten.
_KEEP_S = 60 * 24 * 3600

_log = logging.getLogger("fimble.index")


def main(argv: list[str]) -> int:
    """Run an index until it is told to stop or nobody needs it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = msgspec.json.decode(argv[0], type=IndexSettings)
    folder = Path(argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    key = endpoint.settings_key(settings)
    lock = filelock.FileLock(endpoint.lock_path(folder, key))
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        return ALREADY_RUNNING
    path = endpoint.socket_path(folder, key)
    try:
        _remove_leftovers(folder, endpoint.database_path(settings))
        asyncio.run(Server(settings, path).run())
    finally:
        # The socket goes before the lock does: a window that finds no socket starts an index, and that one must not
        # find the lock free while this socket still stands.
        path.unlink(missing_ok=True)
        lock.release()
    return 0


class Server:
    """Listens to windows."""

    def __init__(self, settings: IndexSettings, path: Path) -> None:
        self._settings = settings
        self._path = path
        self._answers = Answers(settings)
        self._windows: set[asyncio.StreamWriter] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._asked_at = time.monotonic()
        self._is_over = asyncio.Event()

    async def run(self) -> None:
        """Answer until nobody needs it."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._is_over.set)
        listening = await asyncio.start_unix_server(self._meet, sock=_listen(self._path), limit=MAX_LINE_BYTES)
        _log.info("index of %s", self._settings.root)
        minding = asyncio.create_task(self._answers.run())
        try:
            await self._wait_until_useless(minding)
        finally:
            listening.close()
            for window in self._windows:
                window.close()
            await self._answers.close()
            minding.cancel()
            _log.info("index of %s ended", self._settings.root)

    async def _wait_until_useless(self, minding: asyncio.Task[None]) -> None:
        """Nobody asks for anything, nobody new can, or there is nothing left to know."""
        while not minding.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_over.wait(), _LOOK_EVERY_S)
                return
            idle_s = time.monotonic() - self._asked_at
            is_idle = idle_s > self._settings.idle_minutes * 60 and not self._answers.is_busy
            if is_idle or not self._is_reachable():
                return
        minding.result()

    def _is_reachable(self) -> bool:
        return self._path.exists() and Path(self._settings.root).is_dir()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._windows.add(writer)
        try:
            while line := await reader.readline():
                self._asked_at = time.monotonic()
                self._start(self._answer(line, writer))
        except (OSError, ValueError):  # gone, or a line beyond all measure
            pass
        finally:
            self._windows.discard(writer)
            writer.close()

    def _start(self, answering: Coroutine[Any, Any, None]) -> None:
        # Answers may overtake each other: a change is not to wait for a search.
        task = asyncio.create_task(answering)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            request = msgspec.json.decode(line, type=Request)
        except (msgspec.DecodeError, UnicodeDecodeError):
            _send(Failure(message="The index was asked something that cannot be read."), writer)
            return
        try:
            answer = await self._answers.to(request, len(self._windows))
        except Exception as error:  # a mistake of ours costs one answer, and nobody waits for it in vain
            _log.error("no answer: %s", describe(error))
            answer = Failure(message="The index made a mistake; its log says where.")
        answer.id = request.id
        _send(answer, writer)
        if isinstance(request, Stop):
            self._is_over.set()


def _send(answer: Answer, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, RuntimeError):  # it has gone
        writer.write(msgspec.json.encode(answer) + b"\n")


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    return listener


def _remove_leftovers(folder: Path, ours: Path) -> None:
    """Delete what this repository's index was with other settings, and databases that nobody has used for long."""
    root, _, _ = ours.stem.partition("-")
    for path in ours.parent.glob("*-*.db"):
        with contextlib.suppress(OSError, filelock.Timeout):
            is_old = time.time() - path.stat().st_mtime > _KEEP_S
            if path != ours and (is_old or path.stem.startswith(f"{root}-")):
                with filelock.FileLock(endpoint.lock_path(folder, path.stem.partition("-")[2])).acquire(blocking=False):
                    for part in path.parent.glob(f"{path.stem}.*"):
                        part.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
