"""Keeps an engine on the settings that are best now: measured on this machine, fewer threads while it is busy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import NamedTuple

from fimble import paths
from fimble.engine import tuning
from fimble.engine.llama import Context, Model
from fimble.engine.pressure import Pressure
from fimble.engine.wire import EngineSettings, Load, Tuning
from fimble.errors import FimbleError

_log = logging.getLogger("fimble.engine")

#: Nothing is measured while others keep more cores than this busy.
_QUIET_CORES = 0.25


class Share(NamedTuple):
    """What one of *lanes* computes with: so many threads to write, and to read.

    If *apart*, each has a core of its own, from core number *first* on; *beside* threads are the other lanes'.
    """

    threads: int
    threads_batch: int
    apart: bool
    first: int = 0
    beside: int = 0
    lanes: int = 1


class Tuner:
    """Belongs to the first lane's thread, but for ``give_way`` (any) and, under the scheduler's lock, the load.

    *is_wanted* says whether anybody has asked for something.
    """

    def __init__(self, settings: EngineSettings, is_wanted: Callable[[], bool]) -> None:
        self.load = Load(saves_power=settings.power == "saving")
        self.tuning: Tuning | None = None
        self._settings = settings
        self._is_wanted = is_wanted
        self._pressure = Pressure(settings.power)
        self._context: Context | None = None
        self._share: Share | None = None
        self._model: Model | None = None
        self._measuring: Generator[None, None, Tuning] | None = None
        self._computing: Context | None = None
        self._has_work = False

    def begin(self, model: Model) -> Tuning:
        """What to begin with.  If it is only a guess, there is something to measure."""
        self._model = model
        self.tuning = tuning.initial(self._settings, model, paths.cache_dir())
        self._has_work = not self.tuning.measured and not self._settings.threads
        return self.tuning

    def adapt(self, context: Context | None = None) -> None:
        """Look at the machine now and then; let *context*, the same from then on, compute with what suits it."""
        self._context = context or self._context
        self.look()
        if self._measuring and not self._is_quiet:
            # What was found beside others would be kept for good: begin anew when they are done.
            self._measuring.close()
            self._measuring = None
        if self._context and self.tuning and (share := self.share()) != self._share:
            self._share = share
            self._context.set_threads(share.threads, share.threads_batch, apart=share.apart)

    def look(self) -> None:
        """Look at the machine now and then.  Under the scheduler's lock."""
        self.load = self._pressure.look()

    def share(self, lane: int = 0, lanes: int = 1) -> Share:
        """What suits the *lane*-th of *lanes* that compute at once.  Any thread."""
        assert self.tuning is not None
        cores = tuning.cores()
        threads, threads_batch = self.tuning.threads, self.tuning.threads_batch
        if not self._settings.threads:
            # A thread that has to share its core holds up all others.
            threads, threads_batch = (self.load.threads(count, cores) for count in (threads, threads_batch))
        if lanes > 1:
            most = max((self._settings.threads or self.load.threads(cores, cores)) // lanes, 1)
            threads, threads_batch = min(threads, most), min(threads_batch, most)
        each = max(threads, threads_batch)
        return Share(threads, threads_batch, self.load.leaves_all_cores, lane * each, (lanes - 1) * each, lanes)

    def pause(self) -> None:
        """Nothing is asked for."""
        self._pressure.end()

    def go_on(self) -> None:
        """Somebody asks for something."""
        self._pressure.begin()

    @property
    def has_work(self) -> bool:
        """Whether there is something to measure, on a machine that is quiet enough for it."""
        return self._has_work and self._is_quiet

    @property
    def _is_quiet(self) -> bool:
        return self.load.busy_cores <= _QUIET_CORES

    def measure(self) -> None:
        """In an idle moment: one decode towards the best settings."""
        if not self._has_work or self._model is None:
            return
        if self._measuring is None:
            tries = tuning.candidates(tuning.cores())
            self._measuring = tuning.measure(self._model, tries, self._begin_decode)
        try:
            next(self._measuring)
        except StopIteration as done:
            self._measuring, self._has_work, self.tuning = None, False, done.value
            tuning.save(tuning.file_of(paths.cache_dir(), self._settings), done.value)
        except FimbleError as failure:
            # Too little memory for a second context, say: the guess has to do.
            self._measuring, self._has_work = None, False
            _log.warning("the best settings could not be measured: %s", failure)
        finally:
            self._computing = None

    def give_way(self) -> None:
        """Somebody is waiting: stop measuring at once.  Any thread."""
        if context := self._computing:
            context.abort()

    def _begin_decode(self, context: Context) -> None:
        context.resume()
        self._computing = context
        # After that: whoever came before it was set is seen here, and whoever comes later sees it.
        if self._is_wanted():
            context.abort()
