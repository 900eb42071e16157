"""Which file is being read, on disk: a grammar that ends its process on a file must not do so for ever."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from types import TracebackType

#: How often a process may end while it reads one and the same file before the file is left out.  Twice may be
#: chance: somebody killed it.
_MAX_ENDS = 3

#: Nothing that people write takes so long, in seconds of computing; a file of nothing but open brackets would take
#: minutes in a query, and holds Python's lock all that time.
_MOST_S = 10.0


class Reading:
    """A note of one line beside the database: how often it was begun in a row, and the path.

    A file that takes too long ends the process, too.  The system does that (SIGVTALRM's default action, signal(7)), as
    no Python runs meanwhile; on Windows, which has no such timer, nobody does.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        count, _, name = os.pread(self._file, 65536, 0).partition(b"\n")[0].partition(b" ")
        self._ends = int(count) if count.isdigit() else 0
        self._suspect = name.decode("utf-8", "replace")

    def __enter__(self) -> Reading:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.end()
        os.close(self._file)

    def begin(self, path: str) -> bool:
        """Note that *path* is read now; False if it ended the process too often."""
        ends = self._ends if path == self._suspect else 0
        if ends >= _MAX_ENDS:
            return False
        self._write(f"{ends + 1} {path}\n")
        _end_after(_MOST_S)
        return True

    def end(self) -> None:
        """Note that it went well."""
        _end_after(0)
        self._write("\n")

    def _write(self, line: str) -> None:
        with contextlib.suppress(OSError):  # a full disk: then there is no note
            os.pwrite(self._file, line.encode("utf-8"), 0)


def _end_after(seconds: float) -> None:
    """End this process when it has computed for so long; 0 takes that back."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
