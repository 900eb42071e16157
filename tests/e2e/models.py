"""GGUF files for tests: random weights in a chosen size with the bundled model's vocabulary, and broken ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

BUNDLED_MODEL = Path(__file__).resolve().parents[2] / "models" / "starter-5m-q8_0.gguf"

_TOKENIZER_LISTS = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges")


def write_random_model(source: Path, target: Path, *, layers: int = 12, dim: int = 512, ff: int = 3072) -> None:
    """A llama with F16 random weights (the defaults: 69 million parameters); its speed is that of a trained one."""
    reader = gguf.GGUFReader(source)
    heads, kv_heads = dim // 64, 2
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_name("random weights")
    writer.add_context_length(8192)
    writer.add_embedding_length(dim)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(ff)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(64)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    tokens = _copy_tokenizer(reader, writer)
    _add_weights(writer, len(tokens), layers, dim, ff, kv_heads * 64)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_weights(writer: gguf.GGUFWriter, vocab: int, layers: int, dim: int, ff: int, kv: int) -> None:
    random = np.random.default_rng(0)

    def weights(rows: int, columns: int) -> Any:
        return (random.standard_normal((rows, columns), dtype=np.float32) / columns**0.5).astype(np.float16)

    writer.add_tensor("token_embd.weight", weights(vocab, dim))
    writer.add_tensor("output_norm.weight", np.ones(dim, np.float32))
    for layer in range(layers):
        name = f"blk.{layer}."
        writer.add_tensor(name + "attn_norm.weight", np.ones(dim, np.float32))
        writer.add_tensor(name + "ffn_norm.weight", np.ones(dim, np.float32))
        for part, rows, columns in (
            ("attn_q", dim, dim),
            ("attn_k", kv, dim),
            ("attn_v", kv, dim),
            ("attn_output", dim, dim),
            ("ffn_gate", ff, dim),
            ("ffn_up", ff, dim),
            ("ffn_down", dim, ff),
        ):
            writer.add_tensor(f"{name}{part}.weight", weights(rows, columns))


def _copy_tokenizer(reader: gguf.GGUFReader, writer: gguf.GGUFWriter) -> list[str]:
    lists: dict[str, list[Any]] = {name: list(reader.fields[name].contents()) for name in _TOKENIZER_LISTS}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(lists["tokenizer.ggml.tokens"])
    writer.add_token_types(lists["tokenizer.ggml.token_type"])
    writer.add_token_merges(lists["tokenizer.ggml.merges"])
    writer.add_add_bos_token(False)
    for name, field in reader.fields.items():
        if name.startswith("tokenizer.ggml.") and name.endswith("_token_id"):
            writer.add_uint32(name, int(field.contents()))
    return [str(token) for token in lists["tokenizer.ggml.tokens"]]


def write_broken_model(source: Path, target: Path) -> None:
    """The bundled model with weights that load and then give NaN: every tensor's bytes are 0xFF."""
    data = bytearray(source.read_bytes())
    reader = gguf.GGUFReader(source)
    for tensor in reader.tensors:
        start = int(tensor.data_offset)
        data[start : start + int(tensor.n_bytes)] = b"\xff" * int(tensor.n_bytes)
    target.write_bytes(data)
