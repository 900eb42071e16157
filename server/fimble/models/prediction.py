"""What a model would cost on this machine, from what a slice of it was measured to cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from fimble.catalog import Entry, Shape
from fimble.engine.sizes import KV_BYTES, how_many_sequences
from fimble.engine.slices import CHUNK_TOKENS, PROMPT_TOKENS, Slice, Timing
from fimble.quantisation import mixture_of
from fimble.settings import EngineConfig

#: What a keystroke asks of an engine: a key and the token that is healed are new, the rest of the prompt is cached.
KEY_TOKENS, WRITTEN_TOKENS = 2, 12

#: What our engine takes beside llama.cpp: for a key, and for each token that is written (two cores, 45 M: 0.92 of a
#: bare loop's speed at 1.9 ms a token).
KEY_MS, TOKEN_MS = 2.0, 0.16

#: A slice as large as that is past all caches: from there on twice the weights take twice the time.  (Q8_0, two
#: threads: a weight takes 0.024 ns of 140 million, 0.030 of 375 million, and so of 1.5 billion.)
SLICE_BYTES = 400_000_000

#: The engine's process without a model (Python, llama.cpp, the HTTP server), and what it keeps for each token of
#: the vocabulary.
_PROCESS_BYTES, _VOCABULARY_BYTES_PER_TOKEN = 90_000_000, 300

#: llama.cpp rounds the cells of a sequence up to this.
_CELLS_STEP = 256


class MemoryUse(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine with a model takes, in bytes."""

    weights_bytes: int
    """Once.  What llama.cpp arranges anew for the processor (Q4_0, Q4_K) shows twice for a process whose file is
    mapped; the file's pages are given back when anybody needs them."""
    kv_bytes: int
    """The caches of all sequences, full."""
    buffers_bytes: int
    """What llama.cpp computes in, evaluated prompts that were put aside, and the process itself."""

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.kv_bytes + self.buffers_bytes


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a model costs here.  *decode_tokens_s* and *prompt_tokens_s* are those of a short text."""

    threads: int
    token_ms: float
    """One more token, after a prompt of *context_tokens*."""
    pair_ms: float
    keystroke_ms: float
    context_tokens: int
    decode_tokens_s: float
    prompt_tokens_s: float
    cold_prompt_s: float
    """A whole prompt of which nothing is cached."""
    arithmetic: list[str]


def cut(shape: Shape, mixture: str, most_bytes: int = SLICE_BYTES) -> Slice:
    """The smallest slice of a model that has *most_bytes*; a smaller model is its own slice."""
    for layers in range(1, shape.n_layer + 1):
        part = _part(shape, mixture, layers)
        if part.bytes >= most_bytes:
            break
    return part


def slice_of(entry: Entry, most_bytes: int = SLICE_BYTES) -> Slice | None:
    """See `cut`; None if the entry's file does not tell how it is quantised."""
    mixture = mixture_of(entry.file)
    return cut(entry.shape, mixture, most_bytes) if mixture else None


def _part(shape: Shape, mixture: str, layers: int) -> Slice:
    return Slice(
        mixture=mixture,
        of_layers=shape.n_layer,
        n_layer=layers,
        n_embd=shape.n_embd,
        n_ff=shape.n_ff,
        n_head=shape.n_head,
        n_head_kv=shape.n_head_kv,
        head_dim=shape.head_dim,
        n_vocab=-(-shape.n_vocab * layers // shape.n_layer),
        n_expert=shape.n_expert,
        n_expert_used=shape.n_expert_used,
    )


def cost(part: Slice, timings: Sequence[Timing], context_tokens: int, correction: float = 1.0) -> Cost:
    """What the model costs that *part* is a slice of, with the number of threads that writes fastest.

    All times are multiplied by *correction*, which earlier predictions and measurements say.
    """
    times, layers = part.of_layers / part.n_layer * correction, part.of_layers * correction
    after = context_tokens / PROMPT_TOKENS
    best = min(timings, key=lambda t: times * t.token_ms + layers * after * t.attention_ms)
    reading = max(timings, key=lambda t: t.threads)
    attention_ms = layers * after * best.attention_ms
    token_ms, pair_ms = times * best.token_ms + attention_ms, times * best.pair_ms + KEY_TOKENS * attention_ms
    keystroke_ms = KEY_MS + pair_ms + (WRITTEN_TOKENS - 1) * token_ms + WRITTEN_TOKENS * TOKEN_MS
    chunk_ms, chunk_attention_ms = times * reading.chunk_ms, layers * after * reading.chunk_attention_ms
    lines = [
        f"a slice of {part.n_layer} of {part.of_layers} layers ({part.mixture}, {part.bytes / 1e6:,.0f} MB), measured: "
        f"a token {best.token_ms:.2f} ms, two at once {best.pair_ms:.2f} ms on {best.threads} threads, "
        f"{CHUNK_TOKENS} of a prompt {reading.chunk_ms:.1f} ms on {reading.threads}",
        f"attention over {context_tokens:,} tokens: {part.of_layers} layers × {after * best.attention_ms:.3f} ms",
        f"a token: {part.of_layers / part.n_layer:.2f} × {best.token_ms:.2f} + {part.of_layers} × "
        f"{after * best.attention_ms:.3f}"
        + (f", × {correction:.2f} (measured models)" if correction != 1.0 else "")
        + f" = {token_ms:.2f} ms",
        f"a keystroke: {pair_ms:.1f} ms ({KEY_TOKENS} tokens of the prompt) + {WRITTEN_TOKENS - 1} × {token_ms:.2f} ms "
        f"+ the engine's own {KEY_MS + WRITTEN_TOKENS * TOKEN_MS:.1f} ms = {keystroke_ms:.0f} ms",
    ]
    return Cost(
        threads=best.threads,
        token_ms=token_ms,
        pair_ms=pair_ms,
        keystroke_ms=keystroke_ms,
        context_tokens=context_tokens,
        decode_tokens_s=1000 / (times * best.token_ms),
        prompt_tokens_s=1000 * CHUNK_TOKENS / chunk_ms,
        # On its way through the prompt a chunk sees half of it.
        cold_prompt_s=context_tokens / CHUNK_TOKENS * (chunk_ms + chunk_attention_ms / 2) / 1000,
        arithmetic=lines,
    )


def memory_use(entry: Entry, config: EngineConfig) -> MemoryUse:
    """What an engine with *config* takes for the model of *entry*, once its caches are full."""
    weights = int(entry.size_mb * 1e6)
    cells = math.ceil(config.context_tokens / _CELLS_STEP) * _CELLS_STEP
    each = int(cells * entry.shape.kv_bytes_per_token / 2 * KV_BYTES[config.kv_type])
    logits = 4 * CHUNK_TOKENS * entry.shape.n_vocab
    vocabulary = _VOCABULARY_BYTES_PER_TOKEN * entry.shape.n_vocab
    return MemoryUse(
        weights_bytes=weights,
        kv_bytes=how_many_sequences(weights, each) * each,
        buffers_bytes=_PROCESS_BYTES + logits + vocabulary + config.cache_mb * 1_000_000,
    )
