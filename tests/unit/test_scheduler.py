"""The scheduler: newest wins, warming gives way, everybody gets an end.  With the real model on its real thread.

The inference thread is held inside a decode or an emit, so that what waits and what runs is certain, not timed.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fimble.engine.generator import CHUNK_TOKENS, Job
from fimble.engine.llama import Decoded
from fimble.engine.scheduler import _MAX_WAITING, Scheduler
from fimble.engine.wire import Chunk, EngineSettings, InfillRequest
from fimble.errors import EngineOverloaded

PREFIX = "".join(f"def function_{n}(first, second):\n    return first + second * {n}\n\n\n" for n in range(16))
PATIENCE_S = 60

#: How an answer ends that nobody ended early.
COMPLETE = ("eos", "limit")


def settings_for(path: Path, context_tokens: int = 4096) -> EngineSettings:
    return EngineSettings(
        model_path=str(path),
        model_digest="",
        context_tokens=context_tokens,
        threads=1,
        idle_minutes=1,
        transport="auto",
    )


class Asked(Job):
    """A job that collects what it is answered."""

    def __init__(self, **request: Any) -> None:
        self.answers: queue.Queue[Chunk | Exception] = queue.Queue()
        super().__init__(InfillRequest(**request), self.answers.put)

    def last(self) -> Chunk:
        """The end of the answer, waited for."""
        while True:
            item = self.answers.get(timeout=PATIENCE_S)
            if isinstance(item, Exception):
                raise item
            if item.stop:
                return item

    def ended_at_once(self) -> Chunk | None:
        """The end of the answer if it is there already."""
        try:
            item = self.answers.get_nowait()
        except queue.Empty:
            return None
        assert isinstance(item, Chunk)
        assert item.stop
        return item


class Held:
    """Keeps the inference thread inside its next decode until it is let go."""

    def __init__(self, scheduler: Scheduler) -> None:
        context = scheduler._context
        assert context is not None
        self._context, self._decode = context, context.decode
        self._entered, self._go = threading.Event(), threading.Event()
        vars(self._context)["decode"] = self._wait

    def _wait(self, *args: Any) -> Decoded:
        self._entered.set()
        assert self._go.wait(PATIENCE_S)
        return self._decode(*args)

    def wait_until_inside(self) -> None:
        assert self._entered.wait(PATIENCE_S)

    def let_go(self) -> None:
        vars(self._context).pop("decode", None)
        self._go.set()


@pytest.fixture
def scheduler(bundled: Path) -> Iterator[Scheduler]:
    """A scheduler that has loaded the bundled model."""
    made = Scheduler(
        EngineSettings(
            model_path=str(bundled), model_digest="", context_tokens=512, threads=1, idle_minutes=1, transport="auto"
        )
    )
    made.start()
    first = Asked(input_prefix="x", n_predict=0)
    made.submit(first)
    first.last()
    for name in msgspec.structs.asdict(made.counters):
        setattr(made.counters, name, 0)
    yield made
    made.close()


@pytest.fixture
def run(scheduler: Scheduler) -> Iterator[Callable[[Asked], Held]]:
    """Starts a job and holds the inference thread in the middle of it."""
    all_held: list[Held] = []

    def start(job: Asked) -> Held:
        held = Held(scheduler)
        all_held.append(held)
        scheduler.submit(job)
        held.wait_until_inside()
        return held

    yield start
    for held in all_held:
        held.let_go()


Run = Callable[[Asked], Held]


def test_a_running_request_ends_for_a_newer_one(scheduler: Scheduler, run: Run) -> None:
    """The newest request of a session ends the one that runs, within the decode that it is in."""
    old, new = (Asked(input_prefix=PREFIX, session="a", n_predict=n) for n in (60, 2))
    held = run(old)
    scheduler.submit(new)
    held.let_go()
    assert old.last().stop_type == "cancelled"
    assert new.last().stop_type in COMPLETE
    assert (scheduler.counters.decode_aborts, scheduler.counters.cancelled) == (1, 1)


def test_a_waiting_request_ends_for_a_newer_one(scheduler: Scheduler, run: Run) -> None:
    """A request that waits is answered the moment it is replaced, and is never evaluated."""
    held = run(Asked(input_prefix="x", n_predict=1))
    old, new = (Asked(input_prefix=PREFIX, session="a", n_predict=n) for n in (60, 0))
    scheduler.submit(old)
    scheduler.submit(new)
    ended = old.ended_at_once()
    assert ended is not None
    assert ended.stop_type == "cancelled"
    held.let_go()
    assert new.last().stop_type == "limit"
    assert old.answers.empty()


def test_other_sessions_are_left_alone(scheduler: Scheduler, run: Run) -> None:
    """Requests of other sessions, and those without any, do not replace each other."""
    jobs = [Asked(input_prefix="x", n_predict=2, session=session) for session in ("a", "b", "", "", "c")]
    held = run(jobs[0])
    for job in jobs[1:]:
        scheduler.submit(job)
    held.let_go()
    assert [job.last().stop_type for job in jobs] == ["limit"] * len(jobs)
    assert scheduler.counters.cancelled == 0


def test_running_warming_gives_way(scheduler: Scheduler, run: Run) -> None:
    """Somebody who waits ends what is only prepared, within one chunk, and warming's own work is kept."""
    warming = Asked(input_prefix=PREFIX, session="a", n_predict=0)
    asking = Asked(input_prefix="x", session="b", n_predict=2)
    held = run(warming)
    scheduler.submit(asking)
    held.let_go()
    end = warming.last()
    assert end.stop_type == "cancelled"
    assert end.timings is not None
    assert end.timings.prompt_n <= CHUNK_TOKENS < end.tokens_evaluated
    assert asking.last().stop_type in COMPLETE


def test_waiting_warming_gives_way(scheduler: Scheduler, run: Run) -> None:
    """Warming that has not begun is dropped at once when somebody asks."""
    held = run(Asked(input_prefix="x", n_predict=1))
    warming = Asked(input_prefix=PREFIX, session="a", n_predict=0)
    asking = Asked(input_prefix="y", session="b", n_predict=1)
    scheduler.submit(warming)
    scheduler.submit(asking)
    ended = warming.ended_at_once()
    assert ended is not None
    assert ended.stop_type == "cancelled"
    held.let_go()
    assert asking.last().stop_type in COMPLETE


def test_warming_ends_nobody(scheduler: Scheduler, run: Run) -> None:
    """Preparing something leaves the answers of other sessions alone and waits for its turn."""
    asking = Asked(input_prefix=PREFIX, session="b", n_predict=2)
    warming = Asked(input_prefix="y", session="a", n_predict=0)
    held = run(asking)
    scheduler.submit(warming)
    held.let_go()
    assert asking.last().stop_type in COMPLETE
    assert warming.last().stop_type == "limit"


@pytest.mark.parametrize("reason", ["cancelled", "deadline"])
def test_the_end_of_a_waiting_request_is_told_at_once(scheduler: Scheduler, run: Run, reason: str) -> None:
    """Nobody waits for the queue to learn that a request is over; ending it twice is harmless."""
    held = run(Asked(input_prefix="x", n_predict=1))
    waiting = Asked(input_prefix=PREFIX)
    scheduler.submit(waiting)
    scheduler.end(waiting, reason)
    scheduler.end(waiting, "cancelled")
    ended = waiting.ended_at_once()
    assert ended is not None
    assert ended.stop_type == reason
    assert waiting.ended_at_once() is None
    held.let_go()


@pytest.mark.parametrize("reason", ["cancelled", "deadline"])
def test_the_end_of_a_running_request_stops_its_work(scheduler: Scheduler, run: Run, reason: str) -> None:
    """A prompt of several chunks is not evaluated further than the chunk that it is in, and the next job is served."""
    running = Asked(input_prefix=PREFIX)
    held = run(running)
    scheduler.end(running, reason)
    held.let_go()
    assert running.last().stop_type == reason
    assert scheduler.counters.prompt_tokens_evaluated <= CHUNK_TOKENS
    after = Asked(input_prefix="x = ", n_predict=2)
    scheduler.submit(after)
    assert after.last().stop_type == "limit"


def test_ending_a_finished_request_harms_nobody(scheduler: Scheduler, run: Run) -> None:
    """A client that goes away after its answer does not stop the one that is served now."""
    finished = Asked(input_prefix="x", n_predict=1)
    scheduler.submit(finished)
    finished.last()
    running = Asked(input_prefix=PREFIX, n_predict=3)
    held = run(running)
    scheduler.end(finished, "cancelled")
    held.let_go()
    assert running.last().stop_type in COMPLETE
    assert scheduler.counters.decode_aborts == 0


def test_too_much_waiting_is_refused(scheduler: Scheduler, run: Run) -> None:
    """A request is refused rather than answered much too late; those that wait are served."""
    held = run(Asked(input_prefix="x", n_predict=1))
    waiting = [Asked(input_prefix="x", n_predict=1) for _ in range(_MAX_WAITING)]
    for job in waiting:
        scheduler.submit(job)
    with pytest.raises(EngineOverloaded):
        scheduler.submit(Asked(input_prefix="x"))
    held.let_go()
    assert {job.last().stop_type for job in waiting} == {"limit"}
    assert scheduler.counters.requests == _MAX_WAITING + 1


def test_the_counters_tell_what_was_done(scheduler: Scheduler, run: Run) -> None:
    """Requests, cancelled ones, tokens evaluated, reused and written: the numbers of `fimble engine status`."""
    held = run(Asked(input_prefix="x", n_predict=1))
    dropped = Asked(input_prefix=PREFIX)
    scheduler.submit(dropped)
    scheduler.end(dropped, "cancelled")
    held.let_go()
    ends = []
    for typed in ("", "re", "re"):
        job = Asked(input_prefix=PREFIX, prompt=typed, n_predict=2)
        scheduler.submit(job)
        ends.append(job.last())
    counters = scheduler.counters
    assert counters.requests == 5
    assert counters.cancelled == 1
    assert counters.tokens_predicted == 1 + sum(end.timings.predicted_n for end in ends if end.timings)
    assert counters.prompt_tokens_evaluated + counters.prompt_tokens_reused == 4 + sum(
        end.tokens_evaluated for end in ends
    )


def test_closing_ends_everybody(scheduler: Scheduler, run: Run) -> None:
    """When the engine stops, running and waiting requests get their end, and new ones are refused."""
    running, waiting = Asked(input_prefix=PREFIX), Asked(input_prefix=PREFIX)
    held = run(running)
    scheduler.submit(waiting)
    scheduler.end_all()
    held.let_go()
    assert (running.last().stop_type, waiting.last().stop_type) == ("cancelled", "cancelled")
    with pytest.raises(EngineOverloaded):
        scheduler.submit(Asked(input_prefix="x"))
    scheduler.close()
    assert not scheduler._thread.is_alive()
