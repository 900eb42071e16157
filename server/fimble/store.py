"""Suggestions on disk, so that a restart does not forget them.

The only module that knows diskcache.  Nothing is ever unpickled: diskcache reads pickles from any row that
says it is one (CVE-2025-69872), so our Disk knows text and nothing else.  SQLite runs on a thread of its own,
with a short timeout: a cache that is locked, full, broken or read-only is a cache that misses.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import diskcache

from fimble import paths

_log = logging.getLogger("fimble.store")

_MODE_RAW = 1
_TIMEOUT_S = 0.25

#: A database that somebody else holds must not hold up a suggestion.
_PATIENCE_S = 0.5


class TextDisk(diskcache.Disk):  # type: ignore[misc]
    """Stores text in the database and refuses to read anything else: no pickles, no files."""

    def put(self, key: str) -> tuple[str, bool]:
        """A key, as text."""
        if type(key) is not str:
            raise TypeError("cache keys are text")
        return key, True

    def get(self, key: Any, raw: bool) -> str:
        """A key read back."""
        if type(key) is not str or not raw:
            raise ValueError("a cache row has a key that is not text")
        return key

    def store(self, value: str, read: bool, key: Any = None) -> tuple[int, int, None, str]:  # noqa: ARG002
        """A value, as text, in the database itself."""
        if type(value) is not str or read:
            raise TypeError("cache values are text")
        return len(value), _MODE_RAW, None, value

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> str:  # noqa: ARG002
        """A value read back; rows that anybody else planted are refused."""
        if mode != _MODE_RAW or filename is not None or type(value) is not str:
            raise ValueError("a cache row holds something that is not text")
        return value

    def remove(self, file_path: str) -> None:
        """There are no files: a row that names one must not make us delete it."""


class Store:
    """A persistent text-to-text map that may forget, and never fails."""

    def __init__(self, folder: Path, max_mb: int) -> None:
        self._folder = folder
        self._max_bytes = max_mb * 1024 * 1024
        self._cache: Any = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self.problem = ""
        """Why nothing is remembered on disk, for `fimble doctor` and the log; empty while all is well."""
        self._thread.submit(self._open)

    async def get(self, key: str) -> str | None:
        """The text stored under *key*, if any."""
        reading = asyncio.get_running_loop().run_in_executor(self._thread, self._get, key)
        try:
            return await asyncio.wait_for(reading, _PATIENCE_S)
        except TimeoutError:
            return None

    def put(self, key: str, value: str) -> None:
        """Store *value* soon; the caller does not wait."""
        with contextlib.suppress(RuntimeError):  # closing
            self._thread.submit(self._put, key, value)

    def close(self) -> None:
        """Write what is waiting and close."""
        with contextlib.suppress(RuntimeError):  # closed already
            self._thread.submit(self._close)
        self._thread.shutdown(wait=True)

    def _open(self) -> Any:
        if self._cache is None and not self.problem:
            try:
                paths.make_private_dir(self._folder)
                self._cache = diskcache.Cache(
                    str(self._folder),
                    disk=TextDisk,
                    timeout=_TIMEOUT_S,
                    size_limit=self._max_bytes,
                    eviction_policy="least-recently-used",
                    # No value is ever a file of its own.
                    disk_min_file_size=2**31,
                )
                for path in self._folder.glob("cache.db*"):
                    path.chmod(0o600)
            # diskcache makes attributes of what it reads: whatever a file's content leads to is caught.
            except Exception as error:
                self.problem = f"The cache in {self._folder} cannot be used ({error}); nothing is remembered on disk."
                _log.warning("%s", self.problem)
        return self._cache

    def _get(self, key: str) -> str | None:
        try:
            cache = self._open()
            value = cache.get(key) if cache is not None else None
        except Exception as error:
            _log.warning("cache read failed: %s", error)
            return None
        return value if isinstance(value, str) else None

    def _put(self, key: str, value: str) -> None:
        try:
            cache = self._open()
            if cache is not None:
                cache.set(key, value)
        except Exception as error:
            _log.warning("cache write failed: %s", error)

    def _close(self) -> None:
        if self._cache is not None:
            with contextlib.suppress(Exception):
                self._cache.close()
