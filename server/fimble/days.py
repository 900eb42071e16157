"""What each day came to: suggestions, the keys that they saved, and what the engines took.  Numbers only, no text.

Kept in one small file that all windows add to, in pauses and when they close.  An engine serves several windows, so
what it took is counted by the file, not by them: whoever adds next adds what it has used since anybody did.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from fimble import energy, ledger, paths
from fimble.energy import Sample
from fimble.errors import FimbleError
from fimble.stats import Stats

#: How long the file lags behind at most while somebody types.
_EVERY_S = 60.0

#: Older days go.
_DAYS = 366

#: What is kept of `Stats`, each by its source.
KEPT = ("shown", "accepted", "typed", "dismissed", "ignored", "keys_saved")


class Day(msgspec.Struct, kw_only=True):
    """One day of all windows."""

    counts: dict[str, int] = {}
    """``shown_model`` and the like: what, and from which source."""
    engine_cpu_s: float = 0.0
    energy_j: dict[str, float] = {}
    """Joules by where they were read: ``rapl``, ``battery`` or ``estimate``."""
    engine_memory_bytes: int = 0
    """The most that all engines together were seen to hold."""


class Days(msgspec.Struct, kw_only=True):
    """The file."""

    days: dict[str, Day] = {}
    """By date, YYYY-MM-DD in local time."""
    sample: Sample | None = None


class Diary:
    """Adds what one window's *stats* have counted to the file.  *clock* tells seconds that never go back."""

    def __init__(self, stats: Stats, file: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stats = stats
        self._file = file or file_of_days()
        self._clock = clock
        self._written: Counter[str] = Counter()
        self._next_s = clock() + _EVERY_S

    @property
    def is_due(self) -> bool:
        """Whether a minute has passed since the last time."""
        return self._clock() >= self._next_s

    def keep(self) -> None:
        """Add to the file what is new.  Blocks for some milliseconds: for a thread.  Never raises."""
        self._next_s = self._clock() + _EVERY_S
        now = _kept(self._stats)
        with contextlib.suppress(FimbleError):
            sample, memory_bytes = take_sample()
            if ledger.change(
                self._file, Days, lambda before: added(before or Days(), now - self._written, sample, memory_bytes)
            ):
                self._written = now


def _kept(stats: Stats) -> Counter[str]:
    names = tuple(f"{name}_" for name in KEPT)
    return Counter({name: count for name, count in stats.as_dict().items() if name.startswith(names)})


def added(before: Days, counts: Counter[str], sample: Sample, memory_bytes: int) -> Days:
    """*before* with what is new of a window, and what the engines took until *sample*."""
    today = time.strftime("%Y-%m-%d", time.localtime(sample.unix_s))
    day = before.days.get(today, Day())
    spent = energy.spent(before.sample, sample)
    joules = Counter(day.energy_j)
    joules.update({spent.source: spent.joules} if spent.joules else {})
    now = Day(
        counts=dict(Counter(day.counts) + counts),
        engine_cpu_s=day.engine_cpu_s + spent.cpu_s,
        energy_j=dict(joules),
        engine_memory_bytes=max(day.engine_memory_bytes, memory_bytes),
    )
    kept = sorted({**before.days, today: now}.items())[-_DAYS:]
    return Days(days=dict(kept), sample=sample)


def take_sample() -> tuple[Sample, int]:
    """What can be read now, and the bytes that all engines of this user hold.

    Raises EngineUnreachable if there is no folder in which engines could be found.
    """
    # Only now: they are not worth a moment of a window's start.
    import psutil

    from fimble.engine import launch

    cpu_s: dict[str, float] = {}
    memory_bytes = 0
    for engine in launch.running_engines(paths.runtime_dir()):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(engine.pid)
            times = process.cpu_times()
            cpu_s[f"{engine.pid} {process.create_time():.0f}"] = times.user + times.system
            memory_bytes += process.memory_info().rss
    everybody = psutil.cpu_times()
    meter, counters, ranges = energy.read_counters()
    sample = Sample(
        unix_s=time.time(),
        machine_cpu_s=everybody.user + everybody.system + getattr(everybody, "nice", 0.0),
        engines_cpu_s=cpu_s,
        meter=meter,
        counters_j=counters,
        ranges_j=ranges,
    )
    return sample, memory_bytes


def file_of_days() -> Path:
    """Where the days are."""
    return paths.data_dir() / "days.json"


def read() -> Days:
    """What was kept until now."""
    return ledger.read(file_of_days(), Days) or Days()
