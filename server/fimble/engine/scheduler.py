"""Requests reach llama.cpp through a queue; each lane serves those of its windows on a thread of its own.

There is one lane, until two windows ask at the same time: then there are two, for ever, and the cores are divided
while both work.  A window keeps to its lane, where what was evaluated for it is.

Served are all jobs of the most urgent class, together; the others wait, with what they have so far.  So a less
urgent job never delays a more urgent one, and what was evaluated stays in the cache, also when its request was
ended: nothing is computed twice.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import threading
from collections.abc import Sequence
from functools import partial

from fimble.engine.capacity import TOO_LARGE_FIX
from fimble.engine.generator import as_answer
from fimble.engine.homes import Homes
from fimble.engine.job import Job, Priority
from fimble.engine.lane import Lane
from fimble.engine.llama import Model, release
from fimble.engine.loading import Loaded
from fimble.engine.tuner import Tuner
from fimble.engine.wire import Chunk, Counters, EngineSettings, Slot, total
from fimble.errors import EngineError, EngineOverloaded, FimbleError, ModelTooLarge

_log = logging.getLogger("fimble.engine")

_MAX_WAITING = 32

#: After this many seconds without a request the engine looks after itself.
_IDLE_S = 1.0

#: Instead of jobs, when nobody has asked for anything for a while.
_IDLE: Sequence[Job] = ()


class Scheduler:
    """Loads the model and serves jobs, on threads of its own."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.progress = 0.0
        self.ready = False
        self.failure: FimbleError | None = None
        self.notice = ""
        self.model: Model | None = None
        self.n_ctx = 0
        self.tuner = Tuner(settings, lambda: bool(self._waiting) or self._is_working)
        self._loaded: Loaded | None = None
        self._waiting: list[Job] = []
        self._counters = Counters()
        self._closed = self._is_idle = False
        self._wake = threading.Condition()
        self._first = Lane(0, self._run)
        self._second = Lane(1, self._run_second)
        self._second_wanted = threading.Event()
        self._lanes = [self._first]
        self._homes = Homes(self._lanes)

    def start(self) -> None:
        """Begin to load the model."""
        self._first.thread.start()
        # Now, though it is to wait: where memory has run out, Python's start() of a thread never returns.
        self._second.thread.start()

    def submit(self, job: Job) -> None:
        """Queue *job*; ends what it replaces.  Raises EngineOverloaded when too much is waiting."""
        if self.tuner.load.saves_power and job.priority is Priority.SPECULATIVE:
            job.finish(Chunk(stop=True, stop_type="declined"))
            return
        with self._wake:
            for other in self._everybody():
                if job.replaces(other):
                    self._end(other, "cancelled")
            self._make_room(job)
            self._counters.requests += 1
            self._homes.place(job, self._everybody())
            self._waiting.append(job)
            self._is_idle = False
            self.tuner.give_way()
            for lane in self._lanes:
                if lane.decoding and all(job.priority < other.priority for other in lane.decoding):
                    lane.stop_decode()
            if self._needs_a_second_lane(job):
                self._second_wanted.set()
            self._wake.notify_all()

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
        self._counters.overloaded += 1
        refusal = EngineOverloaded(f"{len(self._waiting)} requests are waiting already.")
        least = max(self._waiting, key=lambda other: (other.priority, other.arrived))
        if least.priority <= job.priority:
            raise refusal
        self._waiting.remove(least)
        least.finish(refusal)

    def _needs_a_second_lane(self, job: Job) -> bool:
        """Whether two windows want answers at once, for the first time."""
        if self._loaded is None or self._second_wanted.is_set() or not self._loaded.n_seq_more:
            return False
        urgent = (other for other in self._everybody() if other.priority is Priority.INTERACTIVE)
        return job.priority is Priority.INTERACTIVE and any(
            other.window != job.window and not (other.ended_by or other.is_done) for other in urgent
        )

    def _end(self, job: Job, reason: str) -> None:
        if job.ended_by or job.is_done:
            return
        job.ended_by = reason
        if job in self._waiting:
            self._waiting.remove(job)
            self._counters.cancelled += reason == "cancelled" and not job.is_preparation
            job.finish(job.run.last_chunk() if job.run else Chunk(stop=True, stop_type=reason))
        for lane in self._lanes:
            if lane.decoding and all(other.ended_by for other in lane.decoding):
                lane.stop_decode()
        # Who is less urgent may have waited for it.
        self._wake.notify_all()

    def _may_decode(self, lane: Lane, jobs: Sequence[Job]) -> bool:
        """Note who is in the next decode.  False if it is for nobody."""
        with self._wake:
            if all(job.ended_by for job in jobs):
                return False
            lane.decoding = jobs
            # Under the lock, so that no abort meant for the last decode reaches this one, and none for this is lost.
            if lane.context:
                lane.context.resume()
            at_work = [other for other in self._lanes if other.active]
        lane.compute_with(self.tuner.share(at_work.index(lane), len(at_work)))
        return True

    def end_all(self) -> None:
        """End every job, and take none from now on."""
        with self._wake:
            self._closed = True
            for job in self._everybody():
                self._end(job, "cancelled")
            self._wake.notify_all()

    def slots(self) -> list[Slot]:
        """What each sequence is used for; empty while the model loads.  Any thread: a look, not a lock."""
        sequences = (sequence for lane in self._lanes if lane.generator for sequence in lane.generator.sequences)
        return [
            Slot(
                id=number,
                n_ctx=self.n_ctx,
                is_processing=sequence.is_held,
                n_prompt_tokens=len(sequence.tokens),
                session=hashlib.sha256(name.encode()).hexdigest()[:16] if (name := sequence.session) else "",
            )
            for number, sequence in enumerate(sequences)
        ]

    @property
    def counters(self) -> Counters:
        """What was done so far, in all lanes together."""
        return total([self._counters, self._first.counters, self._second.counters])

    @property
    def load(self) -> tuple[int, int]:
        """How many requests are served, and how many wait."""
        return sum(not job.is_done for lane in self._lanes for job in lane.active), len(self._waiting)

    @property
    def _is_working(self) -> bool:
        return any(lane.active for lane in self._lanes)

    def _everybody(self) -> list[Job]:
        """Who waits and who is served."""
        return [*self._waiting, *(job for lane in self._lanes for job in lane.active)]

    def close(self) -> None:
        """End every job and the threads."""
        self.end_all()
        self._second_wanted.set()
        for lane in (self._first, self._second):
            if lane.thread.ident:
                lane.thread.join(timeout=10)

    def _run(self, lane: Lane) -> None:
        try:
            self._load(lane)
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
        self._serve(lane)

    def _load(self, lane: Lane) -> None:
        loaded = Loaded(self.settings, self.tuner.begin, self._on_progress)
        self.n_ctx = loaded.n_ctx
        lane.context, lane.generator = loaded.first_generator(lane.counters, self._prepare)
        self.model, self.notice, self._loaded = loaded.model, loaded.notice, loaded
        threading.Thread(target=loaded.pieces.build, name="pieces", daemon=True).start()

    def _run_second(self, lane: Lane) -> None:
        self._second_wanted.wait()
        if self._closed or self._loaded is None:
            return
        try:
            lane.context, lane.generator = self._loaded.next_generator(lane.counters, self._prepare)
        except Exception as failure:
            # Everybody is served by the first, as before.
            _log.warning("windows that work at once share one lane: %s", failure)
            return
        with self._wake:
            self._lanes.append(lane)
        self._serve(lane)

    def _on_progress(self, share: float) -> None:
        self.progress = share

    def _serve(self, lane: Lane) -> None:
        assert lane.generator is not None
        while (jobs := self._next(lane)) is not None:
            if jobs is _IDLE:
                self.tuner.measure()
                continue
            try:
                lane.generator.step(jobs, partial(self._may_decode, lane))
            except Exception as failure:
                for job in [job for job in jobs if not job.is_done]:
                    job.finish(as_answer(failure))
            for window in list(lane.leaving):
                try:
                    lane.hand_over(window)
                except Exception as failure:
                    # No memory for a copy: it is evaluated anew there.
                    _log.warning("a window changes lanes without what the cache held for it: %r", failure)
                with self._wake:
                    del lane.leaving[window]
                    self._wake.notify_all()

    def _next(self, lane: Lane) -> Sequence[Job] | None:
        """Whom to serve now: of the lane's jobs all of the most urgent class, as far as there are sequences.

        Nobody, when all are outranked or a window leaves; ``_IDLE`` when nothing has been asked for a while and there
        is something to measure; None at the end.  Whoever is outranked waits again, with what it has so far.
        """
        with self._wake:
            lane.decoding = ()
            going_on = [job for job in lane.active if not job.is_done]
            if len(going_on) < len(lane.active):
                # Who is less urgent may have waited for them, in another lane.
                self._wake.notify_all()
            lane.active = going_on
            while not (served := self._choose(lane)) and not lane.leaving and not going_on:
                if self._closed and not self._waiting:
                    return None
                measures = lane is self._first and self.tuner.has_work
                if measures and self._is_idle and not self._is_working:
                    served = _IDLE
                    break
                if not self._is_working:
                    self.tuner.pause()
                if len(self._lanes) > 1:
                    # What is left of the cores is the other lane's.
                    release()
                is_wanted = self._wake.wait(_IDLE_S if measures else None)
                # The first moment without work is no idle one yet; once it is, bit follows bit until somebody comes.
                self._is_idle = measures and not (is_wanted or self._waiting or self._is_working)
            self.tuner.go_on()
            if lane is self._first:
                self.tuner.adapt()
            else:
                self.tuner.look()
            return served

    def _choose(self, lane: Lane) -> Sequence[Job]:
        """Take from the queue whom *lane* is to serve, and put back whom it is not to serve any more."""
        everybody = self._everybody()
        best = min((job.priority for job in everybody), default=Priority.INTERACTIVE)
        own = itertools.chain(lane.active, (job for job in self._waiting if self._homes.of(job) is lane))
        served = [job for job in own if job.priority == best or job.ended_by][: lane.n_seq]
        outranked = [job for job in lane.active if job not in served]
        self._waiting = [*outranked, *(job for job in self._waiting if job not in served)]
        lane.active = served
        return served
