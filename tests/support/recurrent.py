"""A model whose cache cannot be cut, with random weights."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from models import read_gguf

DIM, INNER, STATE, RANK, LAYERS = 32, 64, 8, 4, 2


def write_random_mamba(source: Path, target: Path) -> None:
    """A Mamba of 0.6 million random parameters with the vocabulary of *source*."""
    reader = read_gguf(source)
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
