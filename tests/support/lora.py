"""LoRA adapters for tests: random matrices for the bundled model, as the files that llama.cpp loads."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

RANK = 4


def write_adapter(
    path: Path,
    *,
    architecture: str = "llama",
    layers: int = 12,
    factor: float = 1.0,
    seed: int = 1,
    width: int = 512,
    value: float | None = None,
) -> Path:
    """Write an adapter for every attn_q of a model of *width*, whose product is *factor* times that of its *seed*.

    With *value* every number of it is that.
    """
    dice = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(RANK))
    for layer in range(layers):
        down = dice.normal(0, 0.1, (RANK, width)).astype(np.float32)
        up = (factor * dice.normal(0, 0.1, (512, RANK))).astype(np.float32)
        for name, matrix in (("a", down), ("b", up)):
            filled = matrix if value is None else np.full_like(matrix, value)
            writer.add_tensor(f"blk.{layer}.attn_q.weight.lora_{name}", filled)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
