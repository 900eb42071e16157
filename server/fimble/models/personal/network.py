"""A GGUF's decoder in PyTorch, computing what llama.cpp computes, so that an adapter can be trained on it.

Two architectures: ``llama`` (the bundled model, DeepSeek-Coder, Mellum, Seed-Coder ...) and ``qwen2`` (Qwen2.5-Coder).
Weights are frozen and as llama.cpp sees them, quantisation included.

Sources: llama (arXiv:2302.13971), RMSNorm (arXiv:1910.07467), rotary positions (arXiv:2104.09864), grouped heads
(arXiv:2305.13245), SwiGLU (arXiv:2002.05202), LoRA (arXiv:2106.09685); GGUF's keys by its specification.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import torch
import torch.nn.functional as functional
from torch import Tensor

from fimble.errors import ConfigError

#: What is adapted: every matrix of a layer.  Not the embedding: llama.cpp cannot adapt one that is the output, too.
ADAPTED = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")

#: Which numbers a rotary position turns together: neighbours, or the halves of a head.
_TURNS_NEIGHBOURS = {"llama": True, "qwen2": False}


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of a decoder, from a GGUF's metadata."""

    architecture: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    context: int
    epsilon: float
    rope_base: float
    rope_scale: float
    end: int
    """The token that ends an answer."""


class Network:
    """Token ids to what the last layer says.  ``lora`` holds a pair of matrices for each adapted one, by its name."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError for a model of another architecture."""
        reader = gguf.GGUFReader(path)
        self.shape = _shape(reader, path)
        self._weights = {t.name: _dequantised(t) for t in reader.tensors}
        self.head = self._weights.get("output.weight", self._weights["token_embd.weight"])
        self.lora: dict[str, tuple[Tensor, Tensor]] = {}
        self._factors = self._weights.get("rope_freqs.weight")

    def add_lora(self, rank: int, generator: torch.Generator) -> list[Tensor]:
        """Give every adapted matrix a pair that adds nothing yet; returns what can be trained."""
        for layer in range(self.shape.layers):
            for part in ADAPTED:
                name = f"blk.{layer}.{part}.weight"
                weight = self._weights[name]
                down = torch.randn(rank, weight.shape[1], generator=generator) / math.sqrt(weight.shape[1])
                self.lora[name] = down.requires_grad_(), torch.zeros(weight.shape[0], rank).requires_grad_()
        return [matrix for pair in self.lora.values() for matrix in pair]

    @property
    def trained(self) -> dict[str, Any]:
        """A copy of the adapter as NumPy arrays, by llama.cpp's names."""
        return {
            f"{name}.lora_{part}": matrix.detach().clone().numpy()
            for name, pair in self.lora.items()
            for part, matrix in zip("ab", pair, strict=True)
        }

    def size(self) -> int:
        """The number of frozen parameters."""
        return sum(weight.numel() for weight in self._weights.values())

    def hidden(self, tokens: Tensor) -> Tensor:
        """What the last layer says, normed: [batch, time, width] for ids [batch, time]."""
        x = functional.embedding(tokens, self._weights["token_embd.weight"])
        cos, sin = self._rotation(tokens.size(1))
        for layer in range(self.shape.layers):
            x = x + self._attention(layer, self._norm(f"blk.{layer}.attn_norm", x), cos, sin)
            near = self._norm(f"blk.{layer}.ffn_norm", x)
            gate = functional.silu(self._linear(f"blk.{layer}.ffn_gate", near))
            x = x + self._linear(f"blk.{layer}.ffn_down", gate * self._linear(f"blk.{layer}.ffn_up", near))
        return self._norm("output_norm", x)

    def logits(self, tokens: Tensor) -> Tensor:
        """[batch, time, vocabulary]."""
        return functional.linear(self.hidden(tokens), self.head)

    def loss_sum(self, tokens: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """The sum of -ln p(target) [batch, time], where *counts* says that it counts."""
        return HeadLoss.apply(self.hidden(tokens)[counts], self.head, targets[counts])

    def _attention(self, layer: int, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        shape, (batch, time, _) = self.shape, x.shape
        q, k, v = (
            self._linear(f"blk.{layer}.attn_{part}", x).view(batch, time, -1, shape.head_width).transpose(1, 2)
            for part in "qkv"
        )
        turn = _turn_neighbours if _TURNS_NEIGHBOURS[shape.architecture] else _turn_halves
        q, k = turn(q, cos, sin), turn(k, cos, sin)
        shared = shape.heads // shape.kv_heads
        k, v = k.repeat_interleave(shared, dim=1), v.repeat_interleave(shared, dim=1)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self._linear(f"blk.{layer}.attn_output", mixed.transpose(1, 2).reshape(batch, time, -1))

    def _linear(self, name: str, x: Tensor) -> Tensor:
        made = functional.linear(x, self._weights[f"{name}.weight"], self._weights.get(f"{name}.bias"))
        pair = self.lora.get(f"{name}.weight")
        return made if pair is None else made + functional.linear(functional.linear(x, pair[0]), pair[1])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.size(-1),), self._weights[f"{name}.weight"].to(x.dtype), self.shape.epsilon)

    def _rotation(self, time: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines, each [time, head_width / 2]."""
        powers = torch.arange(0, self.shape.head_width, 2).float() / self.shape.head_width
        speeds = self.shape.rope_scale / self.shape.rope_base**powers
        if self._factors is not None:
            speeds = speeds / self._factors
        angles = torch.outer(torch.arange(time).float(), speeds)
        return angles.cos(), angles.sin()


def _turn_neighbours(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2).to(x.dtype)


def _turn_halves(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, left * sin + right * cos), dim=-1).to(x.dtype)


class HeadLoss(torch.autograd.Function):
    """The sum of -ln p(target) for hidden [count, width], a frozen head [vocabulary, width] and targets [count].

    Logits are the largest thing that a small model makes.  Here they live for some hundred tokens at a time, and their
    gradient is worked out at once; the head learns nothing, so nothing is kept for it.
    """

    TOKENS_AT_A_TIME = 256

    @staticmethod
    def forward(context: Any, hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        """Loss, and what the backward pass needs."""
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else head.dtype
        near, matrix = hidden.to(kind), head.to(kind)
        total, to_hidden = head.new_zeros(()), torch.empty_like(near)
        size = HeadLoss.TOKENS_AT_A_TIME
        for x, y, back in zip(near.split(size), targets[:, None].split(size), to_hidden.split(size), strict=True):
            log_odds = functional.log_softmax((x @ matrix.T).float(), dim=1)
            total -= log_odds.gather(1, y).sum()
            slope = log_odds.exp_().scatter_add_(1, y, torch.full(y.shape, -1.0))  # p - 1 at the target, p elsewhere
            torch.mm(slope.to(kind), matrix, out=back)
        context.save_for_backward(to_hidden.to(hidden.dtype))
        return total

    @staticmethod
    def backward(context: Any, scale: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of the hidden numbers alone."""
        (to_hidden,) = context.saved_tensors
        return to_hidden * scale, None, None


def _dequantised(tensor: Any) -> Tensor:
    return torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy()).float()


def _shape(reader: gguf.GGUFReader, path: Path) -> Shape:
    def value(key: str, default: Any = None) -> Any:
        field = reader.fields.get(key)
        return default if field is None else field.contents()

    kind = value("general.architecture")
    scaling = value(f"{kind}.rope.scaling.type", "none")
    if kind not in _TURNS_NEIGHBOURS or value(f"{kind}.expert_count", 0) or scaling not in ("none", "linear"):
        raise ConfigError(
            f"An adapter for {path.name} cannot be trained here: its architecture is {kind}"
            f"{', with ' + scaling + ' positions' if scaling != 'none' else ''}.",
            "Train it elsewhere and bring it with `fimble adapters add`, or use a llama or qwen2 model.",
        )
    heads, width = value(f"{kind}.attention.head_count"), value(f"{kind}.embedding_length")
    factor = value(f"{kind}.rope.scaling.factor", 1.0) if scaling == "linear" else 1.0
    return Shape(
        architecture=kind,
        layers=value(f"{kind}.block_count"),
        width=width,
        heads=heads,
        kv_heads=value(f"{kind}.attention.head_count_kv", heads),
        head_width=value(f"{kind}.attention.key_length", width // heads),
        context=value(f"{kind}.context_length"),
        epsilon=value(f"{kind}.attention.layer_norm_rms_epsilon"),
        rope_base=value(f"{kind}.rope.freq_base", 10_000.0),
        rope_scale=1.0 / factor,
        end=value("tokenizer.ggml.eot_token_id", value("tokenizer.ggml.eos_token_id")),
    )
