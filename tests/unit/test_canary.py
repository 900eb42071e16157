"""A model is used on a few lines of code before anybody depends on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import msgspec
import pytest
from models import write_broken_model, write_crashing_model, write_model_without_fim

from fimble.engine import canary, launch
from fimble.engine.llama import Model
from fimble.engine.wire import EngineSettings, Trial
from fimble.errors import ModelCorrupt, ModelCrashes, ModelError, ModelNoFim, ModelNotFound, ModelTooLarge
from fimble.settings import EngineConfig

pytestmark = pytest.mark.usefixtures("home")

NewGguf = Callable[..., Path]


def settings(path: Path, **config: object) -> EngineSettings:
    return launch.settings_for(path, msgspec.convert(config, EngineConfig))


def test_a_good_model_passes_and_is_measured(bundled: Path) -> None:
    """Even the smallest: the true text is likelier with its own suffix, it ends in time, and its speeds are known."""
    trial = launch.use_on_trial(settings(bundled))
    assert trial.right_logprob > trial.wrong_logprob > trial.guess_logprob
    # What makes these limits safe: twenty times, and more than one natural logarithm a token.
    assert trial.end_probability > 0.2
    assert trial.right_logprob - trial.wrong_logprob > 1
    assert trial.prompt_tokens_per_s > 10
    assert trial.decode_tokens_per_s > 1
    assert trial.memory_bytes > bundled.stat().st_size
    assert trial.load_s > 0
    assert trial.probe is not None
    assert trial.probe.fim_tokens == [1, 2, 3]


def test_random_weights_do_not(endless: Path) -> None:
    """They are finite and have the tokens, but what they write is worth nothing; the numbers are told."""
    with pytest.raises(
        ModelNoFim, match=r"endless\.gguf does not fill in the middle: it knows nothing about code \("
    ) as caught:
        launch.use_on_trial(settings(endless))
    assert caught.value.fix


def test_tokens_that_were_never_trained_do_not(new_gguf: NewGguf, bundled: Path) -> None:
    """A model whose GGUF names the wrong tokens for filling in knows code, but does not end where the gap ends."""
    keys = {f"tokenizer.ggml.fim_{name}_token_id": 100 + n for n, name in enumerate(("pre", "suf", "mid"))}
    with pytest.raises(ModelNoFim, match="does not fill in the middle: it does not"):
        launch.use_on_trial(settings(new_gguf(replace=keys)))


@pytest.mark.parametrize(
    ("right", "wrong", "end", "says"),
    [
        (-3.6, -4.8, 0.44, ""),
        (-3.6, -3.7, 0.011, ""),
        (-9.8, -9.9, 0.4, "knows nothing about code"),
        (-3.6, -3.5, 0.4, "does not regard what follows"),
        (-3.6, -4.8, 0.001, "does not end"),
        (float("nan"), -4.8, 0.4, "knows nothing"),
    ],
)
def test_what_every_model_must_do(right: float, wrong: float, end: float, says: str) -> None:
    """Each of the three by itself is enough to be refused; a little of each is enough to pass."""
    trial = Trial(right_logprob=right, wrong_logprob=wrong, guess_logprob=-9.7, end_probability=end)
    if not says:
        canary.check("m.gguf", trial)
        return
    with pytest.raises(ModelNoFim, match=says) as caught:
        canary.check("m.gguf", trial)
    assert "base (not a chat) model" in caught.value.fix


def test_gaps_are_code_with_its_middle_taken_out() -> None:
    """They end where a line ends, as answers do, and no two are of one language."""
    assert all(gap.suffix.startswith("\n") for gap in canary.GAPS)
    assert all(gap.prefix.endswith(("\n", " ", "\t")) and "\n" not in gap.middle for gap in canary.GAPS)
    assert len({Path(gap.filename).suffix for gap in canary.GAPS}) == len(canary.GAPS)


def test_nonsense(model: Model) -> None:
    """One token for ever, or bytes that are no text; an answer that ends inside a character is none."""
    (word,) = model.vocab.tokenize("x")
    assert canary._is_nonsense(model, [word] * 24)
    assert not canary._is_nonsense(model, [word] * 23)
    assert not canary._is_nonsense(model, list(model.vocab.tokenize("return width * height")))
    assert not canary._is_nonsense(model, [])
    halves = [token for token in range(model.vocab.size) if model.vocab.piece(token) == b"\xc3"]
    assert halves
    assert not canary._is_nonsense(model, [word, halves[0]])
    assert canary._is_nonsense(model, [halves[0], word])


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (write_broken_model, ModelCorrupt),
        (write_crashing_model, ModelCrashes),
        (write_model_without_fim, ModelNoFim),
        (lambda source, target: target.write_bytes(source.read_bytes()[:100_000]), ModelCorrupt),
        (lambda _source, _target: None, ModelNotFound),
    ],
)
def test_each_failure_has_its_class(
    bundled: Path, tmp_path: Path, write: Callable[[Path, Path], object], kind: type[ModelError]
) -> None:
    """What is wrong comes back from the trying process with its fix, also when that process ends."""
    path = tmp_path / "m.gguf"
    write(bundled, path)
    asked = msgspec.structs.replace(settings(bundled), model_path=str(path))
    with pytest.raises(kind) as caught:
        launch.use_on_trial(asked)
    assert type(caught.value) is kind
    assert caught.value.fix


def test_it_is_bounded_in_time(bundled: Path) -> None:
    """A model that does not get ready is too large for this machine."""
    with pytest.raises(ModelTooLarge, match="was not ready within 0 seconds"):
        launch.use_on_trial(settings(bundled), timeout_s=0.001)


def test_a_context_that_does_not_fit_is_told_before_it_is_loaded(
    bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers: weights, context, and what there is; they survive the way between processes."""
    path = tmp_path / "big.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(131_072)
    writer.add_block_count(1000)
    writer.add_embedding_length(8192)
    writer.add_head_count(64)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ModelTooLarge) as caught:
        launch.use_on_trial(settings(path, context_tokens=131_072))
    # Two sequences, two numbers of two bytes for each layer, token and place.
    cache = 2 * 1000 * 131_072 * 2 * 8192 * 2
    assert caught.value.needed_bytes == cache + path.stat().st_size
    assert f"big.gguf needs {cache / 1e9:.1f} GB of memory" in caught.value.message
    assert "for 131072 tokens of context), and " in caught.value.message
    assert "engine.context_tokens" in caught.value.fix


@pytest.mark.parametrize(
    ("status", "said", "kills", "is_memory"),
    [
        (-9, "", 1, True),
        (-9, "", 0, False),
        (None, "", 1, True),
        (-11, "", 1, False),
        (-6, "terminate called after throwing an instance of 'std::bad_alloc'", 0, True),
        (1, "MemoryError", 0, True),
        (-6, "GGML_ASSERT(x) failed", 0, False),
    ],
)
def test_deaths_for_want_of_memory_are_told_from_others(
    status: int | None, said: str, kills: int, is_memory: bool
) -> None:
    """Linux's killer (and its counter), C++ and Python each have their own way."""
    assert launch.is_out_of_memory(status, said, kills) is is_memory
