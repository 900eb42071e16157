"""Where llama.cpp's threads run: each on a core of its own, as long as nobody else needs it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path

import psutil
import pytest
from waiting import until

from fimble.engine.llama import Context, Decoded, Model, threads

_NOT_HERE = pytest.mark.skipif(not threads.can_keep_apart(2), reason="threads are kept apart on Linux with two cores")


def _ids() -> set[int]:
    return {thread.id for thread in psutil.Process().threads()}


def _computes_on(model: Model, *apart: bool) -> list[list[set[int]]]:
    """After a decode with each of *apart*: the CPUs that each thread which computes may use."""
    found: list[list[set[int]]] = []

    def compute() -> None:
        # A thread of its own for it, with threads of its own: those of other tests may be tied to a core.
        before = _ids() - {threading.get_native_id()}
        context = Context(model, n_ctx=256, n_seq=1, n_batch=64, threads=1, threads_batch=1)
        with contextlib.closing(context):
            for number, each in enumerate(apart):
                context.set_threads(2, 2, apart=each)
                assert context.decode([1] * 64, 0, 64 * number) is Decoded.OK
                found.append([os.sched_getaffinity(id_) for id_ in _ids() - before])

    thread = threading.Thread(target=compute)
    thread.start()
    thread.join()
    return found


@_NOT_HERE
def test_each_thread_has_a_core_of_its_own(model: Model) -> None:
    """Apart, no two may meet; together again, everybody may go everywhere."""
    apart, together, again = _computes_on(model, True, False, True)
    assert len(apart) == len(together) == 2
    assert sorted(map(sorted, apart)) == sorted(map(sorted, again)) == [[cpu] for cpu in threads.one_of_each_core()[:2]]
    assert together == [set(threads.every_cpu())] * 2


@_NOT_HERE
def test_two_contexts_with_one_thread_each_keep_apart(model: Model) -> None:
    """Each thread that decodes has a core of its own, and may go everywhere when the other is done."""
    found: list[set[int]] = []

    def compute(first: int) -> None:
        context = Context(model, n_ctx=256, n_seq=1, n_batch=64, threads=1, threads_batch=1)
        with contextlib.closing(context):
            for count, where, beside, apart in ((2, 0, 0, True), (1, first, 1, True), (1, 0, 0, False)):
                context.set_threads(count, count, apart=apart, first=where, beside=beside)
                assert context.decode([1] * 64, 0, context.length(0)) is Decoded.OK
                found.append(os.sched_getaffinity(0))

    for first in (0, 1):
        thread = threading.Thread(target=compute, args=(first,))
        thread.start()
        thread.join()
    one, other = threads.one_of_each_core()[:2]
    assert found == [{one}, {one}, set(threads.every_cpu()), {one}, {other}, set(threads.every_cpu())]


@_NOT_HERE
@pytest.mark.skipif(threads._has("__kmpc_fork_call"), reason="only GNU's OpenMP counts the threads of all that wait")
def test_threads_that_wait_can_be_ended(model: Model) -> None:
    """After it the thread that decodes is alone, and computes with as many as before when it goes on."""
    found: list[int] = []

    def compute() -> None:
        before = _ids()
        context = Context(model, n_ctx=256, n_seq=1, n_batch=64, threads=1, threads_batch=1)
        with contextlib.closing(context):
            context.set_threads(2, 2, apart=True)
            for _ in range(2):
                assert context.decode([1] * 64, 0, context.length(0)) is Decoded.OK
                found.append(len(_ids() - before))
                threads.release()
                until(lambda: not _ids() - before, "the other thread's end")

    thread = threading.Thread(target=compute)
    thread.start()
    thread.join()
    assert found == [1, 1]


@_NOT_HERE
def test_threads_that_were_never_kept_apart_are_left_alone(model: Model) -> None:
    """Whoever does not ask for it finds no thread tied to anything."""
    assert _computes_on(model, False) == [[set(threads.every_cpu())] * 2]


@pytest.mark.parametrize(
    ("cores", "chosen"),
    [
        ({0: ("0", "1024"), 1: ("1", "1024")}, [0, 1]),
        ({0: ("0-1", "1024"), 1: ("0-1", "1024"), 2: ("2", "600"), 3: ("3", "600")}, [0, 2, 3]),
        ({0: ("0", "400"), 1: ("1", "400"), 2: ("2", "1024"), 3: ("3", "1024")}, [2, 3, 0, 1]),
        ({4: ("4,68", ""), 5: ("5,69", ""), 68: ("4,68", "")}, [4, 5]),
        ({0: ("", ""), 1: ("", "")}, []),
    ],
    ids=["alike", "two threads a core", "slow ones first", "a part of the machine", "nothing is known"],
)
def test_the_fastest_cores_come_first(
    monkeypatch: pytest.MonkeyPatch, cores: dict[int, tuple[str, str]], chosen: list[int]
) -> None:
    """One CPU of each core; of a machine with two kinds of cores the fast ones."""
    about = {"topology/thread_siblings_list": 0, "cpu_capacity": 1}
    monkeypatch.setattr(threads, "every_cpu", lambda: sorted(cores))
    monkeypatch.setattr(threads, "_about", lambda cpu, name: cores[cpu][about[name]] if name in about else "")
    assert threads.one_of_each_core.__wrapped__() == chosen


def test_without_pools_nothing_is_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another system, or a llama.cpp that describes its pools differently: it computes as before."""
    monkeypatch.setattr(threads, "_is_known", lambda: False)
    assert threads.every_cpu.__wrapped__() == ()
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert threads.every_cpu.__wrapped__() == ()


def test_what_the_kernel_does_not_say_is_empty() -> None:
    """A CPU that is not there."""
    assert threads._about(100_000, "cpu_capacity") == ""
    assert not Path("/sys/devices/system/cpu/cpu100000").exists()
