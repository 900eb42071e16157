"""How much of the cache an engine keeps: enough to type and to prepare, more where nobody notices."""

from __future__ import annotations

import pytest

from fimble import catalog
from fimble.engine.llama import Context, Model, sequence_bytes
from fimble.engine.sizes import how_many_more_sequences, how_many_sequences

MODEL = Model(catalog.resolve(""))
MB = 1_000_000


@pytest.mark.parametrize(
    ("model_mb", "each_mb", "count"),
    [
        (8, 4, 4),  # the bundled one
        (33, 25, 3),
        (400, 50, 4),
        (5_000, 115, 4),
        (400, 800, 2),  # a long context beside a small model
        (50, 0, 4),  # a recurrent model, whose state is small
    ],
)
def test_what_is_kept_does_not_dwarf_the_model(model_mb: int, each_mb: int, count: int) -> None:
    """Two sequences at least; more only as long as they are small beside the weights."""
    assert how_many_sequences(model_mb * MB, each_mb * MB) == count


@pytest.mark.parametrize(
    ("model_mb", "each_mb", "count"),
    [
        (8, 4, 2),
        (33, 25, 1),  # which fits into the memory for sequences put aside
        (400, 50, 2),
        (1_000, 117, 1),
        (400, 800, 0),
        (50, 0, 2),
    ],
)
def test_a_second_lane_does_not_dwarf_the_model_either(model_mb: int, each_mb: int, count: int) -> None:
    """It gets as many as the first has beyond the least; a single one only if it can be put aside."""
    assert how_many_more_sequences(model_mb * MB, each_mb * MB, 200 * MB) == count
    without = how_many_more_sequences(model_mb * MB, each_mb * MB, 0)
    assert without == (count if count != 1 else 0)


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_the_size_of_a_sequence_is_what_llama_cpp_copies(kv_type: str) -> None:
    """The estimate agrees with the bytes of a full sequence, as llama.cpp hands them out."""
    context = Context(
        MODEL, n_ctx=256, n_seq=1, n_batch=64, threads=1, threads_batch=1, kv_type=kv_type, flash_attention=True
    )
    for start in range(0, 256, 64):
        context.decode([8] * 64, 0, start)
    assert sequence_bytes(MODEL, 256, kv_type) == pytest.approx(context.save(0).nbytes, rel=0.02)
