"""Several requests in one decode: everyone gets the answer that it gets alone, fairly, and nothing wears out."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
import psutil
import pytest
from scheduling import Asked, settings_for

from fimble import catalog
from fimble.engine.generator import CHUNK_TOKENS, Generator, plan
from fimble.engine.job import Job
from fimble.engine.llama import Context, Decoded, Model
from fimble.engine.scheduler import Scheduler
from fimble.engine.wire import Chunk, Counters, ExtraFile, InfillRequest

MODEL = Model(catalog.resolve(""))
CODE = "".join(f"def function_{n}(first, second):\n    return first + second * {n}\n\n\n" for n in range(16))


class Engine:
    def __init__(self) -> None:
        self.counters = Counters()
        self.context = Context(MODEL, n_ctx=2048, n_seq=8, n_batch=64, threads=1, threads_batch=1)
        self.generator = Generator(MODEL, self.context, 512, 8, self.counters)

    def run(self, *requests: dict[str, Any]) -> list[list[Chunk]]:
        answers: list[list[Any]] = [[] for _ in requests]
        jobs = [Job(InfillRequest(**r), chunks.append) for r, chunks in zip(requests, answers, strict=True)]
        while going := [job for job in jobs if not job.is_done]:
            self.generator.step(going)
        return answers


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.content for chunk in chunks)


def gap_where_they_part(one: list[Chunk], other: list[Chunk]) -> float:
    """How far the second best token was behind the best where the answers first differ."""
    written, instead = ([e for c in chunks for e in c.completion_probabilities or []] for chunks in (one, other))
    for a, b in zip_longest(written, instead):
        if a is None or b is None or a["id"] != b["id"]:
            best, *others = (a or b)["top_logprobs"]
            return float(best["logprob"] - others[0]["logprob"]) if others else np.inf
    return np.inf


def requests(count: int, seed: int) -> list[dict[str, Any]]:
    choose = random.Random(seed)
    found = []
    for n in range(count):
        cut = choose.randrange(100, len(CODE) - 10)
        line = CODE.rfind("\n", 0, cut) + 1
        request: dict[str, Any] = {"input_prefix": CODE[max(0, line - choose.randrange(50, 700)) : line]}
        request |= {"prompt": CODE[line:cut], "n_predict": choose.randrange(1, 20), "session": f"{n}", "n_probs": 2}
        found.append(request)
    return found


def kernel_noise() -> float:
    """How far logits differ because a prompt was evaluated in other chunks, which is up to llama.cpp."""
    tokens = MODEL.vocab.tokenize(CODE)[:256]
    ends = []
    for size in (64, 17):
        context = Context(MODEL, n_ctx=512, n_seq=1, n_batch=64, threads=1, threads_batch=1)
        for at in range(0, 256, size):
            assert context.decode(tokens[at : at + size], 0, at) is Decoded.OK
        ends.append(context.logits().copy())
    return 4 * float(np.abs(ends[0] - ends[1]).max()) + 1e-4


def test_four_at_once_write_what_each_writes_alone() -> None:
    """Twelve rounds of four sessions: the texts are the same, except where two tokens nearly tie."""
    noise = kernel_noise()
    together, differing = Engine(), 0
    for seed in range(12):
        asked = requests(4, seed)
        for request, chunks in zip(asked, together.run(*asked), strict=True):
            (alone,) = Engine().run(request)
            if text_of(alone) != text_of(chunks):
                differing += 1
                assert gap_where_they_part(alone, chunks) <= noise
    assert differing <= 12
    assert together.counters.decode_sequences > 1.5 * together.counters.decodes


def noting(order: list[str], who: str, _item: Chunk | Exception) -> None:
    order.append(who)


def test_where_it_is_slower_together_each_has_its_turn() -> None:
    """When a decode for two costs more than two decodes, writers take turns; nobody waits for another's end."""
    engine = Engine()
    vars(engine.generator.costs)["pays_together"] = lambda _writers: False
    order: list[str] = []
    jobs = [
        Job(
            InfillRequest(input_prefix=CODE[:200], prompt="x = [", n_predict=6, session=who),
            partial(noting, order, who),
        )
        for who in "ab"
    ]
    while going := [job for job in jobs if not job.is_done]:
        engine.generator.step(going)
    assert order[2:8] in (["a", "b"] * 3, ["b", "a"] * 3)


def test_a_decode_is_shared_fairly() -> None:
    """Who writes gets a token, a short prompt all it needs, and long ones equal parts of the rest."""
    engine = Engine()
    long: list[dict[str, Any]] = [{"input_prefix": CODE[n:], "session": str(n), "n_predict": 0} for n in (0, 7)]
    jobs = [Job(InfillRequest(**r), lambda _item: None) for r in (*long, {"input_prefix": "x", "session": "short"})]
    engine.generator._seat(jobs)
    turns = {turn.run.job.request.session: turn for turn in plan(engine.generator._seated)}
    short = turns["short"]
    assert short.outputs == 1
    assert len(turns["0"].tokens) - len(turns["7"].tokens) in (-1, 0, 1)
    assert sum(len(turn.tokens) for turn in turns.values()) == CHUNK_TOKENS
    assert turns["0"].outputs == 0


def test_a_shared_beginning_is_evaluated_once() -> None:
    """A second window with the same snippets goes on from a copy of them, while the first one is still at work."""
    engine = Engine()
    extra = [ExtraFile("a.py", CODE[:600])]
    first = Job(InfillRequest(input_extra=extra, prompt="x = ", n_predict=20, session="a"), lambda _item: None)
    while not (first.run and first.run.is_writing):
        engine.generator.step([first])
    answers: list[Any] = []
    second = Job(InfillRequest(input_extra=extra, prompt="y = ", n_predict=2, session="b"), answers.append)
    while not second.is_done:
        engine.generator.step([first, second])
    assert answers[-1].timings.cache_n > 150
    assert answers[-1].timings.prompt_n < 10


@pytest.fixture(params=[1, 2], ids=["one lane", "two lanes"])
def scheduler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    """A scheduler with the bundled model, that divides its threads between two windows if it can."""
    monkeypatch.setattr("fimble.engine.loading.cores", lambda: 2)
    made = Scheduler(settings_for(catalog.resolve(""), 512, threads=request.param))
    made.start()
    yield made
    made.close()


def ask(scheduler: Scheduler, **request: Any) -> Asked:
    job = Asked(**request)
    scheduler.submit(job)
    return job


def test_four_windows_get_what_each_gets_alone(scheduler: Scheduler) -> None:
    """However many lanes there are, and wherever a window was before."""
    noise, differing = kernel_noise(), 0
    for seed in range(12):
        asked = requests(4, seed)
        jobs = [ask(scheduler, **request) for request in asked]
        for request, job in zip(asked, jobs, strict=True):
            (alone,) = Engine().run(request)
            together = job.chunks()
            if text_of(alone) != text_of(together):
                differing += 1
                assert gap_where_they_part(alone, together) <= noise
    assert differing <= 12
    assert (scheduler._second.counters.decodes > 0) == (scheduler.settings.threads > 1)


def test_a_thousand_random_cancels_leave_no_trace(scheduler: Scheduler) -> None:
    """Whatever is ended at whatever moment, alone or in company, the cache says what a fresh one says.

    And no memory is lost on the way.
    """
    choose = random.Random(5)
    noise = kernel_noise()
    process = psutil.Process()
    before = 0
    for round_ in range(1000):
        cut = choose.randrange(len(CODE) - 900)
        prefix, session = CODE[cut : cut + choose.randrange(10, 900)], choose.choice("abcd")
        job = ask(scheduler, input_prefix=prefix, prompt="v", n_predict=choose.choice([0, 1, 8, 30]), session=session)
        time.sleep(choose.choice([0, 0.0005, 0.002, 0.006]))  # the random moment, in the queue or in any decode
        scheduler.end(job, "cancelled")
        if round_ == 500:
            gc.collect()
            before = process.memory_info().rss
    gc.collect()
    assert process.memory_info().rss - before < 20_000_000
    last = ask(scheduler, input_prefix=CODE[:900], prompt="value = ", n_predict=0, heal=False)
    last.last()
    lane = scheduler._homes.of(last)
    assert lane is not None
    assert lane.context is not None
    assert last.run is not None
    fresh = Context(MODEL, n_ctx=512, n_seq=1, n_batch=64, threads=1, threads_batch=1)
    tokens = last.run.tokens
    for at in range(0, len(tokens), 64):
        assert fresh.decode(tokens[at : at + 64], 0, at) is Decoded.OK
    assert np.abs(lane.context.logits() - fresh.logits()).max() <= noise
    assert scheduler.counters.cancelled > 500
