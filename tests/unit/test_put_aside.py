"""Sequences put aside: coming back to a file costs no evaluation, within a budget of memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from fimble import catalog
from fimble.engine.generator import Generator
from fimble.engine.job import Job
from fimble.engine.llama import Context, Model
from fimble.engine.shelf import Shelf, Stored
from fimble.engine.wire import Chunk, Counters, InfillRequest, Timings

MODEL = Model(catalog.resolve(""))
N_CTX = 512


class Engine:
    def __init__(self, cache_bytes: int = 64_000_000) -> None:
        self.counters = Counters()
        self.context = Context(MODEL, n_ctx=N_CTX, n_seq=2, n_batch=64, threads=1, threads_batch=1)
        self.generator = Generator(MODEL, self.context, N_CTX, 2, self.counters, Shelf(cache_bytes))

    def run(self, **request: Any) -> Timings:
        chunks: list[Any] = []
        job = Job(InfillRequest(**request), chunks.append)
        while not job.is_done:
            self.generator.step([job])
        assert isinstance(chunks[-1], Chunk), chunks
        assert chunks[-1].timings is not None
        return chunks[-1].timings


def file(n: int) -> dict[str, Any]:
    """A request in one of several files that share nothing."""
    text = "".join(f"def f{n}_{i}(value):\n    return value * {i} + {n}\n\n\n" for i in range(13))
    return {"input_prefix": text, "input_suffix": "\n", "session": f"file {n}", "n_predict": 2}


def test_coming_back_evaluates_the_tail_only() -> None:
    """Six files in turn, where two fit: each is evaluated once, and then only what was typed since."""
    engine = Engine()
    cold = [engine.run(**file(n), prompt="x = ").prompt_n for n in range(6)]
    assert min(cold) > 200
    for n in (0, 1, 2, 3, 4, 5, 0, 3):
        timings = engine.run(**file(n), prompt="x = f")
        assert timings.prompt_n <= 4, n
    assert engine.counters.taken_back >= 6


def test_what_comes_back_is_as_good_as_new() -> None:
    """After going to the side and back the logits are those of an evaluation that was never interrupted."""
    engine, fresh = Engine(), Engine()
    for n in (0, 1, 2, 3):
        engine.run(**file(n))
    engine.run(**file(0) | {"n_predict": 0}, prompt="x = 1")
    assert engine.counters.taken_back == 1
    fresh.run(**file(0))
    fresh.run(**file(0) | {"n_predict": 0}, prompt="x = 1")
    assert np.abs(engine.context.logits() - fresh.context.logits()).max() < 1e-3


def test_a_file_that_did_not_change_is_not_copied_again() -> None:
    """Going to and fro between files copies each of them once."""
    engine = Engine()
    for _ in range(4):
        for n in range(4):
            engine.run(**file(n), prompt="x")
    assert engine.counters.put_aside == 4
    assert len(list(engine.generator.sequences._shelf)) == 4


def test_the_budget_is_kept() -> None:
    """The least lately used file is forgotten, and evaluated again when it is needed."""
    probe = Engine()
    probe.run(**file(0))
    one = probe.context.save(0).nbytes
    engine = Engine(cache_bytes=2 * one + one // 2)
    for n in range(6):
        engine.run(**file(n))
        assert engine.generator.sequences._shelf.size_bytes <= 2 * one + one // 2
    assert engine.run(**file(0)).prompt_n > 200
    assert engine.run(**file(4)).prompt_n <= 4


def test_no_budget_means_nothing_is_put_aside() -> None:
    """With `cache_mb` 0 nothing is copied."""
    engine = Engine(cache_bytes=0)
    for n in (0, 1, 2, 0):
        engine.run(**file(n))
    assert engine.counters.put_aside == engine.counters.taken_back == 0


def test_jumping_within_a_file_and_back() -> None:
    """A session that leaves most of its prompt behind finds it again; typing copies nothing."""
    engine = Engine()
    there, back = file(0), file(1) | {"session": "file 0"}
    for typed in ("", "a", "ab", "abc"):
        engine.run(**there, prompt=typed)
    assert engine.counters.put_aside == 0
    engine.run(**back)
    assert engine.run(**there, prompt="abcd").prompt_n <= 4


def test_a_shelf_forgets_what_is_too_large_at_once() -> None:
    """One state that is larger than the whole budget does not throw out the others."""
    shelf = Shelf(100)
    small, large = (Stored([1], np.zeros(size, np.uint8)) for size in (60, 200))
    shelf.put(small)
    shelf.put(large)
    assert list(shelf) == [small]
    other = Stored([2], np.zeros(30, np.uint8))
    shelf.put(other)
    shelf.touch(small)
    shelf.touch(large)
    shelf.put(Stored([3], np.zeros(30, np.uint8)))
    assert small in list(shelf)
    assert other not in list(shelf)
