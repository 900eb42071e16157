"""What somebody who waits for a model sees; nothing where nobody looks."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from fimble.cli.output import console


class Waiting:
    """One line at a time: bytes with their speed, or a share.  On stderr, and only on a terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = console(stderr=True)
        self._disabled = quiet or not self._console.is_terminal
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._title = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Take the line away, before something else is written."""
        if self._progress:
            self._progress.stop()
        self._progress = self._task = None
        self._title = ""

    def trying(self) -> None:
        """A model is being loaded, and nobody knows for how long."""
        self._show("Trying the model", [TextColumn("{task.description} ...")], None, 0)

    def fetched(self, done_bytes: int, size_bytes: int) -> None:
        """So many bytes are there, of so many."""
        columns = [BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()]
        self._show("Getting it", columns, size_bytes, done_bytes)

    def checked(self, share: float) -> None:
        """So much was read again, from 0 to 1."""
        self.checked_of("")(share)

    def checked_of(self, name: str) -> Callable[[float], None]:
        """The same for one of several models."""
        title = f"Checking {name}".rstrip()
        columns = [TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn()]
        return lambda share: self._show(title, columns, 1.0, share)

    def _show(self, title: str, columns: list[ProgressColumn], total: float | None, done: float) -> None:
        if self._disabled:
            return
        if title != self._title or self._progress is None or self._task is None:
            self.end()
            self._title = title
            self._progress = Progress(*columns, console=self._console, transient=True)
            # What was there before counts for the bar and not for the speed.
            self._task = self._progress.add_task(title, total=total, completed=int(done))
            self._progress.start()
        self._progress.update(self._task, completed=done)
