"""The process that reads the files, as its parent sees it: started, told what to do, started again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from pathlib import Path

import msgspec

from fimble.index.wire import IndexSettings, Order, Progress

#: The indexer's exit status for a damaged database (``indexer.DAMAGED``).
_DAMAGED = 4

#: How long to wait before the next start after the first, second ... end in a row, in seconds.
_BACKOFF_S = (0.0, 1.0, 5.0, 60.0)

_END_TIMEOUT_S = 2.0

_log = logging.getLogger("fimble.index")


class Child:
    """Belongs to one event loop."""

    def __init__(self, settings: IndexSettings, path: Path) -> None:
        self.progress = Progress()
        """What it told last."""
        settings_json = msgspec.json.encode(settings).decode()
        self._command = (sys.executable, "-m", "fimble.index.indexer", settings_json, str(path))
        self._process: asyncio.subprocess.Process | None = None
        self._ends = 0
        self._is_over = False
        self._must_start_over = False

    async def run(self) -> bool:
        """Start it and listen until it ends; then wait as long as is decent.  True: the database is not to be kept."""
        if self._is_over:
            await asyncio.Event().wait()
        if self._must_start_over:
            self._must_start_over = False
            return True
        self.progress = Progress()
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout
        async for line in self._process.stdout:
            if self._must_start_over:  # its last words are about what is thrown away
                continue
            self.progress = msgspec.json.decode(line, type=Progress)
            if self.progress.state == "ready":
                self._ends = 0
        status = await self._process.wait()
        starts_over, self._must_start_over = self._must_start_over or status == _DAMAGED, False
        if not self._is_over and not starts_over:
            _log.warning("the process that reads files ended (status %d)", status)
            wait_s = _BACKOFF_S[min(self._ends, len(_BACKOFF_S) - 1)]
            self._ends += 1
            await asyncio.sleep(wait_s)
        return starts_over

    def order(self, order: Order) -> None:
        """Tell it what to look at.  One that is not running looks at everything when it starts."""
        if self._process is not None and self._process.stdin is not None and self._process.returncode is None:
            with contextlib.suppress(OSError, RuntimeError):
                self._process.stdin.write(msgspec.json.encode(order) + b"\n")

    def start_over(self) -> None:
        """End it, and have the database thrown away."""
        self._must_start_over = True
        self.progress = Progress()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def end(self) -> None:
        """End it for good."""
        self._is_over = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _END_TIMEOUT_S)
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
