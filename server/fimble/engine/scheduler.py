"""One thread owns llama.cpp; requests reach it through a queue.

Newest wins: a request ends the older ones of its session.  Warming (``n_predict`` 0) runs when nobody waits
and ends at once when somebody does.  Whatever was evaluated stays in the cache, also when its request was
ended, so nothing is computed twice.
"""

from __future__ import annotations

import collections
import logging
import threading
from pathlib import Path

import numpy as np
import psutil

from fimble.engine.generator import CHUNK_TOKENS, Generator, Job
from fimble.engine.llama import Context, Decoded, Model
from fimble.engine.wire import Chunk, Counters, EngineSettings
from fimble.errors import EngineError, EngineOverloaded, FimbleError, ModelCorrupt

_log = logging.getLogger("fimble.engine")

_SEQUENCES = 8
_MAX_WAITING = 32

#: Below this many parameters one thread writes faster than several that wait for each other
#: (measured: 45 M, 2 cores: 337 tokens/s with one thread, 304 with two).
_SMALL_MODEL_PARAMS = 60_000_000


class Scheduler:
    """Loads the model and serves jobs, on a thread of its own."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.counters = Counters()
        self.progress = 0.0
        self.ready = False
        self.failure: FimbleError | None = None
        self.model: Model | None = None
        self.n_ctx = 0
        self._waiting: collections.deque[Job] = collections.deque()
        self._running: Job | None = None
        self._context: Context | None = None
        self._closed = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        """Begin to load the model."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue *job*; ends what it replaces.  Raises EngineOverloaded when too much is waiting."""
        with self._wake:
            for other in self._jobs():
                same = job.request.session and other.request.session == job.request.session
                if same or (other.is_warming and not job.is_warming):
                    self._end(other, "cancelled")
            if self._closed or len(self._waiting) >= _MAX_WAITING:
                raise EngineOverloaded(f"{len(self._waiting)} requests are waiting already.")
            self.counters.requests += 1
            self._waiting.append(job)
            self._wake.notify()

    def end(self, job: Job, reason: str) -> None:
        """End *job* early: its client went away (``cancelled``) or its time is up (``deadline``).  Any thread."""
        with self._wake:
            self._end(job, reason)

    def _jobs(self) -> list[Job]:
        return [*self._waiting, *([self._running] if self._running else [])]

    def _end(self, job: Job, reason: str) -> None:
        if job.ended_by:
            return
        job.ended_by = reason
        if job in self._waiting:
            self._waiting.remove(job)
            self.counters.cancelled += reason == "cancelled"
            job.emit(Chunk(stop=True, stop_type=reason))
        elif job is self._running and self._context:
            self._context.abort()

    def end_all(self) -> None:
        """End every job, and take none from now on."""
        with self._wake:
            self._closed = True
            for job in self._jobs():
                self._end(job, "cancelled")
            self._wake.notify()

    def close(self) -> None:
        """End every job and the thread."""
        self.end_all()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            generator = self._load()
        except FimbleError as failure:
            self.failure = failure
            return
        except Exception as failure:
            _log.exception("the model could not be loaded")
            self.failure = EngineError(f"The engine failed while it loaded the model: {failure!r}.", "See its log.")
            return
        self.ready = True
        while job := self._next():
            try:
                generator.serve(job)
            except (FimbleError, ValueError) as failure:
                job.emit(failure)
            except Exception as failure:
                # A bug costs this answer and leaves its traceback in the log; the engine goes on.
                _log.exception("a request failed")
                job.emit(EngineError(f"The engine failed: {failure!r}."))
            finally:
                with self._wake:
                    self._running = None

    def _load(self) -> Generator:
        model = Model(Path(self.settings.model_path), self._on_progress)
        self.n_ctx = min(self.settings.context_tokens, model.n_ctx_train or self.settings.context_tokens)
        cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
        threads = self.settings.threads or (1 if model.n_params < _SMALL_MODEL_PARAMS else min(cores, 8))
        context = Context(
            model,
            n_ctx=2 * self.n_ctx,
            n_seq=_SEQUENCES,
            n_batch=CHUNK_TOKENS,
            threads=threads,
            threads_batch=self.settings.threads or cores,
        )
        check_finite(model, context)
        self.model, self._context = model, context
        return Generator(model, context, self.n_ctx, _SEQUENCES, self.counters)

    def _on_progress(self, share: float) -> None:
        self.progress = share

    def _next(self) -> Job | None:
        with self._wake:
            while not self._waiting and not self._closed:
                self._wake.wait()
            if self._closed:
                return None
            # Somebody who waits comes before anything that is only prepared.
            job = next((j for j in self._waiting if not j.is_warming), self._waiting[0])
            self._waiting.remove(job)
            self._running = job
            assert self._context is not None
            # Under the lock, so that no abort meant for the last job reaches this one, and none for this one is lost.
            self._context.resume()
            return job


def check_finite(model: Model, context: Context) -> None:
    """Refuse weights that compute nonsense: flipped bits load without a word and then give NaN."""
    tokens = model.vocab.tokenize("def add(a, b):\n    return a + b\n")
    status = context.decode(tokens[:CHUNK_TOKENS], 0, 0)
    finite = status is Decoded.OK and bool(np.isfinite(context.logits()).all())
    context.clear(0)
    if not finite:
        raise ModelCorrupt(
            f"{model.path} is damaged: its weights give numbers that are not finite.", "Download it again."
        )
