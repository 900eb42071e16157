"""Which lane serves which window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fimble.engine.job import Job
from fimble.engine.lane import Lane

#: Windows that are remembered; of others it is forgotten where they were.
_MOST_WINDOWS = 64


class Homes:
    """A window keeps to its lane, unless others work there and another lane has less to do.

    The scheduler's lock guards it, and *lanes*.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        self._by_window: dict[str, Lane] = {}

    def of(self, job: Job) -> Lane | None:
        """Where *job* can be served; None while its window is on its way to another lane."""
        if any(job.window in lane.leaving for lane in self._lanes):
            return None
        return self._by_window.get(job.window, self._lanes[0])

    def place(self, job: Job, everybody: Iterable[Job]) -> None:
        """Choose a lane for *job*, where *everybody* else is served or waits."""
        before = self._by_window.pop(job.window, None)
        load = self._loads(job, everybody)
        best = before or self._lanes[0]
        if len(self._lanes) > 1 and not self._is_bound(job):
            best = min(self._lanes, key=lambda lane: (load[lane.number], lane is not before))
            if before and best is not before:
                before.leaving[job.window] = best
        self._by_window[job.window] = best
        if len(self._by_window) > _MOST_WINDOWS:
            del self._by_window[next(iter(self._by_window))]

    def _is_bound(self, job: Job) -> bool:
        """Whether the window has something in the making, or is on its way already."""
        active = (other for lane in self._lanes for other in lane.active)
        return self.of(job) is None or any(
            other.window == job.window and not (other.ended_by or other.is_done) for other in active
        )

    def _loads(self, job: Job, everybody: Iterable[Job]) -> list[int]:
        """How many others each lane has that are as urgent."""
        loads = [0] * len(self._lanes)
        for other in everybody:
            if other.window != job.window and other.priority <= job.priority and not (other.ended_by or other.is_done):
                loads[self._by_window.get(other.window, self._lanes[0]).number] += 1
        return loads
