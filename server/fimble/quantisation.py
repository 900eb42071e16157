"""The ways in which weights are kept: their blocks, and which of a model's matrices get which.

Blocks are those of ggml-common.h.  A name like Q4_K_M is a mixture, whose recipe is llama.cpp's
(``llama_tensor_get_type`` in llama-quant.cpp).
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Block(NamedTuple):
    """*weights* of them take *bytes*; halves at *scales_at* say how large they are (empty: all numbers are halves)."""

    ggml_type: int
    weights: int
    bytes: int
    scales_at: tuple[int, ...] = ()


#: By the name that llama.cpp gives them; the numbers are those of enum ggml_type (ggml.h).
BLOCKS: dict[str, Block] = {
    "F16": Block(1, 1, 2),
    "Q4_0": Block(2, 32, 18, (0,)),
    "Q5_0": Block(6, 32, 22, (0,)),
    "Q5_1": Block(7, 32, 24, (0, 2)),
    "Q8_0": Block(8, 32, 34, (0,)),
    "Q4_K": Block(12, 256, 144, (0, 2)),
    "Q5_K": Block(13, 256, 176, (0, 2)),
    "Q6_K": Block(14, 256, 210, (208,)),
}

#: What most matrices of a mixture get, what those that matter more, and what the matrix that makes logits.
_MIXTURES: dict[str, tuple[str, str, str]] = {
    "F16": ("F16", "F16", "F16"),
    "Q8_0": ("Q8_0", "Q8_0", "Q8_0"),
    "Q6_K": ("Q6_K", "Q6_K", "Q6_K"),
    "Q5_K_M": ("Q5_K", "Q6_K", "Q6_K"),
    "Q5_K_S": ("Q5_K", "Q5_K", "Q6_K"),
    "Q4_K_M": ("Q4_K", "Q6_K", "Q6_K"),
    "Q4_0": ("Q4_0", "Q4_0", "Q6_K"),
}

#: What takes the place of blocks of 256 where a row cannot be divided into them.
_NARROW = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}

_NAME = re.compile(r"(?i)(?<![a-z0-9])(" + "|".join(sorted(_MIXTURES, key=len, reverse=True)) + r")(?![a-z0-9])")


def mixture_of(file: str) -> str:
    """The mixture that the name of a *file* tells, ``Q4_K_M`` say; empty if it is none of those that are known."""
    found = _NAME.findall(file)
    return found[-1].upper() if found else ""


def kind_of(mixture: str, matrix: str, columns: int, layer: int = 0, layers: int = 1) -> str:
    """How a *matrix* of *columns* in *layer* of *layers* is kept in *mixture*; ``output`` is the one that makes logits.

    *matrix* is named as in GGUF: ``attn_v``, ``ffn_down``.  Raises KeyError for a mixture that is not known.
    """
    most, more, output = _MIXTURES[mixture]
    matters = matrix in ("attn_v", "ffn_down", "ffn_down_exps") and _gets_more(layer, layers)
    kind = output if matrix == "output" else more if matters else most
    return kind if columns % BLOCKS[kind].weights == 0 else _NARROW[kind]


def _gets_more(layer: int, layers: int) -> bool:
    """The first and the last eighth, and every third between: llama.cpp's ``use_more_bits``."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
