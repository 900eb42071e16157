"""The process that reads the repository: ``python -m fimble.index.indexer SETTINGS_JSON DATABASE``.

A process of its own, started by the index's server: parsing keeps Python's lock for tens of milliseconds, and windows
must not wait for it.  Orders come as lines of JSON on stdin, progress goes out on stdout; when stdin ends, it ends.

Exit status: 0 when told to end, 1 when the database cannot be opened or something unforeseen happened, 4 when the
database is damaged.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import queue
import sqlite3
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path

import msgspec
import psutil

from fimble.index import records
from fimble.index.crash import describe
from fimble.index.crawl import IGNORE_FILES, Candidate, Crawl
from fimble.index.database import Database, FileRecord, FileStamp
from fimble.index.reading import Reading
from fimble.index.wire import IndexSettings, Order, Progress

DAMAGED = 4

#: How often what was read is committed: windows see what is.  And how often progress is told.
_BATCH_S = 0.3
_TELL_EVERY_S = 0.1

#: A repository that changes faster than it can be read is left alone until somebody asks again.
_MAX_PASSES = 3

#: Between looks at stdin while a large repository is walked through.
_CANDIDATES_PER_LOOK = 500

CRASHED = "reading it ended the process, or took too long"

#: So many new objects before the garbage collector looks at them; Python's own limit is 700.
_COLLECT_EVERY = 100_000

_log = logging.getLogger("fimble.index")


def main(argv: list[str]) -> int:
    """Read the repository, and then what is ordered, until stdin ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    _give_way()
    # What is made of a file are ten thousand small objects without a cycle: looking for cycles among them takes time.
    gc.set_threshold(_COLLECT_EVERY)
    settings = msgspec.json.decode(argv[0], type=IndexSettings)
    orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    try:
        database = Database.open(Path(argv[1]), make=False)
        with contextlib.closing(database), Reading(Path(argv[1]).with_suffix(".reading")) as reading:
            Indexer(settings, database, reading, orders).run()
    except (OSError, sqlite3.OperationalError) as error:
        _log.warning("the index cannot be used: %s", error)
        return 1
    except sqlite3.DatabaseError as error:
        _log.warning("the index is damaged: %s", error)
        return DAMAGED
    except Exception as error:  # it is started again, and after three times leaves out the file that it was reading
        _log.error("reading failed: %s", describe(error))
        return 1
    return 0


def _give_way() -> None:
    """Whatever else the machine does comes first."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    with contextlib.suppress(psutil.Error, OSError, AttributeError, ValueError):
        psutil.Process().ionice(psutil.IOPRIO_CLASS_BE, 7)


def _listen(orders: queue.SimpleQueue[Order | None]) -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in sys.stdin.buffer:
            orders.put(msgspec.json.decode(line, type=Order))
    orders.put(None)


class _Ended(Exception):
    """Nobody wants the rest."""


class Indexer:
    """Keeps the database as the repository is."""

    def __init__(
        self, settings: IndexSettings, database: Database, reading: Reading, orders: queue.SimpleQueue[Order | None]
    ) -> None:
        self._settings = settings
        self._root = Path(settings.root)
        self._max_bytes = settings.max_file_kb * 1024
        self._database = database
        self._reading = reading
        self._orders = orders
        self._left_out: Counter[str] = Counter()
        """What the last walk through everything left out."""
        self._unread: Counter[str] = Counter()
        self._is_outdated = True
        """Whether everything has to be looked at (again)."""
        self._started = self._told_at = 0.0
        self._total = self._done = 0

    def run(self) -> None:
        """Look at everything, then at what is ordered.  Raises sqlite3.DatabaseError if the database is damaged."""
        with contextlib.suppress(_Ended):
            self._pass(Order())
            if not self._database.is_sound():
                raise sqlite3.DatabaseError("the check found damage")
            while True:
                self._pass(self._next())

    def _next(self) -> Order:
        order = self._orders.get()
        if order is None:
            raise _Ended
        return order

    def _pass(self, order: Order) -> None:
        """Do what is ordered.  A full disk is told, and tried again when something is ordered next."""
        self._started = time.monotonic()
        try:
            changed, gone = self._heed([order])
            for _ in range(_MAX_PASSES):
                if self._is_outdated:
                    changed, gone = self._compare_everything()
                self._work(changed, gone)
                if not self._is_outdated:
                    break
            self._tell("ready" if self._root.is_dir() else "failed")
        except sqlite3.OperationalError as error:  # damage is a plain DatabaseError
            _log.warning("the index cannot be written: %s", error)
            self._is_outdated = True
            self._tell("failed", f"The index cannot be written: {error}.")

    # --- what is to be done -------------------------------------------------------------------------------------

    def _compare_everything(self) -> tuple[deque[Candidate], deque[str]]:
        """What has changed, and what is gone."""
        self._is_outdated = False
        self._tell("scanning")
        crawl = Crawl(self._settings)
        found: dict[str, Candidate] = {}
        for one in crawl.files():
            found[one.path] = one
            if len(found) % _CANDIDATES_PER_LOOK == 0 and self._collect():
                self._is_outdated = True  # whatever it was, the next walk sees it
        self._left_out = crawl.skipped
        self._unread = Counter()
        if not self._root.is_dir():
            return deque(), deque()
        known = self._database.stamps()
        changed = deque(one for one in found.values() if not _is_as(one, known.get(one.path)))
        self._total, self._done = len(found), len(found) - len(changed)
        return changed, deque(known.keys() - found.keys())

    def _heed(self, orders: Iterable[Order]) -> tuple[deque[Candidate], deque[str]]:
        """What has changed, and what is gone, among the paths that are ordered."""
        asked: set[str] = set()
        for order in orders:
            if order.paths is None or any(path.rpartition("/")[2] in ("", *IGNORE_FILES) for path in order.paths):
                self._is_outdated = True
            else:
                asked.update(order.paths)
        if self._is_outdated:
            return deque(), deque()
        crawl = Crawl(self._settings)
        found = {one.path: one for path in sorted(asked) for one in crawl.files(path)}
        known = {path: stamp for one in asked for path, stamp in self._database.stamps(one).items()}
        if self._total + len(found.keys() - known.keys()) > self._settings.max_files:
            found = {path: one for path, one in found.items() if path in known}
        return (
            deque(one for one in found.values() if not _is_as(one, known.get(one.path))),
            deque(known.keys() - found.keys()),
        )

    def _collect(self) -> list[Order]:
        """The orders that came meanwhile."""
        orders = []
        while not self._orders.empty():
            orders.append(self._next())
        return orders

    # --- doing it -----------------------------------------------------------------------------------------------

    def _work(self, changed: deque[Candidate], gone: deque[str]) -> None:
        """Read what has changed and forget what is gone; new orders come first."""
        while changed or gone:
            self._tell("indexing")
            until = time.monotonic() + _BATCH_S
            with self._database.transaction():
                while gone and time.monotonic() < until:
                    self._database.remove(gone.popleft())
                while changed and time.monotonic() < until:
                    self._read(changed.popleft())
            if orders := self._collect():
                newer, lost = self._heed(orders)
                changed.extendleft(newer)
                gone.extendleft(lost)
        self._database.tidy()

    def _read(self, one: Candidate) -> None:
        known = self._database.stamp_of(one.path)
        if not self._reading.begin(one.path):
            self._database.put(records.left_out(one.path, FileStamp(one.mtime_ns, one.size), CRASHED))
            return
        made = records.read(self._root, one, self._max_bytes, known)
        if isinstance(made, FileRecord):
            self._database.put(made)
        elif isinstance(made, FileStamp):
            self._database.touch(one.path, made)
        else:
            self._database.remove(one.path)
            self._unread[made] += 1
            # It was moved or grew: the next walk knows better.  What cannot be read will not be readable then, either.
            self._is_outdated |= made == records.VANISHED
        self._reading.end()
        self._done += 1
        if time.monotonic() - self._told_at > _TELL_EVERY_S:
            self._tell("indexing")

    def _tell(self, state: str, problem: str = "") -> None:
        if state == "ready":
            self._total = self._done = self._database.count_files()
        if state == "failed" and not problem:
            problem = f"{self._root} is not there any more."
        self._told_at = time.monotonic()
        progress = Progress(
            state=state,
            files_total=self._total,
            files_done=self._done,
            skipped=dict(self._left_out + self._unread + self._database.count_skipped()) if state == "ready" else {},
            seconds=self._told_at - self._started,
            problem=problem,
            memory_bytes=psutil.Process().memory_info().rss,
        )
        with contextlib.suppress(OSError):  # the server has gone; stdin will say so
            sys.stdout.buffer.write(msgspec.json.encode(progress) + b"\n")
            sys.stdout.buffer.flush()


def _is_as(one: Candidate, known: FileStamp | None) -> bool:
    return known is not None and (one.mtime_ns, one.size) == (known.mtime_ns, known.size)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
