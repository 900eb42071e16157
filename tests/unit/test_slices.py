"""Slices of models: how their weights are kept, the files of random weights, and what is measured with them."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import gguf
import llama_cpp.llama_cpp as llama
import msgspec
import numpy as np
import pytest

from bench_models import quantise
from fimble import catalog
from fimble.catalog import Entry
from fimble.engine import trial
from fimble.engine.llama import Context, Decoded, Model
from fimble.engine.llama.devices import gpus
from fimble.engine.slices import Slice
from fimble.engine.synthetic import write
from fimble.models import prediction
from fimble.quantisation import BLOCKS, kind_of, mixture_of
from random_model import Shape, write_random_model

TINY = Slice(
    mixture="Q4_K_M",
    of_layers=3,
    n_layer=3,
    n_embd=256,
    n_ff=512,
    n_head=4,
    n_head_kv=2,
    head_dim=64,
    n_vocab=300,
)

EXPERTS = msgspec.structs.replace(TINY, n_expert=8, n_expert_used=2)


LAYERS, FEED_FORWARD = 16, 256


@pytest.fixture(scope="module", params=[256, 192])
def wide(request: pytest.FixtureRequest, bundled: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """A model whose rows have so many columns, before it is quantised."""
    width: int = request.param
    path = tmp_path_factory.mktemp("wide") / "wide.gguf"
    shape = Shape(layers=LAYERS, width=width, feed_forward=FEED_FORWARD, heads=width // 64, kv_heads=1)
    write_random_model(bundled, path, shape)
    return width, path


@pytest.mark.parametrize(
    ("mixture", "ftype"),
    [
        ("Q4_K_M", llama.LLAMA_FTYPE_MOSTLY_Q4_K_M),
        ("Q5_K_M", llama.LLAMA_FTYPE_MOSTLY_Q5_K_M),
        ("Q8_0", llama.LLAMA_FTYPE_MOSTLY_Q8_0),
        ("Q6_K", llama.LLAMA_FTYPE_MOSTLY_Q6_K),
        ("Q5_K_S", llama.LLAMA_FTYPE_MOSTLY_Q5_K_S),
        ("Q4_0", llama.LLAMA_FTYPE_MOSTLY_Q4_0),
    ],
)
def test_a_mixture_is_what_llama_cpp_makes_of_it(
    wide: tuple[int, Path], tmp_path: Path, mixture: str, ftype: int
) -> None:
    """Every matrix gets the kind that llama.cpp's own quantiser gives it, also where rows are too narrow for it."""
    width, path = wide
    quantise(path, tmp_path / "small.gguf", ftype)
    found = {t.name: t.tensor_type.name for t in gguf.GGUFReader(tmp_path / "small.gguf").tensors if t.shape.size > 1}
    matrices = {name for name in found if name.endswith(".weight") and "norm" not in name}
    for name in matrices - {"token_embd.weight"}:
        _, layer, matrix, _ = name.split(".")
        columns = FEED_FORWARD if matrix == "ffn_down" else width
        assert found[name] == kind_of(mixture, matrix, columns, int(layer), LAYERS), name
    assert found["token_embd.weight"] == kind_of(mixture, "output", width)
    assert len(matrices) == 1 + 7 * LAYERS


@pytest.mark.parametrize(
    ("file", "mixture"),
    [
        ("qwen2.5-coder-0.5b-q8_0.gguf", "Q8_0"),
        ("Qwen2.5-Coder-7B.Q4_K_M.gguf", "Q4_K_M"),
        ("a-q4_0-b-Q6_K.gguf", "Q6_K"),
        ("model-F16.gguf", "F16"),
        ("model.gguf", ""),
        ("aq8_0x.gguf", ""),
    ],
)
def test_a_files_name_tells_its_mixture(file: str, mixture: str) -> None:
    """Names are written in many ways; what is no name of a mixture is none."""
    assert mixture_of(file) == mixture


def entries() -> list[Entry]:
    known = catalog.load()
    return [known.bundled, *known.model]


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_a_whole_model_as_a_slice_has_the_size_of_its_file(entry: Entry) -> None:
    """What is known of each model of the catalog (its dimensions, its mixture) gives the size of its real file."""
    whole = prediction.slice_of(entry, 1 << 60)
    assert whole
    assert whole.n_layer == entry.shape.n_layer
    size = whole.bytes
    if not entry.shape.tied:
        block = BLOCKS[kind_of(whole.mixture, "token_embd", entry.shape.n_embd)]
        size += entry.shape.n_vocab * entry.shape.n_embd // block.weights * block.bytes
    # Names of tokens, norms and biases are the rest: of a tiny model not so little.
    assert size == pytest.approx(entry.size_mb * 1e6, rel=0.02 if entry.size_mb > 100 else 0.1)


@pytest.mark.parametrize("mixture", ["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0"])
@pytest.mark.parametrize("part", [TINY, EXPERTS, msgspec.structs.replace(TINY, n_embd=192)], ids=["", "moe", "narrow"])
def test_llama_cpp_computes_with_what_is_written(tmp_path: Path, part: Slice, mixture: str) -> None:
    """Files that are written by hand load, have the size that a slice says, and give finite numbers."""
    path = tmp_path / "slice.gguf"
    part = msgspec.structs.replace(part, mixture=mixture)
    write(path, part, 256)
    model = Model(path)
    try:
        with contextlib.closing(Context(model, n_ctx=256, n_seq=1, n_batch=64, threads=1, threads_batch=1)) as context:
            assert context.decode([5, 6, 299], 0, 0) is Decoded.OK
            logits = context.logits().copy()
        assert np.isfinite(logits).all()
        assert logits.std() > 0
        norms = 4 * part.n_embd * (2 * part.n_layer + 1)
        router = 4 * part.n_embd * part.n_expert * part.n_layer
        assert model.size_bytes == part.bytes + norms + router
    finally:
        model.close()


def test_attention_is_measured_once_for_models_with_the_same_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes as long as all the rest, and does not depend on the rest."""
    monkeypatch.setattr(trial, "candidates", lambda _cores: [1])
    trial._attention.cache_clear()
    for width in (512, 256):
        (timing,) = trial.measure(msgspec.structs.replace(TINY, n_ff=width))
        assert timing.threads == 1
        assert timing.chunk_ms > timing.token_ms > 0
    assert trial._attention.cache_info().misses == 1


@dataclasses.dataclass
class _Device:
    kind: int
    free: int
    total: int


class _Library:
    """What ggml would say with these devices."""

    def __init__(self, devices: list[_Device]) -> None:
        def memory(device: int, free: object, total: object) -> None:
            free._obj.value, total._obj.value = devices[device].free, devices[device].total  # type: ignore[attr-defined]

        # Functions, since attributes can be set on them, as on those of ctypes.
        self.ggml_backend_dev_count = lambda: len(devices)
        self.ggml_backend_dev_get = lambda number: number
        self.ggml_backend_dev_type = lambda device: devices[device].kind
        self.ggml_backend_dev_memory = memory
        self.ggml_backend_dev_description = lambda device: f"device {device}".encode()


def test_gpus_are_devices_with_memory() -> None:
    """Processors and accelerators without memory (BLAS) are no GPUs."""
    library = _Library([_Device(0, 9, 9), _Device(1, 7, 8), _Device(2, 0, 0), _Device(2, 5, 6), _Device(3, 1, 1)])
    assert [(gpu.name, gpu.free_bytes, gpu.total_bytes) for gpu in gpus(library)] == [
        ("device 1", 7, 8),
        ("device 3", 5, 6),
    ]


def test_the_real_library_can_be_asked() -> None:
    """Whatever this machine has, asking for it does not fail; a library without such functions knows no GPUs."""
    assert all(gpu.total_bytes >= gpu.free_bytes >= 0 for gpu in gpus())
    assert gpus(object()) == []
