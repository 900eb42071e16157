"""What an engine takes of memory beside the weights.  The engine goes by it, and so does who predicts it."""

from __future__ import annotations

#: At least the place where somebody types and the one that is prepared; windows that type at once want one each.
LEAST_SEQUENCES, _MOST_SEQUENCES = 2, 4

#: More than the least are for models beside which their memory does not show: so many bytes, and this share of the
#: weights' size.
_MORE_SEQUENCES_BYTES, _MORE_SEQUENCES_SHARE = 32_000_000, 0.2

#: Bytes per number of the KV cache: blocks of 32 have a scale of two bytes (ggml-common.h).
KV_BYTES = {"f16": 2.0, "q4_0": 18 / 32, "q8_0": 34 / 32}


def how_many_sequences(model_bytes: int, bytes_each: int) -> int:
    """How many sequences to keep for weights of *model_bytes*, if one takes *bytes_each*."""
    room = _MORE_SEQUENCES_BYTES + _MORE_SEQUENCES_SHARE * model_bytes
    more = int(room // bytes_each) if bytes_each else _MOST_SEQUENCES
    return min(LEAST_SEQUENCES + more, _MOST_SEQUENCES)


def how_many_more_sequences(model_bytes: int, bytes_each: int, cache_bytes: int) -> int:
    """How many a second lane gets, when windows work at once: as many as do not show beside the weights, either.

    One alone is worth it only where it can be put aside as a whole, into *cache_bytes*: windows share it by turns.
    """
    more = how_many_sequences(model_bytes, bytes_each) - LEAST_SEQUENCES
    return 0 if more == 1 and bytes_each > cache_bytes else more
