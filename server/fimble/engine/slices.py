"""A slice of a model: some of its layers and as much of its vocabulary, with weights that mean nothing.

What a token costs in it, times the number of slices, is what it costs in the model: every matrix has its real shape,
so every kernel its real speed, and no file has to be there.  Both sides of ``engine.trial`` speak of slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from fimble.quantisation import BLOCKS, kind_of

#: Fewer tokens than that are no vocabulary: bytes alone take as many.
_LEAST_VOCABULARY = 256


class Matrix(NamedTuple):
    """*experts* of *rows* times *columns*, kept as *kind*, as GGUF names it."""

    name: str
    rows: int
    columns: int
    kind: str
    experts: int = 1

    @property
    def bytes(self) -> int:
        """What it takes in the file."""
        block = BLOCKS[self.kind]
        return self.experts * self.rows * self.columns // block.weights * block.bytes


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """*n_layer* of the *of_layers* of a model with these dimensions (llama.cpp's names) in a *mixture*."""

    mixture: str
    of_layers: int
    n_layer: int
    n_embd: int
    n_ff: int
    n_head: int
    n_head_kv: int
    head_dim: int
    n_vocab: int
    n_expert: int = 0
    n_expert_used: int = 0

    @property
    def bytes(self) -> int:
        """Of the whole slice's weights."""
        return self.output().bytes + sum(m.bytes for layer in range(self.n_layer) for m in self.matrices(layer))

    def output(self) -> Matrix:
        """The matrix that makes logits."""
        kind = kind_of(self.mixture, "output", self.n_embd)
        return Matrix("token_embd", max(self.n_vocab, _LEAST_VOCABULARY), self.n_embd, kind)

    def matrices(self, layer: int) -> Iterator[Matrix]:
        """The matrices of a layer.  The slice's layers stand evenly among the model's: some are kept in more bits."""
        at = (2 * layer + 1) * self.of_layers // (2 * self.n_layer)
        attention, kv = self.n_head * self.head_dim, self.n_head_kv * self.head_dim
        experts, suffix = (self.n_expert, "_exps") if self.n_expert else (1, "")
        for name, rows, columns, count in (
            ("attn_q", attention, self.n_embd, 1),
            ("attn_k", kv, self.n_embd, 1),
            ("attn_v", kv, self.n_embd, 1),
            ("attn_output", self.n_embd, attention, 1),
            (f"ffn_gate{suffix}", self.n_ff, self.n_embd, experts),
            (f"ffn_up{suffix}", self.n_ff, self.n_embd, experts),
            (f"ffn_down{suffix}", self.n_embd, self.n_ff, experts),
        ):
            yield Matrix(name, rows, columns, kind_of(self.mixture, name, columns, at, self.of_layers), count)


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """What a slice takes on so many threads, in milliseconds: one token, two at once, a chunk of a prompt.

    *attention_ms* is what a token takes more in one layer after a prompt of `PROMPT_TOKENS`, *chunk_attention_ms* a
    chunk.  A chunk is measured on all cores only; 0 elsewhere.
    """

    threads: int
    token_ms: float
    pair_ms: float
    attention_ms: float
    chunk_ms: float = 0.0
    chunk_attention_ms: float = 0.0


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """A device that llama.cpp would compute on."""

    name: str
    free_bytes: int
    total_bytes: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One line of what ``python -m fimble.engine.trial`` prints: its machine first, then each slice."""

    timings: list[Timing] = []
    busy_cores: float = 0.0
    """How many cores others kept busy meanwhile."""
    gpus: list[Gpu] = []
    problem: str = ""
    """Why the slice could not be measured."""


#: Tokens in a chunk of a prompt: the engine's own (``generator.CHUNK_TOKENS``).
CHUNK_TOKENS = 64

#: What attention costs is measured after so many tokens; it grows with their number.
PROMPT_TOKENS = 1024
