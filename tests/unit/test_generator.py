"""The generator: cached work gives the same answer as fresh work, and every ending says what it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fimble.engine.generator import CHUNK_TOKENS, Generator
from fimble.engine.job import Job
from fimble.engine.llama import Context, Decoded, Model, Part
from fimble.engine.wire import Chunk, CompletionRequest, Counters, InfillRequest, Timings
from fimble.errors import EngineError

NewContext = Callable[..., Context]

PREFIX = "".join(f"def function_{n}(first, second):\n    return first + second * {n}\n\n\n" for n in range(16))
SUFFIX = "\n\n\nprint(function_1(1, 2))\n"


class Engine:
    """A generator with its own context, and what it answers."""

    def __init__(self, model: Model, context: Context, n_ctx: int = 512, n_seq: int = 4) -> None:
        self.context = context
        self.counters = Counters()
        self.generator = Generator(model, context, n_ctx, n_seq, self.counters)

    def run(self, on_chunk: Callable[[Job, Chunk], None] = lambda _job, _chunk: None, **request: Any) -> list[Chunk]:
        chunks: list[Chunk] = []

        def emit(item: Chunk | Exception) -> None:
            if isinstance(item, Exception):
                raise item
            chunks.append(item)
            on_chunk(job, item)

        job = self.job = Job(InfillRequest(**request), emit)
        self.serve(job)
        assert [chunk.stop for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        return chunks

    def serve(self, *jobs: Job) -> None:
        """Decode after decode, until every job has its end."""
        while waiting := [job for job in jobs if not job.is_done]:
            self.generator.step(waiting)

    def logits_after(self, **request: Any) -> npt.NDArray[np.float32]:
        """The logits at the end of a prompt."""
        self.run(n_predict=0, **request)
        return self.context.logits().copy()


@pytest.fixture
def new_engine(model: Model, new_context: NewContext) -> Callable[..., Engine]:
    return lambda **context: Engine(model, new_context(**context))


@pytest.fixture
def endless_engine(endless: Path) -> Engine:
    """An engine whose answers are as long as they were asked to be."""
    model = Model(endless)
    return Engine(model, Context(model, n_ctx=1024, n_seq=4, n_batch=64, threads=1, threads_batch=1))


NewEngine = Callable[..., Engine]


def timings(chunks: list[Chunk]) -> Timings:
    found = chunks[-1].timings
    assert found is not None
    return found


SMALL_CHUNK = 48


@pytest.fixture
def tolerance(model: Model, new_context: NewContext, monkeypatch: pytest.MonkeyPatch) -> float:
    """How far logits may differ because the same prompt was cut into other chunks, which is up to llama.cpp.

    Chunks are made smaller here: for 64 tokens and more this llama.cpp takes other matrix kernels, whose
    rounding is as large as what a wrong token does to this small model.
    """
    monkeypatch.setattr("fimble.engine.generator.CHUNK_TOKENS", SMALL_CHUNK)
    tokens = model.vocab.tokenize(PREFIX)[:256]
    whole = evaluated(new_context(), tokens, SMALL_CHUNK)
    others = [evaluated(new_context(), tokens, size) for size in (1, 3, 17)]
    return 4 * max(float(np.abs(other - whole).max()) for other in others) + 1e-5


def evaluated(context: Context, tokens: tuple[int, ...], size: int, seq: int = 0) -> npt.NDArray[np.float32]:
    for at in range(0, len(tokens), size):
        assert context.decode(tokens[at : at + size], seq, at) is Decoded.OK
    return context.logits().copy()


def test_typing_in_the_cache_equals_starting_afresh(new_engine: NewEngine, tolerance: float) -> None:
    """After every key, what was computed step by step gives the logits that a fresh evaluation gives."""
    typed = "def function_9(first):\n    return fir"
    typing = new_engine()
    for size in range(0, len(typed) + 1, 6):
        request = {"input_prefix": PREFIX, "input_suffix": SUFFIX, "prompt": typed[:size], "session": "a"}
        difference = np.abs(typing.logits_after(**request) - new_engine().logits_after(**request)).max()
        assert difference <= tolerance


def test_the_tolerance_would_see_one_wrong_token(new_engine: NewEngine, tolerance: float) -> None:
    """One token that should not be in the cache, far from the end, changes the logits by far more."""
    right = new_engine().logits_after(input_prefix=PREFIX, input_suffix=SUFFIX)
    wrong = new_engine().logits_after(input_prefix=PREFIX.replace("* 11", "* 12"), input_suffix=SUFFIX)
    assert np.abs(right - wrong).max() > 5 * tolerance


def test_a_crowded_cache_changes_nothing(
    model: Model, new_context: NewContext, new_engine: NewEngine, tolerance: float
) -> None:
    """When sessions copy each other's beginnings and throw each other out, every answer is as if it were alone."""
    crowded, roomy = new_engine(), Engine(model, new_context(n_seq=16), n_seq=16)
    for turn, who in enumerate("0125013460123052"):
        # Some sessions share a beginning, others do not: there are more beginnings than sequences.
        start = PREFIX[30 * (int(who) % 5) :][: 600 + 50 * (int(who) // 5)]
        request: dict[str, Any] = {"input_prefix": start, "prompt": f"x{turn} = function_", "session": who}
        difference = np.abs(crowded.logits_after(**request) - new_engine().logits_after(**request)).max()
        assert difference <= tolerance
        roomy.run(n_predict=0, **request)
    assert crowded.counters.prompt_tokens_reused > 100
    again = crowded.counters.prompt_tokens_evaluated - roomy.counters.prompt_tokens_evaluated
    assert again > 200, "nobody was thrown out"


def test_that_tolerance_would_see_wrong_tokens_near_the_cursor(new_engine: NewEngine, tolerance: float) -> None:
    """What stands before the cursor moves the logits by much more than copying and other chunks do."""
    right = new_engine().logits_after(input_prefix=PREFIX, prompt="x1 = function_")
    wrong = new_engine().logits_after(input_prefix=PREFIX, prompt="x1 = (function_")
    assert np.abs(right - wrong).max() > 2 * tolerance


def test_a_key_evaluates_its_own_tokens_only(new_engine: NewEngine) -> None:
    """Once the prompt is in the cache, another character costs a token or two, not the prompt."""
    engine = new_engine()
    common: dict[str, Any] = {"input_prefix": PREFIX, "input_suffix": SUFFIX, "n_predict": 4, "session": "a"}
    cold = timings(engine.run(prompt="x", **common))
    assert (cold.cache_n, cold.prompt_n > 200) == (0, True)
    for size in range(2, 12):
        warm = engine.run(prompt="x = function_"[:size], **common)
        assert timings(warm).prompt_n <= 4
        assert timings(warm).cache_n + timings(warm).prompt_n == warm[-1].tokens_evaluated


def test_warming_leaves_one_token_to_do(new_engine: NewEngine) -> None:
    """A request for no tokens writes nothing and leaves the prompt in the cache."""
    engine = new_engine()
    warming = engine.run(input_prefix=PREFIX, n_predict=0)
    assert [chunk.content for chunk in warming] == [""]
    assert engine.counters.tokens_predicted == 0
    assert timings(engine.run(input_prefix=PREFIX, n_predict=1)).prompt_n == 1


def test_an_answer_ends_at_its_limit(endless_engine: Engine) -> None:
    """Not more tokens than asked for are written, and the end says why."""
    engine = endless_engine
    chunks = engine.run(input_prefix="def add(a, b):\n    return a", n_predict=5)
    assert (chunks[-1].stop_type, timings(chunks).predicted_n) == ("limit", 5)
    assert "".join(chunk.content for chunk in chunks)
    assert engine.counters.tokens_predicted == 5


def test_an_answer_ends_at_a_stop_string(endless_engine: Engine) -> None:
    """The stop string is not part of the answer, and it is named."""
    engine = endless_engine
    request: dict[str, Any] = {"input_prefix": "def add(a, b):\n    return a", "n_predict": 12}
    whole = "".join(chunk.content for chunk in engine.run(**request))
    word = whole[4:6]
    chunks = engine.run(**request, stop=[word])
    assert (chunks[-1].stop_type, chunks[-1].stopping_word) == ("word", word)
    assert "".join(chunk.content for chunk in chunks) == whole[: whole.index(word)]


def test_an_answer_ends_with_the_models_own_token(
    model: Model, new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control token ends the answer and is not part of its text."""
    engine = new_engine()
    tokens = iter([*model.vocab.tokenize("abc")[:1], 0])
    monkeypatch.setattr("fimble.engine.run.Sampler.pick", lambda *_: next(tokens))
    chunks = engine.run(input_prefix="x", n_predict=40)
    assert chunks[-1].stop_type == "eos"
    assert model.vocab.tokenize("abc")[:1] == model.vocab.tokenize("".join(chunk.content for chunk in chunks))


@pytest.mark.parametrize("reason", ["cancelled", "deadline"])
def test_a_job_that_ended_before_costs_nothing(model: Model, new_context: NewContext, reason: str) -> None:
    """A request whose client went away, or whose time was up, in the queue is not evaluated at all."""
    engine = Engine(model, new_context())
    chunks: list[Chunk | Exception] = []
    engine.serve(Job(InfillRequest(input_prefix=PREFIX), chunks.append, ended_by=reason))
    assert [(chunk.stop, chunk.stop_type) for chunk in chunks if isinstance(chunk, Chunk)] == [(True, reason)]
    assert engine.counters == Counters(cancelled=int(reason == "cancelled"))


@pytest.mark.parametrize("reason", ["cancelled", "deadline"])
def test_a_job_that_ends_while_writing_stops_there(endless_engine: Engine, reason: str) -> None:
    """What was written so far was sent, nothing is written after, and the end says why."""
    engine = endless_engine

    def end(job: Job, _chunk: Chunk) -> None:
        job.ended_by = reason

    chunks = engine.run(end, input_prefix=PREFIX, n_predict=100)
    assert chunks[-1].stop_type == reason
    assert timings(chunks).predicted_n < 100
    assert timings(engine.run(input_prefix=PREFIX, n_predict=1)).prompt_n == 1


def test_a_prompt_that_is_aborted_keeps_what_was_evaluated(
    new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks that were done before an abort are not computed again."""
    engine = new_engine()
    decode = engine.context.decode_together
    done: list[int] = []

    def abort_in_the_third(parts: Sequence[Part]) -> Decoded:
        if len(done) == 2:
            engine.job.ended_by = "cancelled"
            engine.context.abort()
        done.append(len(parts))
        return decode(parts)

    monkeypatch.setattr(engine.context, "decode_together", abort_in_the_third)
    first = engine.run(input_prefix=PREFIX)
    assert (timings(first).prompt_n, engine.counters.decode_aborts) == (2 * CHUNK_TOKENS, 1)
    engine.context.resume()
    monkeypatch.setattr(engine.context, "decode_together", decode)
    assert timings(engine.run(input_prefix=PREFIX)).cache_n == 2 * CHUNK_TOKENS


@pytest.mark.parametrize("how", ["aborted", "failed"])
def test_a_decode_that_ends_badly_leaves_no_trace(
    new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Whatever a failed decode left in the cache is not taken for something that was evaluated."""
    engine = new_engine()
    decode = engine.context.decode_together

    def end_badly(parts: Sequence[Part]) -> Decoded:
        status = decode(parts)
        if parts[0].start == 0:
            return status
        if how == "failed":
            raise EngineError("code -3")
        engine.job.ended_by = "cancelled"
        return Decoded.ABORTED

    monkeypatch.setattr(engine.context, "decode_together", end_badly)
    if how == "failed":
        with pytest.raises(EngineError, match="code -3"):
            engine.run(input_prefix=PREFIX)
    else:
        engine.run(input_prefix=PREFIX)
    monkeypatch.setattr(engine.context, "decode_together", decode)
    assert timings(engine.run(input_prefix=PREFIX, n_predict=1)).cache_n == CHUNK_TOKENS


def test_probabilities_come_with_every_token(endless_engine: Engine) -> None:
    """With n_probs each token is described, the taken one is the likeliest, and the text is theirs."""
    chunks = endless_engine.run(input_prefix="def add(a, b):\n    return a", n_predict=5, n_probs=3)
    entries = [entry for chunk in chunks for entry in chunk.completion_probabilities or []]
    assert len(entries) == 5
    assert all(len(entry["top_logprobs"]) == 3 for entry in entries)
    assert [entry["id"] for entry in entries] == [entry["top_logprobs"][0]["id"] for entry in entries]
    data = b"".join(bytes(entry["bytes"]) for entry in entries)
    assert data.decode("utf-8", "ignore") == "".join(chunk.content for chunk in chunks)


def test_an_empty_plain_prompt_is_refused(model: Model, new_context: NewContext) -> None:
    """There is nothing that an answer to an empty prompt could start from, and the engine goes on."""
    engine = Engine(model, new_context())
    answers: list[Chunk | Exception] = []
    engine.serve(Job(CompletionRequest(prompt=""), answers.append))
    assert [type(answer) for answer in answers] == [ValueError]
    assert engine.run(input_prefix="x", n_predict=1)[-1].stop


def test_a_prompt_that_does_not_fit_is_an_error_with_a_fix(model: Model, new_context: NewContext) -> None:
    """When no room can be made, the person learns which setting makes it; smaller prompts still work."""
    engine = Engine(model, new_context(n_ctx=256), n_ctx=512)
    with pytest.raises(EngineError) as caught:
        engine.run(input_prefix=PREFIX, input_suffix=PREFIX)
    assert "engine.context_tokens" in caught.value.fix
    assert engine.run(input_prefix="x = ", n_predict=2)[-1].stop_type in ("eos", "limit")


def test_the_counters_add_up(new_engine: NewEngine) -> None:
    """Every prompt token is either evaluated or reused, and every written one is counted."""
    engine = new_engine()
    ends = [engine.run(input_prefix=PREFIX, prompt="abc"[:size], n_predict=3)[-1] for size in range(4)]
    counters = engine.counters
    assert counters.prompt_tokens_evaluated + counters.prompt_tokens_reused == sum(e.tokens_evaluated for e in ends)
    assert counters.tokens_predicted == sum(e.timings.predicted_n for e in ends if e.timings)
