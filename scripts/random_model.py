"""GGUF files with random weights in a chosen shape: for speed, which does not depend on what the weights are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

_TOKENIZER_LISTS = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges")

#: Tokens of plain characters (``Ġ`` is how a byte-level vocabulary writes a space).
_PLAIN = re.compile(r"[!-~Ġ]+")

#: Numbers that are drawn once and then read from changing places: half a billion fresh ones take a minute.
_POOL_NUMBERS = 4_000_037


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of a decoder with tied embeddings.

    *vocabulary* is the number of tokens; 0: as many as the tokenizer's source has.
    """

    architecture: str = "llama"
    layers: int = 12
    width: int = 512
    feed_forward: int = 3072
    heads: int = 8
    kv_heads: int = 2
    head_width: int = 64
    vocabulary: int = 0
    context: int = 8192


#: What the tests call slow: 73 million parameters with the bundled model's 16,384 tokens.
SLOW = Shape()

#: The trained model that fits a laptop's core: 45 million parameters.
M45 = Shape(feed_forward=1536, vocabulary=16_384)

#: Qwen2.5-Coder 0.5B.
B05 = Shape("qwen2", layers=24, width=896, feed_forward=4864, heads=14, vocabulary=151_936)

#: Qwen2.5-Coder 1.5B.
B15 = Shape("qwen2", layers=28, width=1536, feed_forward=8960, heads=12, kv_heads=2, head_width=128, vocabulary=151_936)


def write_random_model(source: Path, target: Path, shape: Shape = SLOW) -> None:
    """Write F16 weights of *shape* to *target*, with the tokenizer of the GGUF at *source*.

    Only tokens of plain characters can win: control tokens, line ends and halves of characters have embeddings of
    zero, hence a logit of zero.  So a greedy answer is always as long as it was asked to be, and can be read at
    every token.
    """
    writer = gguf.GGUFWriter(target, shape.architecture)
    writer.add_name("random weights")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    tokens = _add_tokenizer(gguf.GGUFReader(source), writer, shape.vocabulary)
    _add_weights(writer, tokens, shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_weights(writer: gguf.GGUFWriter, tokens: list[str], shape: Shape) -> None:
    random = np.random.default_rng(0)
    pool = random.standard_normal(_POOL_NUMBERS, dtype=np.float32)

    def weights(rows: int, columns: int) -> npt.NDArray[np.float16]:
        start = int(random.integers(0, _POOL_NUMBERS))
        numbers = np.resize(np.roll(pool, start), rows * columns).reshape(rows, columns)
        scaled: npt.NDArray[np.float16] = (numbers / columns**0.5).astype(np.float16)
        return scaled

    width, ff = shape.width, shape.feed_forward
    attention, kv = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    embedding = weights(len(tokens), width)
    embedding[[not _PLAIN.fullmatch(token) for token in tokens]] = 0
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    for layer in range(shape.layers):
        name = f"blk.{layer}."
        writer.add_tensor(name + "attn_norm.weight", np.ones(width, np.float32))
        writer.add_tensor(name + "ffn_norm.weight", np.ones(width, np.float32))
        for part, rows, columns in (
            ("attn_q", attention, width),
            ("attn_k", kv, width),
            ("attn_v", kv, width),
            ("attn_output", width, attention),
            ("ffn_gate", ff, width),
            ("ffn_up", ff, width),
            ("ffn_down", width, ff),
        ):
            writer.add_tensor(f"{name}{part}.weight", weights(rows, columns))
            if shape.architecture == "qwen2" and part in ("attn_q", "attn_k", "attn_v"):
                writer.add_tensor(f"{name}{part}.bias", np.zeros(rows, np.float32))


def _add_tokenizer(reader: gguf.GGUFReader, writer: gguf.GGUFWriter, size: int) -> list[str]:
    """Copy the tokenizer, filled up to *size* with tokens that no text becomes; returns the tokens' texts."""
    lists: dict[str, list[Any]] = {name: list(reader.fields[name].contents()) for name in _TOKENIZER_LISTS}
    tokens = [str(token) for token in lists["tokenizer.ggml.tokens"]]
    kinds = [int(kind) for kind in lists["tokenizer.ggml.token_type"]]
    more = range(len(tokens), size)
    tokens += [f"pad{number}" for number in more]
    kinds += [int(gguf.TokenType.NORMAL) for _ in more]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(lists["tokenizer.ggml.merges"])
    writer.add_add_bos_token(False)
    for name, field in reader.fields.items():
        if name.startswith("tokenizer.ggml.") and name.endswith("_token_id"):
            writer.add_uint32(name, int(field.contents()))
    return tokens
