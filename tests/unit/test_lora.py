"""LoRA adapters in llama.cpp: they change what the model computes by exactly their share, or are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from lora import write_adapter

from fimble.engine.llama import Context, LoraAdapter, Model
from fimble.engine.scheduler import Scheduler
from fimble.engine.wire import Adapter, EngineSettings
from fimble.errors import AdapterUnusable

TEXT = "def total(prices):\n    return sum(price.amount for price in prices)\n"


@pytest.fixture
def fresh(bundled: Path) -> Model:
    """A model of one's own: adapters stay with the model that they were loaded for."""
    return Model(bundled)


def logits(model: Model, adapter: LoraAdapter | None, scale: float = 1.0) -> npt.NDArray[np.float32]:
    """What the model says after TEXT."""
    context = Context(model, n_ctx=256, n_seq=1, n_batch=64, threads=1, threads_batch=1)
    context.use_adapter(adapter, scale)
    context.decode(model.vocab.tokenize(TEXT), 0, 0)
    return context.logits().copy()


def test_a_scale_of_zero_is_the_bare_model(fresh: Model, tmp_path: Path) -> None:
    """Bit by bit; and with another scale it is not."""
    adapter = LoraAdapter(fresh, write_adapter(tmp_path / "a.gguf"))
    bare = logits(fresh, None)
    assert np.array_equal(logits(fresh, adapter, 0.0), bare)
    assert np.abs(logits(fresh, adapter) - bare).max() > 0.1


def test_the_scale_multiplies(fresh: Model, tmp_path: Path) -> None:
    """Half of an adapter is the adapter with half the product; its opposite is minus one of it."""
    whole = LoraAdapter(fresh, write_adapter(tmp_path / "whole.gguf"))
    for factor in (0.5, -1.0, 2.0):
        other = LoraAdapter(fresh, write_adapter(tmp_path / f"{factor}.gguf", factor=factor))
        scaled, made = logits(fresh, whole, factor), logits(fresh, other)
        assert np.abs(scaled - made).max() < 1e-3
        assert np.abs(scaled - logits(fresh, whole)).max() > 0.1


def test_an_adapter_can_be_taken_off(fresh: Model, tmp_path: Path) -> None:
    """In the same context: what was added is gone."""
    adapter = LoraAdapter(fresh, write_adapter(tmp_path / "a.gguf"))
    context = Context(fresh, n_ctx=256, n_seq=1, n_batch=64, threads=1, threads_batch=1)
    found = []
    for used in (None, adapter, None):
        context.use_adapter(used)
        context.clear(0)
        context.decode(fresh.vocab.tokenize(TEXT), 0, 0)
        found.append(context.logits().copy())
    assert np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[1])


def wrong(tmp_path: Path, kind: str) -> Path:
    """A file that is no adapter for the bundled model."""
    path = tmp_path / f"{kind}.gguf"
    if kind == "architecture":
        return write_adapter(path, architecture="qwen2")
    if kind == "width":
        return write_adapter(path, width=256)
    if kind == "layers":
        return write_adapter(path, layers=15)
    if kind == "cut":
        path.write_bytes(write_adapter(path).read_bytes()[:-5000])
    elif kind == "nonsense":
        path.write_bytes(b"GGUF\x03\0\0\0" + np.random.default_rng(1).bytes(5000))
    elif kind == "text":
        path.write_bytes(b"not a model")
    return path


WRONG = ["architecture", "width", "layers", "cut", "nonsense", "text", "missing", "model"]


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_adapter_is_refused(fresh: Model, bundled: Path, tmp_path: Path, kind: str) -> None:
    """One for another model, a damaged one, one that is none, one that is gone: each by name and with a fix."""
    path = bundled if kind == "model" else wrong(tmp_path, kind)
    with pytest.raises(AdapterUnusable) as caught:
        LoraAdapter(fresh, path)
    assert path.name in caught.value.message
    assert caught.value.fix


def test_what_llama_cpp_found_is_told(fresh: Model, tmp_path: Path) -> None:
    """The cause, in its words."""
    with pytest.raises(AdapterUnusable, match="arch"):
        LoraAdapter(fresh, wrong(tmp_path, "architecture"))


@pytest.mark.parametrize("kind", ["architecture", "cut", "missing", "nan"])
def test_an_engine_goes_on_without_a_wrong_adapter(bundled: Path, tmp_path: Path, kind: str, home: Path) -> None:
    """It is ready, with one line about why, and computes what the bare model does."""
    path = write_adapter(tmp_path / "nan.gguf", value=np.nan) if kind == "nan" else wrong(tmp_path, kind)
    settings = EngineSettings(
        model_path=str(bundled), model_digest="d", context_tokens=512, threads=1, idle_minutes=1.0, transport="unix",
        adapter=Adapter(path=str(path), digest="x"),
    )  # fmt: skip
    scheduler = Scheduler(settings)
    scheduler._load(scheduler._first)
    assert scheduler.failure is None
    assert path.name in scheduler.notice
    assert "without it" in scheduler.notice
    context = scheduler._first.context
    assert context is not None
    assert scheduler.model is not None
    context.decode(scheduler.model.vocab.tokenize(TEXT), 0, 0)
    assert np.isfinite(context.logits()).all()
    assert int(context.logits().argmax()) == int(logits(scheduler.model, None).argmax())


def test_answers_are_kept_by_what_wrote_them() -> None:
    """The model alone, with an adapter, with another, with half of it: four names."""
    bare = EngineSettings(
        model_path="/m.gguf", model_digest="d", context_tokens=512, threads=1, idle_minutes=1.0, transport="unix"
    )
    import msgspec

    used = [
        None,
        Adapter(path="/a", digest="a"),
        Adapter(path="/a", digest="b"),
        Adapter(path="/a", digest="a", scale=0.5),
    ]
    digests = [msgspec.structs.replace(bare, adapter=adapter).weights_digest for adapter in used]
    assert digests[0] == "d"
    assert len(set(digests)) == 4
