"""The scheduler: newest wins, warming gives way, everybody gets an end.  With a real model on its real thread.

Its weights are random, so that an answer that nobody ends is as long as it was asked to be.

The inference thread is held inside a decode or an emit, so that what waits and what runs is certain, not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scheduling import COMPLETE, Asked, Held, settings_for

from fimble.engine.generator import CHUNK_TOKENS
from fimble.engine.scheduler import _MAX_WAITING, Scheduler
from fimble.engine.wire import Chunk
from fimble.errors import EngineOverloaded

PREFIX = "".join(f"def function_{n}(first, second):\n    return first + second * {n}\n\n\n" for n in range(16))


def noting(order: list[str], name: str, job: Asked) -> Callable[[Chunk | Exception], None]:
    """An `emit` that also notes whose it was."""

    def emit(item: Chunk | Exception) -> None:
        order.append(name)
        job.answers.put(item)

    return emit


@pytest.fixture
def scheduler(endless: Path) -> Iterator[Scheduler]:
    """A scheduler that has loaded a model whose answers never end early."""
    made = Scheduler(settings_for(endless, 512))
    made.start()
    first = Asked(input_prefix="x", n_predict=0)
    made.submit(first)
    first.last()
    for counters in (made._counters, made._first.counters):
        for name in msgspec.structs.asdict(counters):
            setattr(counters, name, 0)
    yield made
    made.close()


@pytest.fixture
def run(scheduler: Scheduler) -> Iterator[Callable[[Asked], Held]]:
    """Starts a job and holds the inference thread in the middle of it."""
    all_held: list[Held] = []

    def start(job: Asked) -> Held:
        held = Held(scheduler._first)
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
    old, new = (Asked(input_prefix=PREFIX, session="a", n_predict=n) for n in (60, 1))
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


@pytest.mark.parametrize(
    "lower", [{"n_predict": 0}, {"n_predict": 3, "priority": "warming"}, {"n_predict": 3, "priority": "speculative"}]
)
def test_a_less_urgent_request_waits_and_goes_on(scheduler: Scheduler, run: Run, lower: dict[str, Any]) -> None:
    """Somebody who waits comes first, within one chunk; then the other goes on from where it was."""
    first = Asked(input_prefix=PREFIX, session="a", **lower)
    asking = Asked(input_prefix="x", session="b", n_predict=2)
    order: list[str] = []
    held = run(first)
    for job, name in ((first, "first"), (asking, "asking")):
        job.emit = noting(order, name, job)
    scheduler.submit(asking)
    held.let_go()
    end, end_asking = first.last(), asking.last()
    assert {end_asking.stop_type, end.stop_type} <= set(COMPLETE)
    assert order.index("first") > order.index("asking")
    assert "asking" not in order[order.index("first") :]
    assert end.timings is not None
    assert end.timings.cache_n + end.timings.prompt_n == end.tokens_evaluated, "something was evaluated twice"
    assert end.timings.queued_ms > 0
    assert scheduler.counters.cancelled == 0


def test_a_decode_for_less_urgent_work_is_broken_off(scheduler: Scheduler, run: Run) -> None:
    """Who is more urgent does not even wait for the chunk under way; one of the same class does."""
    same, more = Asked(input_prefix="y", session="c", n_predict=0), Asked(input_prefix="x", session="b", n_predict=2)
    held = run(Asked(input_prefix=PREFIX, session="a", n_predict=0))
    scheduler.submit(same)
    scheduler.submit(more)
    held.let_go()
    assert more.last().stop_type == same.last().stop_type == "limit"
    assert scheduler.counters.decode_aborts == 1


def test_a_request_joins_those_of_its_class_at_once(scheduler: Scheduler, run: Run) -> None:
    """Two windows that ask are served together: the second does not wait for the end of the first."""
    long = Asked(input_prefix=PREFIX, session="a", n_predict=200)
    short = Asked(input_prefix="x", session="b", n_predict=2)
    held = run(long)
    scheduler.submit(short)
    held.let_go()
    assert short.last().stop_type == "limit"
    assert not long.is_done
    scheduler.end(long, "cancelled")
    assert long.last().stop_type == "cancelled"
    assert scheduler.counters.decode_sequences > scheduler.counters.decodes


def test_one_of_two_in_a_decode_can_leave(scheduler: Scheduler, run: Run) -> None:
    """A decode that is for somebody else, too, is not broken off; who stays gets the answer it gets alone."""
    alone = Asked(input_prefix=PREFIX, prompt="x = function_", n_predict=12)
    scheduler.submit(alone)
    stays, leaves = (Asked(input_prefix=PREFIX, prompt=p, n_predict=12) for p in ("x = function_", "y = fun"))
    expected = alone.text()

    def leave(item: Chunk | Exception) -> None:
        leaves.answers.put(item)
        scheduler.end(leaves, "cancelled")

    leaves.emit = leave
    held = run(Asked(input_prefix="x", n_predict=1))
    for job in (stays, leaves):
        scheduler.submit(job)
    held.let_go()
    assert stays.text() == expected
    assert leaves.last().stop_type == "cancelled"


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


def test_a_full_queue_still_takes_what_is_more_urgent(scheduler: Scheduler, run: Run) -> None:
    """When too much is waiting, the newest of the least urgent requests is thrown out, and told at once."""
    held = run(Asked(input_prefix="x", n_predict=1))
    warming = [Asked(input_prefix="y", n_predict=0) for _ in range(2)]
    asking = [Asked(input_prefix="x", n_predict=1) for _ in range(_MAX_WAITING)]
    for job in [*warming, *asking]:
        scheduler.submit(job)
    for job in warming:
        assert isinstance(job.answers.get_nowait(), EngineOverloaded)
    with pytest.raises(EngineOverloaded):
        scheduler.submit(Asked(input_prefix="z", n_predict=0))
    held.let_go()
    assert {job.last().stop_type for job in asking} == {"limit"}
    assert scheduler.counters.overloaded == 3


def test_what_is_less_urgent_ends_nothing_that_is_more(scheduler: Scheduler, run: Run) -> None:
    """Within a session, preparing ends older preparing only; an interactive request ends everything."""
    held = run(Asked(input_prefix="x", n_predict=1))
    kinds: list[dict[str, Any]] = [{"n_predict": 0}, {"priority": "speculative", "n_predict": 1}, {"n_predict": 1}]
    old = [Asked(input_prefix=f"{n}", session="a", **kind) for n, kind in enumerate(reversed(kinds))]
    for job in old:
        scheduler.submit(job)
    assert not any(job.answers.qsize() for job in old)
    new = [Asked(input_prefix=f"{n}", session="a", **kind) for n, kind in enumerate(kinds)]
    for job, gone in zip(new[:2], (old[2], old[1]), strict=True):
        scheduler.submit(job)
        assert gone.ended_at_once() is not None
    assert old[0].ended_at_once() is None
    scheduler.submit(new[2])
    assert all(job.ended_at_once() for job in (old[0], new[0], new[1]))
    held.let_go()
    assert new[2].last().stop_type == "limit"


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
    assert not scheduler._first.thread.is_alive()
