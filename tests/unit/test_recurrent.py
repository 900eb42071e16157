"""Models whose cache cannot be cut: said to be so, slower, and as right as others.  With a random Mamba."""

from __future__ import annotations

from typing import Any

import pytest
from recurrent import write_random_mamba

from fimble import catalog
from fimble.engine.generator import Generator
from fimble.engine.job import Job
from fimble.engine.llama import Context, Model
from fimble.engine.shelf import Shelf
from fimble.engine.wire import Chunk, Counters, InfillRequest, Timings

CODE = "".join(f"def function_{n}(first, second):\n    return first + second * {n}\n\n\n" for n in range(12))


@pytest.fixture(scope="module")
def mamba(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("models") / "mamba.gguf"
    write_random_mamba(catalog.resolve(""), path)
    return Model(path)


class Engine:
    def __init__(self, model: Model) -> None:
        self.context = Context(model, n_ctx=2048, n_seq=4, n_batch=64, threads=1, threads_batch=1)
        self.generator = Generator(model, self.context, 1024, 4, Counters(), Shelf(64_000_000))

    def run(self, **request: Any) -> tuple[str, Timings]:
        chunks: list[Any] = []
        job = Job(InfillRequest(**request), chunks.append)
        while not job.is_done:
            self.generator.step([job])
        assert isinstance(chunks[-1], Chunk), chunks
        assert chunks[-1].timings is not None
        return "".join(chunk.content for chunk in chunks), chunks[-1].timings


def test_it_is_known_which_models_cannot_roll_back(mamba: Model, model: Model) -> None:
    """A recurrent model is told from others by llama.cpp itself."""
    assert mamba.why_no_roll_back.startswith("recurrent")
    assert model.why_no_roll_back == ""


def test_a_key_goes_on_from_a_checkpoint(mamba: Model) -> None:
    """The prompt before what is typed is evaluated once, and of what was typed only what is new."""
    engine = Engine(mamba)
    line = "def function_9(first):"
    request: dict[str, Any] = {"input_prefix": CODE, "input_suffix": "\nx = 1\n", "n_predict": 4, "session": "a"}
    cold = engine.run(**request)[1].prompt_n
    assert cold > 200
    for size in range(1, len(line)):
        assert engine.run(**request, prompt=line[:size])[1].prompt_n <= 12
    # Something else was typed: back to before it.
    assert engine.run(**request, prompt="class Other:")[1].prompt_n <= 12


def test_the_answers_are_those_of_a_fresh_evaluation(mamba: Model) -> None:
    """Whatever was asked before, a checkpoint leads to the same text as starting from nothing."""
    engine = Engine(mamba)
    request: dict[str, Any] = {"input_prefix": CODE, "n_predict": 6, "session": "a"}
    texts = set()
    for typed in ("x", "x = f", "x = function", "y", "x = function_1(", ""):
        text, _ = engine.run(**request, prompt=typed, draft="x = 1")
        assert text == Engine(mamba).run(**request, prompt=typed)[0]
        texts.add(text)
    assert len(texts) > 1, "the model writes the same whatever it reads, and the test sees nothing"


def test_two_sessions_do_not_disturb_each_other(mamba: Model) -> None:
    """Sessions with the same beginning, served in turn, get their own answers."""
    engine = Engine(mamba)
    for turn in range(6):
        who, typed = "ab"[turn % 2], f"value_{turn % 3} = "
        request: dict[str, Any] = {"input_prefix": CODE, "prompt": typed, "n_predict": 5}
        assert engine.run(**request, session=who)[0] == Engine(mamba).run(**request)[0]
