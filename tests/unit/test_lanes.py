"""Two lanes: windows that work at the same time compute at the same time, and nothing else is any different.

With a real model on real threads.  Lanes are held inside a decode, so that what runs at once is certain, not timed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from recurrent import write_random_mamba
from scheduling import COMPLETE, Asked, Held, settings_for
from waiting import until

from fimble import catalog, memory
from fimble.engine.homes import Homes
from fimble.engine.job import Job
from fimble.engine.lane import Lane
from fimble.engine.llama import Context, Decoded, Model
from fimble.engine.scheduler import Scheduler
from fimble.engine.wire import Chunk
from fimble.errors import EngineError, EngineOverloaded

PREFIX = "".join(f"def function_{n}(first, second):\n    return first + second * {n}\n\n\n" for n in range(16))

Hold = Callable[[Lane], Held]


@pytest.fixture
def scheduler(endless: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    """One that has a second lane where two windows need it, on any machine."""
    monkeypatch.setattr("fimble.engine.loading.cores", lambda: 2)
    made = Scheduler(settings_for(endless, 512, threads=2))
    made.start()
    ask(made, input_prefix="x", n_predict=0).last()
    yield made
    made.close()


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Holds a lane inside its next decode, at the longest until the end of the test."""
    all_held: list[Held] = []

    def start(lane: Lane) -> Held:
        all_held.append(Held(lane))
        return all_held[-1]

    yield start
    for held in all_held:
        held.let_go()


@pytest.fixture
def two(scheduler: Scheduler, hold: Hold) -> Scheduler:
    """One with both lanes: window a is at home in the first, window b in the second."""
    held = hold(scheduler._first)
    first = ask(scheduler, input_prefix="x = ", session="a:1", n_predict=2)
    held.wait_until_inside()
    second = ask(scheduler, input_prefix="y = ", session="b:1", n_predict=2)
    until(lambda: len(scheduler._lanes) == 2, "a second lane")
    third = ask(scheduler, input_prefix="y = ", session="b:1", n_predict=2)
    held.let_go()
    assert {first.last().stop_type, third.last().stop_type} <= set(COMPLETE)
    assert second.last().stop_type == "cancelled"
    return scheduler


def ask(scheduler: Scheduler, **request: Any) -> Asked:
    job = Asked(**request)
    scheduler.submit(job)
    return job


def outrank(two: Scheduler, hold: Hold) -> tuple[Asked, Asked, Held]:
    """A job of the second lane gives way, in a decode, to one of the first, which is held inside its own."""
    preparing = hold(two._second)
    later = ask(two, input_prefix=PREFIX, session="b:1", n_predict=0)
    preparing.wait_until_inside()
    answering = hold(two._first)
    now = ask(two, input_prefix="x", session="a:1", n_predict=2)
    answering.wait_until_inside()
    preparing.let_go()
    return later, now, answering


def test_one_window_has_one_lane(scheduler: Scheduler, hold: Hold) -> None:
    """Whatever one window does at once, and what is prepared for others, costs no memory."""
    held = hold(scheduler._first)
    asked = [ask(scheduler, input_prefix="x = ", session="a:1", n_predict=2)]
    held.wait_until_inside()
    more: list[dict[str, Any]] = [{"session": "a:2"}, {"session": "b:1", "priority": "speculative"}, {"session": "c:1"}]
    asked += [ask(scheduler, input_prefix="y", n_predict=int(each["session"] != "c:1"), **each) for each in more]
    held.let_go()
    assert {job.last().stop_type for job in asked} == {"limit"}
    assert not scheduler._second_wanted.is_set()
    assert len(scheduler.slots()) == scheduler._first.n_seq


def test_windows_that_come_one_after_the_other_have_one_lane(scheduler: Scheduler) -> None:
    """Whose answer has ended does not work at the same time, however soon the next one asks."""
    for number in range(60):
        assert ask(scheduler, input_prefix="x", session=f"{number % 3}:1", n_predict=1).last().stop_type == "limit"
    assert not scheduler._second_wanted.is_set()


def test_two_windows_compute_at_the_same_time(two: Scheduler, hold: Hold) -> None:
    """One is answered while the other is in the middle of a decode; each has its part of the threads."""
    held = hold(two._first)
    long = ask(two, input_prefix=PREFIX, session="a:1", n_predict=2)
    held.wait_until_inside()
    assert ask(two, input_prefix=PREFIX, session="b:1", n_predict=5).last().stop_type == "limit"
    assert not long.is_done
    held.let_go()
    assert long.last().stop_type == "limit"
    share = two._second._share
    assert share is not None
    assert (share.threads, share.threads_batch, share.first, share.lanes) == (1, 1, 1, 2)
    ask(two, input_prefix="y", session="b:1", n_predict=1).last()
    share = two._second._share
    assert share is not None
    assert (share.threads, share.first, share.lanes) == (2, 0, 1)
    assert len(two.slots()) == two._first.n_seq + two._second.n_seq


def test_who_is_more_urgent_stops_the_other_lane(two: Scheduler, hold: Hold) -> None:
    """A decode for later is broken off where somebody waits, in whatever lane, and goes on afterwards."""
    later, now, answering = outrank(two, hold)
    until(lambda: not two._second.active, "the second lane to give way")
    assert two._second.counters.decode_aborts == 1
    assert not later.is_done
    answering.let_go()
    assert now.last().stop_type in COMPLETE
    end = later.last()
    assert end.stop_type == "limit"
    assert end.timings is not None
    assert end.timings.cache_n + end.timings.prompt_n == end.tokens_evaluated


def test_who_waits_in_another_lane_can_be_ended(two: Scheduler, hold: Hold) -> None:
    """A job that was begun, and outranked by another lane's, hears its end at once, and once."""
    later, now, answering = outrank(two, hold)
    until(lambda: later in two._waiting, "the second lane to give way")
    two.end(later, "cancelled")
    ended = later.ended_at_once()
    assert ended is not None
    assert ended.stop_type == "cancelled"
    answering.let_go()
    assert now.last().stop_type in COMPLETE
    assert ask(two, input_prefix="y", session="b:1", n_predict=2).last().stop_type == "limit"
    assert later.answers.empty()
    assert not any(sequence.is_held for lane in two._lanes for sequence in lane.generator.sequences)  # type: ignore[union-attr]


def test_a_cancel_leaves_the_other_lane_alone(two: Scheduler, hold: Hold) -> None:
    """Only the decode of whoever went away is broken off."""
    both = [hold(two._first), hold(two._second)]
    jobs = [ask(two, input_prefix=PREFIX, session=session, n_predict=2) for session in ("a:1", "b:1")]
    for held in both:
        held.wait_until_inside()
    two.end(jobs[0], "cancelled")
    for held in both:
        held.let_go()
    assert [job.last().stop_type for job in jobs] == ["cancelled", "limit"]
    assert two._second.counters.decode_aborts == 0


def test_the_newest_of_a_window_wins_in_its_lane(two: Scheduler, hold: Hold) -> None:
    """A newer request ends the older one, wherever it is served."""
    held = hold(two._second)
    busy = hold(two._first)
    ask(two, input_prefix=PREFIX, session="a:1", n_predict=2)
    busy.wait_until_inside()
    old = ask(two, input_prefix=PREFIX, session="b:1", n_predict=60)
    held.wait_until_inside()
    new = ask(two, input_prefix=PREFIX, prompt="x", session="b:1", n_predict=2)
    held.let_go()
    assert old.last().stop_type == "cancelled"
    assert new.last().stop_type == "limit"
    assert two._second.counters.decode_aborts == 1


def test_a_window_that_moves_takes_its_prompt_along(two: Scheduler, hold: Hold) -> None:
    """Where the other lane has nothing to do, a window goes there, and nothing is evaluated twice."""
    text = PREFIX[:900]
    ask(two, input_prefix=text, prompt="v", session="c:1", n_predict=1).last()
    assert two._homes._by_window["c"] is two._first
    held = hold(two._first)
    long = ask(two, input_prefix="x", session="a:1", n_predict=2)
    held.wait_until_inside()
    moving = ask(two, input_prefix=text, prompt="va", session="c:1", n_predict=2)
    assert two._homes._by_window["c"] is two._second
    assert moving.answers.empty()
    held.let_go()
    end = moving.last()
    assert end.timings is not None
    assert end.timings.cache_n > 200
    assert end.timings.prompt_n <= 3
    assert long.last().stop_type == "limit"
    assert two._first.generator is not None
    assert all(sequence.session != "c:1" for sequence in two._first.generator.sequences)
    again = ask(two, input_prefix=text, prompt="val", session="c:1", n_predict=2).last()
    assert again.timings is not None
    assert again.timings.prompt_n <= 3


def test_without_memory_for_a_copy_a_window_moves_alone(
    two: Scheduler, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the cache held for it is evaluated anew in the other lane, and this one goes on."""
    text = PREFIX[:900]
    ask(two, input_prefix=text, prompt="v", session="c:1", n_predict=1).last()
    held = hold(two._first)
    long = ask(two, input_prefix="x", session="a:1", n_predict=2)
    held.wait_until_inside()
    moving = ask(two, input_prefix=text, prompt="va", session="c:1", n_predict=2)
    assert two._homes._by_window["c"] is two._second

    def fail(_sequence: int) -> NoReturn:
        raise MemoryError

    assert two._first.context is not None
    monkeypatch.setattr(two._first.context, "save", fail)
    held.let_go()
    end = moving.last()
    assert end.timings is not None
    assert end.timings.prompt_n > 200
    assert long.last().stop_type == "limit"
    assert ask(two, input_prefix="x", session="a:1", n_predict=2).last().stop_type == "limit"


def test_a_failure_costs_one_answer_in_one_lane(two: Scheduler, hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    """llama.cpp fails in one lane: the other one goes on, and so does this one."""
    held = hold(two._first)
    other = ask(two, input_prefix=PREFIX, session="a:1", n_predict=4)
    held.wait_until_inside()
    assert two._second.context is not None
    with monkeypatch.context() as broken:
        broken.setattr(two._second.context, "decode_together", lambda _parts: 1 / 0)
        with pytest.raises(EngineError, match="ZeroDivisionError"):
            ask(two, input_prefix="y", session="b:1", n_predict=2).last()
    assert ask(two, input_prefix="y", session="b:1", n_predict=2).last().stop_type == "limit"
    held.let_go()
    assert other.last().stop_type == "limit"


def test_without_memory_for_it_one_lane_serves_all(
    scheduler: Scheduler, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second lane is no condition for anything, and is tried once."""
    monkeypatch.setattr(memory, "available", lambda: memory.Available(1, "a very small machine"))
    held = hold(scheduler._first)
    jobs = [ask(scheduler, input_prefix="x", session="a:1", n_predict=2)]
    held.wait_until_inside()
    jobs += [ask(scheduler, input_prefix="x", session=session, n_predict=2) for session in ("b:1", "c:1")]
    scheduler._second.thread.join(60)
    held.let_go()
    assert [job.last().stop_type for job in jobs] == ["limit"] * 3
    assert scheduler._lanes == [scheduler._first]


def test_closing_ends_both_lanes(two: Scheduler, hold: Hold) -> None:
    """Everybody gets an end, in both, and both threads end."""
    both = [hold(two._first), hold(two._second)]
    jobs = [ask(two, input_prefix=PREFIX, session=session, n_predict=60) for session in ("a:1", "b:1")]
    for held in both:
        held.wait_until_inside()
    jobs.append(ask(two, input_prefix=PREFIX, session="a:2", n_predict=0))
    two.end_all()
    for held in both:
        held.let_go()
    assert {job.last().stop_type for job in jobs} == {"cancelled"}
    with pytest.raises(EngineOverloaded):
        ask(two, input_prefix="x")
    two.close()
    assert not two._first.thread.is_alive()
    assert not two._second.thread.is_alive()


@pytest.mark.parametrize("threads", [1, 2])
def test_one_core_has_one_lane(endless: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """Two lanes divide the cores; where there is one core or one thread, there is nothing to divide."""
    monkeypatch.setattr("fimble.engine.loading.cores", lambda: 3 - threads)
    scheduler = Scheduler(settings_for(endless, 512, threads=threads))
    scheduler._load(scheduler._first)
    assert scheduler._loaded is not None
    assert scheduler._loaded.n_seq_more == 0


def test_a_cache_that_cannot_be_handed_over_has_one_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window that moves would have to be evaluated anew."""
    monkeypatch.setattr("fimble.engine.loading.cores", lambda: 2)
    write_random_mamba(catalog.resolve(""), tmp_path / "mamba.gguf")
    scheduler = Scheduler(settings_for(tmp_path / "mamba.gguf", 512, threads=2))
    scheduler._load(scheduler._first)
    assert scheduler._loaded is not None
    assert scheduler._loaded.n_seq_more == 0


def test_random_work_in_two_lanes_leaves_no_trace(two: Scheduler) -> None:
    """Of hundreds of requests of five windows, half of them given up, each has one end; nothing stays held."""
    choose = random.Random(3)
    jobs: list[Asked] = []
    for _ in range(400):
        cut = choose.randrange(len(PREFIX) - 500)
        request: dict[str, Any] = {"input_prefix": PREFIX[cut : cut + choose.randrange(10, 500)], "prompt": "v"}
        request |= {"session": f"{choose.choice('abcde')}:{choose.choice('12')}", "n_predict": choose.randrange(6)}
        request |= {"priority": choose.choice(["interactive", "speculative", "warming"])}
        try:
            jobs.append(ask(two, **request))
        except EngineOverloaded:
            choose.choice(jobs).last()
        if choose.random() < 0.5:
            two.end(choose.choice(jobs[-4:]), "cancelled")
        if choose.random() < 0.3:
            jobs[-1].has_ended.wait(60)
    for job in jobs:
        assert job.has_ended.wait(60)
    until(lambda: not two._is_working, "the lanes to be done")
    assert all(job.ends == 1 for job in jobs)
    for lane in two._lanes:
        assert isinstance(lane.context, Context)
        assert lane.generator is not None
        assert lane.counters.decodes > 50
        assert not lane.leaving
        for sequence in lane.generator.sequences:
            assert not sequence.is_held
            assert lane.context.length(sequence.id) == len(sequence.tokens)


class Placed(Job):
    """A job of a window, as the homes see it."""

    def __init__(self, window: str, priority: str = "interactive") -> None:
        super().__init__(Asked(input_prefix="x", session=f"{window}:1", priority=priority).request, _ignore)


def _ignore(_item: Chunk | Exception) -> None:
    pass


def test_windows_spread_over_the_lanes() -> None:
    """Who comes while others work goes where the least is to do; who comes alone stays where it was."""
    lanes = [Lane(0, lambda _lane: None), Lane(1, lambda _lane: None)]
    homes, at_once = Homes(lanes), list[Job]()
    for window in "abcd":
        homes.place(job := Placed(window), at_once)
        at_once.append(job)
    assert [homes.of(job) for job in at_once] == [lanes[0], lanes[1], lanes[0], lanes[1]]
    for window, lane in zip("dcba", (1, 0, 1, 0), strict=True):
        homes.place(job := Placed(window), [])
        assert homes.of(job) is lanes[lane]


def test_a_window_does_not_move_for_what_is_less_urgent() -> None:
    """Nor while something of its own is in the making."""
    lanes = [Lane(0, lambda _lane: None), Lane(1, lambda _lane: None)]
    homes = Homes(lanes)
    for each in "ab":
        homes.place(Placed(each), [])
    homes.place(job := Placed("b"), [Placed("a", "speculative")])
    assert homes.of(job) is lanes[0]
    lanes[0].active = [Placed("b", "speculative")]
    homes.place(job, [Placed("a"), *lanes[0].active])
    assert homes.of(job) is lanes[0]
    lanes[0].active[0].ended_by = "cancelled"
    homes.place(job, [Placed("a"), *lanes[0].active])
    assert lanes[0].leaving == {"b": lanes[1]}
    assert homes.of(job) is None


def test_only_so_many_windows_are_remembered() -> None:
    """The one that was longest away is forgotten, and begins anew."""
    lanes = [Lane(0, lambda _lane: None), Lane(1, lambda _lane: None)]
    homes, busy = Homes(lanes), [Placed("busy")]
    homes.place(first := Placed("first"), busy)
    assert homes.of(first) is lanes[1]
    for number in range(70):
        homes.place(Placed(f"{number}"), [])
    assert homes.of(first) is lanes[0]
    assert len(homes._by_window) == 64


def test_contexts_hand_sequences_to_each_other(model: Model) -> None:
    """Whatever number of sequences each has: what was evaluated in one is gone on with in the other."""
    one, other = (
        Context(model, n_ctx=256, n_seq=n, n_batch=64, threads=1, threads_batch=1, flash_attention=True) for n in (4, 2)
    )
    tokens = [50 + n for n in range(40)]
    for source, target, seqs in (
        (one, other, (0, 1)),
        (one, other, (2, 0)),
        (one, other, (3, 1)),
        (other, one, (1, 2)),
    ):
        for context, seq in zip((source, target), seqs, strict=True):
            context.clear(seq)
        assert source.decode(tokens, seqs[0], 0) is Decoded.OK
        assert target.restore(seqs[1], source.save(seqs[0]))
        assert target.length(seqs[1]) == len(tokens)
        assert source.decode([7], seqs[0], len(tokens)) is Decoded.OK
        assert target.decode([7], seqs[1], len(tokens)) is Decoded.OK
        assert np.array_equal(source.logits(), target.logits())
