"""One thread owns llama.cpp; requests reach it through a queue.

Served are all jobs of the most urgent class, together; the others wait, with what they have so far.  So a less
urgent job never delays a more urgent one, and what was evaluated stays in the cache, also when its request was
ended: nothing is computed twice.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fimble import digests
from fimble.engine.adapted import Adapted
from fimble.engine.capacity import TOO_LARGE_FIX, check_room
from fimble.engine.generator import CHUNK_TOKENS, Generator, as_answer
from fimble.engine.job import Job, Priority
from fimble.engine.llama import Context, Decoded, Model, sequence_bytes
from fimble.engine.sizes import how_many_sequences
from fimble.engine.tuner import Tuner
from fimble.engine.wire import Chunk, Counters, EngineSettings, Slot
from fimble.errors import EngineError, EngineOverloaded, FimbleError, ModelCorrupt, ModelTooLarge

_log = logging.getLogger("fimble.engine")

_MAX_WAITING = 32

#: After this many seconds without a request the engine looks after itself.
_IDLE_S = 1.0


class Scheduler:
    """Loads the model and serves jobs, on a thread of its own."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.counters = Counters()
        self.progress = 0.0
        self.ready = False
        self.failure: FimbleError | None = None
        self.notice = ""
        self.model: Model | None = None
        self.n_ctx = self._n_seq = 0
        self.tuner = Tuner(settings, lambda: bool(self._waiting))
        self._waiting: list[Job] = []
        self._active: list[Job] = []
        self._decoding: Sequence[Job] = ()
        self._context: Context | None = None
        self._generator: Generator | None = None
        self._closed = self._is_idle = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        """Begin to load the model."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue *job*; ends what it replaces.  Raises EngineOverloaded when too much is waiting."""
        if self.tuner.load.saves_power and job.priority is Priority.SPECULATIVE:
            job.finish(Chunk(stop=True, stop_type="declined"))
            return
        with self._wake:
            for other in [*self._waiting, *self._active]:
                if job.replaces(other):
                    self._end(other, "cancelled")
            self._make_room(job)
            self.counters.requests += 1
            self._waiting.append(job)
            self.tuner.give_way()
            if self._decoding and all(job.priority < other.priority for other in self._decoding):
                self._stop_decode()
            self._wake.notify()

    def end(self, job: Job, reason: str) -> None:
        """End *job* early: its client went away (``cancelled``) or its time is up (``deadline``).  Any thread."""
        with self._wake:
            self._end(job, reason)

    def _prepare(self, job: Job) -> None:
        """Queue a job of the engine's own, if there is room: nobody waits for it."""
        with self._wake:
            for other in [other for other in self._waiting if job.replaces(other)]:
                self._end(other, "cancelled")
            if len(self._waiting) < _MAX_WAITING and not self._closed:
                self._waiting.append(job)

    def _make_room(self, job: Job) -> None:
        """See that *job* can wait: a less urgent job is thrown out of a full queue, the newest first."""
        if self._closed:
            raise EngineOverloaded("The engine is stopping.")
        if len(self._waiting) < _MAX_WAITING:
            return
        self.counters.overloaded += 1
        refusal = EngineOverloaded(f"{len(self._waiting)} requests are waiting already.")
        least = max(self._waiting, key=lambda other: (other.priority, other.arrived))
        if least.priority <= job.priority:
            raise refusal
        self._waiting.remove(least)
        least.finish(refusal)

    def _end(self, job: Job, reason: str) -> None:
        if job.ended_by or job.is_done:
            return
        job.ended_by = reason
        if job in self._waiting:
            self._waiting.remove(job)
            self.counters.cancelled += reason == "cancelled" and not job.is_preparation
            job.finish(job.run.last_chunk() if job.run else Chunk(stop=True, stop_type=reason))
        elif self._decoding and all(other.ended_by for other in self._decoding):
            self._stop_decode()

    def _stop_decode(self) -> None:
        """End the decode under way: nobody in it is waiting for it any more, or somebody more urgent came."""
        if self._context:
            self._context.abort()

    def _may_decode(self, jobs: Sequence[Job]) -> bool:
        """Note who is in the next decode.  False if it is for nobody."""
        with self._wake:
            if all(job.ended_by for job in jobs):
                return False
            self._decoding = jobs
            # Under the lock, so that no abort meant for the last decode reaches this one, and none for this is lost.
            if self._context:
                self._context.resume()
            return True

    def end_all(self) -> None:
        """End every job, and take none from now on."""
        with self._wake:
            self._closed = True
            for job in [*self._waiting, *self._active]:
                self._end(job, "cancelled")
            self._wake.notify()

    def slots(self) -> list[Slot]:
        """What each sequence is used for; empty while the model loads.  Any thread: a look, not a lock."""
        return [
            Slot(
                id=sequence.id,
                n_ctx=self.n_ctx,
                is_processing=sequence.is_held,
                n_prompt_tokens=len(sequence.tokens),
                session=hashlib.sha256(name.encode()).hexdigest()[:16] if (name := sequence.session) else "",
            )
            for sequence in (self._generator.sequences if self._generator else ())
        ]

    @property
    def load(self) -> tuple[int, int]:
        """How many requests are served, and how many wait."""
        return sum(not job.is_done for job in self._active), len(self._waiting)

    def close(self) -> None:
        """End every job and the thread."""
        self.end_all()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            generator = self._generator = self._load()
        except FimbleError as failure:
            self.failure = failure
            return
        except MemoryError:
            self.failure = ModelTooLarge(f"There is not enough memory for {self.settings.model_path}.", TOO_LARGE_FIX)
            return
        except Exception as failure:
            _log.exception("the model could not be loaded")
            self.failure = EngineError(f"The engine failed while it loaded the model: {failure!r}.", "See its log.")
            return
        self.ready = True
        threading.Thread(target=generator.pieces.build, name="pieces", daemon=True).start()
        while (jobs := self._next()) is not None:
            self.tuner.adapt()
            if not jobs:
                self.tuner.measure()
                continue
            try:
                generator.step(jobs, self._may_decode)
            except Exception as failure:
                for job in [job for job in jobs if not job.is_done]:
                    job.finish(as_answer(failure))

    def _load(self) -> Generator:
        settings = self.settings
        check_room(settings)
        # Here, because it may take as long as reading the file does, and no window waits for it.
        digests.check(Path(settings.model_path), settings.model_sha256, self._on_progress)
        model = Model(
            Path(settings.model_path),
            self._on_progress,
            mmap=settings.mmap,
            mlock=settings.mlock,
            gpu_layers=settings.gpu_layers,
        )
        self.n_ctx = min(settings.context_tokens, model.n_ctx_train or settings.context_tokens)
        count = self._n_seq = how_many_sequences(model.size_bytes, sequence_bytes(model, self.n_ctx, settings.kv_type))
        best = self.tuner.begin(model)
        adapted = Adapted(settings.adapter, model)
        context = Context(
            model,
            n_ctx=self.n_ctx,
            n_seq=count,
            n_batch=CHUNK_TOKENS,
            threads=best.threads,
            threads_batch=best.threads_batch,
            flash_attention=best.flash_attention,
            kv_type=settings.kv_type,
        )
        check_finite(model, context)
        adapted.use_in(context, lambda: check_finite(model, context))
        self.notice = adapted.notice
        self.tuner.adapt(context)
        self.model, self._context = model, context
        return Generator(
            model, context, self.n_ctx, count, self.counters, self.settings.cache_mb * 1_000_000, self._prepare
        )

    def _on_progress(self, share: float) -> None:
        self.progress = share

    def _next(self) -> Sequence[Job] | None:
        """Whom to serve now: all of the most urgent class, as far as there are sequences.

        Nobody, when nothing has been asked for a while and there is something to measure; None at the end.
        Whoever is outranked waits again, with what it has so far.
        """
        with self._wake:
            self._decoding = ()
            self._active = [job for job in self._active if not job.is_done]
            while not self._waiting and not self._active and not self._closed:
                # The first moment without work is no idle one yet; once it is, bit follows bit until somebody comes.
                if self.tuner.has_work and self._is_idle:
                    return ()
                self.tuner.pause()
                self._is_idle = not self._wake.wait(_IDLE_S if self.tuner.has_work else None)
                self.tuner.go_on()
            self._is_idle = False
            if self._closed and not self._waiting and not self._active:
                return None
            if not self._waiting:
                return self._active
            everybody = [*self._active, *self._waiting]
            best = min(job.priority for job in everybody)
            served = [job for job in everybody if job.priority == best or job.ended_by][: self._n_seq]
            self._waiting = [job for job in everybody if job not in served]
            self._active = served
            return served


def check_finite(model: Model, context: Context) -> None:
    """Refuse weights that compute nonsense: flipped bits load without a word and then give NaN."""
    tokens = model.vocab.tokenize("def add(a, b):\n    return a + b\n")
    try:
        status = context.decode(tokens[:CHUNK_TOKENS], 0, 0)
    except EngineError as failure:
        raise ModelCorrupt(f"{model.path} cannot be computed with: {failure.message}", "Download it again.") from None
    finite = status is Decoded.OK and bool(np.isfinite(context.logits()).all())
    context.clear(0)
    if not finite:
        raise ModelCorrupt(
            f"{model.path} is damaged: its weights give numbers that are not finite.", "Download it again."
        )
