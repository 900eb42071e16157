"""Keeps an engine on the settings that are best now: measured on this machine, fewer threads while it is busy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator

from fimble import paths
from fimble.engine import tuning
from fimble.engine.llama import Context, Model
from fimble.engine.pressure import Pressure
from fimble.engine.wire import EngineSettings, Load, Tuning
from fimble.errors import FimbleError

_log = logging.getLogger("fimble.engine")

#: Nothing is measured while others keep more cores than this busy.
_QUIET_CORES = 0.25


class Tuner:
    """Belongs to the inference thread, but for ``give_way``.  *is_wanted* says whether a request is waiting."""

    def __init__(self, settings: EngineSettings, is_wanted: Callable[[], bool]) -> None:
        self.load = Load(saves_power=settings.power == "saving")
        self.tuning: Tuning | None = None
        self._settings = settings
        self._is_wanted = is_wanted
        self._pressure = Pressure(settings.power)
        self._context: Context | None = None
        self._threads = (0, 0, False)
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
        self.load = self._pressure.look()
        if self._measuring and not self._is_quiet:
            # What was found beside others would be kept for good: begin anew when they are done.
            self._measuring.close()
            self._measuring = None
        if not self._context or not self.tuning:
            return
        threads, threads_batch = self.tuning.threads, self.tuning.threads_batch
        if not self._settings.threads:
            # A thread that has to share its core holds up all others.
            threads, threads_batch = (self.load.threads(count, tuning.cores()) for count in (threads, threads_batch))
        wanted = threads, threads_batch, self.load.leaves_all_cores
        if wanted != self._threads:
            self._threads = wanted
            self._context.set_threads(threads, threads_batch, apart=self.load.leaves_all_cores)

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
