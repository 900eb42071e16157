"""What the index answers, and the care for the process that reads the files."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import psutil

from fimble import __version__
from fimble.index import endpoint, schema
from fimble.index.candidates import Place
from fimble.index.child import Child
from fimble.index.database import Database
from fimble.index.retrieval import copies, snippets
from fimble.index.secrets import mask
from fimble.index.source import Sources
from fimble.index.wire import (
    Answer,
    Changed,
    Done,
    Failure,
    FoundSnippets,
    IndexSettings,
    Order,
    Rebuild,
    Request,
    Retrieve,
    Status,
    StatusRequest,
)

T = TypeVar("T")

#: Editors that do not tell of changed files have everything looked at this often while somebody asks.
_SCAN_EVERY_S = 30.0

_log = logging.getLogger("fimble.index")


class Answers:
    """Owns the database that is read, and the child that writes it.  SQLite has a thread of its own."""

    def __init__(self, settings: IndexSettings) -> None:
        self._settings = settings
        self._path = endpoint.database_path(settings)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")
        self._database: Database | None = None
        self._sources: Sources | None = None
        self._child = Child(settings, self._path)
        self._scanned_at = time.monotonic()
        self._problem = ""

    @property
    def is_busy(self) -> bool:
        """Whether files are being read."""
        return self._child.progress.is_busy

    async def run(self) -> None:
        """Have the files read, again and again if the child ends; a damaged database is thrown away."""
        await self._on_thread(self._open)
        while not self._problem:
            is_damaged = await self._child.run()
            if is_damaged:
                await self._on_thread(self._throw_away)
        _log.warning("%s", self._problem)
        await asyncio.Event().wait()  # windows are told why

    async def close(self) -> None:
        """End the child and let go of the database."""
        await self._child.end()
        await self._on_thread(self._let_go)
        self._thread.shutdown()

    async def to(self, request: Request, windows: int) -> Answer:
        """The answer to *request*; never raises for what it meets."""
        try:
            match request:
                case Retrieve():
                    self._look_around()
                    return await self._on_thread(lambda: self._retrieve(request))
                case Changed():
                    self._child.order(Order(self._own(request.paths)))
                case StatusRequest():
                    return await self._on_thread(lambda: self._status(windows))
                case Rebuild():
                    self._child.start_over()
            return Done()
        except sqlite3.OperationalError as error:
            return Failure(message=f"The index cannot be read now: {error}.")
        except sqlite3.DatabaseError as error:
            _log.warning("the index is damaged: %s", error)
            self._child.start_over()
            return Failure(message="The index was damaged; it is built anew.")

    def _look_around(self) -> None:
        now = time.monotonic()
        if now - self._scanned_at > _SCAN_EVERY_S and not self.is_busy:
            self._scanned_at = now
            self._child.order(Order())

    def _own(self, paths: list[str]) -> list[str]:
        """Those of *paths* that are in the repository, relative to it."""
        root = self._settings.root.rstrip("/") + "/"
        relative = (path.removeprefix(root) for path in paths)
        return [path for path in relative if not path.startswith("/") and ".." not in path.split("/")]

    # --- on the database's thread -------------------------------------------------------------------------------

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> None:
        try:
            self._database = Database.open(self._path)
        except (OSError, sqlite3.Error) as error:
            self._problem = f"The index cannot be kept in {self._path.parent}: {error}."
            return
        root = Path(self._settings.root)
        self._sources = Sources(root, self._database, self._settings.max_file_kb * 1024)
        # The detectors are loaded with the first line that needs them, which takes a tenth of a second.
        mask('password = "once upon a time"', "python")

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = self._sources = None

    def _throw_away(self) -> None:
        self._let_go()
        schema.remove(self._path)
        self._open()

    def _retrieve(self, question: Retrieve) -> Answer:
        if self._database is None or self._sources is None:
            return self._why_not()
        started = time.perf_counter()
        place = Place(self._database, self._sources, question)
        found = snippets(place)
        ms = (time.perf_counter() - started) * 1000
        diffs = [mask(diff, question.language) for diff in question.diffs]
        return FoundSnippets(
            snippets=found,
            diffs=diffs,
            copies=copies(place),
            ms=ms,
            is_complete=self._child.progress.state == "ready",
        )

    def _status(self, windows: int) -> Answer:
        if self._database is None:
            return self._why_not()
        progress = self._child.progress
        files = [self._path.with_name(self._path.name + suffix) for suffix in ("", "-wal")]
        return Status(
            fimble=__version__,
            pid=os.getpid(),
            root=self._settings.root,
            database=str(self._path),
            database_bytes=sum(file.stat().st_size for file in files if file.exists()),
            definitions=self._database.count_definitions(),
            windows=windows,
            memory_bytes=psutil.Process().memory_info().rss + progress.memory_bytes,
            progress=progress,
        )

    def _why_not(self) -> Failure:
        fix = "Make the folder writable, or switch the index off (index.enabled)."
        return Failure(message=self._problem, fix=fix) if self._problem else Failure(message="The index is starting.")
