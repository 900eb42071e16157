"""Models whose cache cannot be cut: said to be so, slower, and as right as others.  With a random Mamba."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from fimble import catalog
from fimble.engine.generator import Generator
from fimble.engine.job import Job
from fimble.engine.llama import Context, Model
from fimble.engine.wire import Chunk, Counters, InfillRequest, Timings

CODE = "".join(f"def function_{n}(first, second):\n    return first + second * {n}\n\n\n" for n in range(12))

DIM, INNER, STATE, RANK, LAYERS = 32, 64, 8, 4, 2


def write_random_mamba(source: Path, target: Path) -> None:
    """A Mamba of 0.6 million random parameters with the vocabulary of *source*."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "mamba")
    writer.add_name("random mamba")
    for add_value, value in (
        (writer.add_context_length, 2048),
        (writer.add_embedding_length, DIM),
        (writer.add_feed_forward_length, 0),
        (writer.add_head_count, 0),
        (writer.add_block_count, LAYERS),
        (writer.add_ssm_conv_kernel, 4),
        (writer.add_ssm_inner_size, INNER),
        (writer.add_ssm_state_size, STATE),
        (writer.add_ssm_time_step_rank, RANK),
    ):
        add_value(value)
    writer.add_layer_norm_rms_eps(1e-5)
    vocab = 0
    for name, field in reader.fields.items():
        if name.startswith("tokenizer."):
            vocab = max(vocab, len(field.data)) if name == "tokenizer.ggml.tokens" else vocab
            writer.add_key_value(
                name, field.contents(), field.types[0], field.types[1] if len(field.types) > 1 else None
            )
    random = np.random.default_rng(0)

    def add(name: str, *shape: int, scale: float = 0.0) -> None:
        values = random.standard_normal(shape, dtype=np.float32) * (scale or 1 / shape[-1] ** 0.5)
        writer.add_tensor(f"{name}", values)

    add("token_embd.weight", vocab, DIM, scale=1.0)
    writer.add_tensor("output_norm.weight", np.ones(DIM, np.float32))
    for layer in range(LAYERS):
        name = f"blk.{layer}."
        writer.add_tensor(name + "attn_norm.weight", np.ones(DIM, np.float32))
        add(name + "ssm_in.weight", 2 * INNER, DIM)
        add(name + "ssm_conv1d.weight", INNER, 4)
        add(name + "ssm_conv1d.bias", INNER)
        add(name + "ssm_x.weight", RANK + 2 * STATE, INNER)
        add(name + "ssm_dt.weight", INNER, RANK)
        writer.add_tensor(name + "ssm_dt.bias", np.full(INNER, -3.0, np.float32))
        writer.add_tensor(name + "ssm_a", -np.exp(random.standard_normal((INNER, STATE))).astype(np.float32))
        add(name + "ssm_d", INNER)
        add(name + "ssm_out.weight", DIM, INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def mamba(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("models") / "mamba.gguf"
    write_random_mamba(catalog.resolve(""), path)
    return Model(path)


class Engine:
    def __init__(self, model: Model) -> None:
        self.context = Context(model, n_ctx=2048, n_seq=4, n_batch=64, threads=1, threads_batch=1)
        self.generator = Generator(model, self.context, 1024, 4, Counters(), 64_000_000)

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
