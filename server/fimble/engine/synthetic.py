"""GGUF files of random weights, written by hand: what a machine does is measured before any model is downloaded.

Weights are blocks of random bytes with sane scales, one megabyte of them over and over: no kernel's time depends on
what the numbers are, as long as they stay finite, and some hundred megabytes are written in a quarter of a second.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from fimble.engine.slices import Matrix, Slice
from fimble.quantisation import BLOCKS, Block

#: gguf.md: the types of metadata values.
_UINT32, _FLOAT32, _STRING, _ARRAY = 4, 6, 8, 9

#: enum ggml_type (ggml.h).
_F32 = 0

_ALIGNMENT = 32
_POOL_BYTES = 1_000_000

#: 2 to the power of -10 as a half: weights of a few hundredths, so that what is computed stays small.
_SCALE = np.frombuffer(np.float16(2.0**-10).tobytes(), np.uint8)

_BYTE_TOKENS = 256

Value = int | float | str | list[str]


class _Tensor(NamedTuple):
    name: str
    dimensions: tuple[int, ...]
    """The innermost first."""
    ggml_type: int
    size: int
    data: bytes
    """Over and over, until there are *size* bytes."""


def write(path: Path, part: Slice, context_tokens: int) -> None:
    """Write *part* as a model of its own to *path*.  Raises OSError if there is no room for it."""
    tensors, metadata = list(_tensors(part)), _metadata(part, context_tokens)
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
        for key, value in metadata.items():
            file.write(_text(key) + _value(value))
        offset = 0
        for name, dimensions, ggml_type, size, _ in tensors:
            file.write(_text(name) + struct.pack("<I", len(dimensions)))
            file.write(struct.pack(f"<{len(dimensions)}Q", *dimensions) + struct.pack("<IQ", ggml_type, offset))
            offset += -(-size // _ALIGNMENT) * _ALIGNMENT
        for tensor in tensors:
            _align(file)
            for _ in range(tensor.size // len(tensor.data)):
                file.write(tensor.data)
            file.write(tensor.data[: tensor.size % len(tensor.data)])
        _align(file)


def _tensors(part: Slice) -> Iterator[_Tensor]:
    random = np.random.default_rng(0)
    pools = {kind: _pool(block, random) for kind, block in BLOCKS.items()}

    def matrix(m: Matrix, before: str = "") -> _Tensor:
        dimensions = (m.columns, m.rows, m.experts)[: 3 if m.name.endswith("_exps") else 2]
        return _Tensor(f"{before}{m.name}.weight", dimensions, BLOCKS[m.kind].ggml_type, m.bytes, pools[m.kind])

    def norm(name: str) -> _Tensor:
        ones = np.ones(part.n_embd, np.float32).tobytes()
        return _Tensor(f"{name}.weight", (part.n_embd,), _F32, len(ones), ones)

    yield matrix(part.output())
    yield norm("output_norm")
    for layer in range(part.n_layer):
        before = f"blk.{layer}."
        yield norm(f"{before}attn_norm")
        yield norm(f"{before}ffn_norm")
        if part.n_expert:  # random, so that each token has experts of its own
            router = random.standard_normal((part.n_expert, part.n_embd), np.float32).tobytes()
            yield _Tensor(f"{before}ffn_gate_inp.weight", (part.n_embd, part.n_expert), _F32, len(router), router)
        yield from (matrix(m, before) for m in part.matrices(layer))


def _metadata(part: Slice, context_tokens: int) -> dict[str, Value]:
    # Bytes are written as characters from U+0100 on, where they do not stand for themselves.
    tokens = [chr(0x100 + number) for number in range(_BYTE_TOKENS)]
    tokens += [f"token{number}" for number in range(part.output().rows - len(tokens))]
    experts = {"llama.expert_count": part.n_expert, "llama.expert_used_count": part.n_expert_used}
    return {
        "general.architecture": "llama",
        "general.name": "random weights",
        "llama.context_length": context_tokens,
        "llama.embedding_length": part.n_embd,
        "llama.block_count": part.n_layer,
        "llama.feed_forward_length": part.n_ff,
        "llama.attention.head_count": part.n_head,
        "llama.attention.head_count_kv": part.n_head_kv,
        "llama.attention.key_length": part.head_dim,
        "llama.attention.value_length": part.head_dim,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": part.head_dim,
        **(experts if part.n_expert else {}),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": [f"{tokens[0]} {tokens[1]}"],
        "tokenizer.ggml.eos_token_id": 0,
        "tokenizer.ggml.fim_pre_token_id": 1,
        "tokenizer.ggml.fim_suf_token_id": 2,
        "tokenizer.ggml.fim_mid_token_id": 3,
    }


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value)
    if isinstance(value, list):
        return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(map(_text, value))
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT32, value)
    return struct.pack("<II", _UINT32, value)


def _pool(block: Block, random: np.random.Generator) -> bytes:
    """About a megabyte of whole blocks."""
    if not block.scales_at:
        return (random.standard_normal(_POOL_BYTES // 2) / 64).astype(np.float16).tobytes()
    count = _POOL_BYTES // block.bytes
    data = random.integers(0, 256, (count, block.bytes), np.uint8)
    for at in block.scales_at:
        data[:, at : at + 2] = _SCALE
    return data.tobytes()


def _align(file: BinaryIO) -> None:
    file.write(b"\0" * (-file.tell() % _ALIGNMENT))
