"""The network: a small decoder of the "llama" kind, in plain PyTorch.

It is built so that llama.cpp computes the same: RMSNorm before each half of a layer, rotary positions on
*interleaved* pairs of numbers (so that export copies the weights as they are), grouped key/value heads, a SwiGLU
feed-forward, no biases, and one matrix for both ends (tied embeddings).

Sources: llama (arXiv:2302.13971), RMSNorm (arXiv:1910.07467), rotary positions (arXiv:2104.09864), grouped heads
(arXiv:2305.13245), SwiGLU (arXiv:2002.05202).

``python model.py`` prints the presets and their sizes.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

#: A target that carries no loss (PyTorch's own convention).
NO_LOSS = -100

#: Of attention on a CPU.
QUERIES_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of a model.  Widths are multiples of 256, which llama.cpp's K-quants need."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    feed_forward: int
    context: int
    head_width: int = 64
    rope_base: float = 10_000.0
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} key/value heads evenly")

    def as_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return asdict(self)


PRESETS: dict[str, Shape] = {
    # For tests: two layers, so that a mix-up of layers shows; 256 wide, so that K-quants really happen.
    "smoke": Shape(512, 256, 2, heads=8, kv_heads=2, feed_forward=256, context=256, head_width=32),
    # The best that hours on two slow cores give.
    "cpu": Shape(16_384, 256, 4, heads=4, kv_heads=2, feed_forward=768, context=1024),
    # For 12 minutes of an H200 (fimble-45m): 48 MB as Q8_0.
    "gpu": Shape(16_384, 512, 12, heads=8, kv_heads=2, feed_forward=1536, context=2048),
    # 58 M, wider and less deep: larger matrices keep a GPU busier; 38 MB as Q4_K_M.
    "gpu-wide": Shape(16_384, 768, 8, heads=12, kv_heads=4, feed_forward=1792, context=2048),
}


class Norm(nn.Module):
    """Divide by the root mean square, then scale each of the ``width`` numbers."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.size(-1),), self.weight.to(x.dtype), self.epsilon)


def rotation(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each [context, head_width / 2]: pair i turns by position / base^(2i / head_width)."""
    powers = torch.arange(0, shape.head_width, 2).float() / shape.head_width
    angles = torch.outer(torch.arange(shape.context).float(), 1.0 / shape.rope_base**powers)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (x0, x1), (x2, x3), ... of *x* [batch, heads, time, head_width]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2).to(x.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention on a CPU, some queries at a time: nearly half is never computed, the rest stays in the cache.

    With bf16 products this takes 0.6 of the time of PyTorch's own (TRAINING.md).  Softmax is in 32 bits.
    """
    scale, mixed = q.size(-1) ** -0.5, []
    for start in range(0, q.size(2), QUERIES_AT_A_TIME):
        some = q[:, :, start : start + QUERIES_AT_A_TIME]
        seen = start + some.size(2)
        scores = (some @ k[:, :, :seen].mT).float() * scale
        odds = (scores + torch.full((some.size(2), seen), -math.inf).triu(start + 1)).softmax(-1)
        mixed.append(odds.to(v.dtype) @ v[:, :, :seen])
    return torch.cat(mixed, dim=2)


class Attention(nn.Module):
    """Causal attention; each key/value head serves ``heads / kv_heads`` query heads."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        inner, inner_kv = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
        self.q = nn.Linear(shape.width, inner, bias=False)
        self.k = nn.Linear(shape.width, inner_kv, bias=False)
        self.v = nn.Linear(shape.width, inner_kv, bias=False)
        self.out = nn.Linear(inner, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, time, _ = x.shape
        heads = (batch, time, -1, self.shape.head_width)
        q = rotate(self.q(x).view(heads).transpose(1, 2), cos, sin)
        k = rotate(self.k(x).view(heads).transpose(1, 2), cos, sin)
        v = self.v(x).view(heads).transpose(1, 2)
        shared = self.shape.heads // self.shape.kv_heads
        k, v = k.repeat_interleave(shared, dim=1), v.repeat_interleave(shared, dim=1)
        # Flash attention on CUDA: no [time, time] matrix in memory.
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True) if x.is_cuda else attend(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, -1))


class FeedForward(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.up = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.down = nn.Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    """Attention, then feed-forward, each added to what came in."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = Norm(shape.width, shape.epsilon)
        self.attention = Attention(shape)
        self.feed_norm = Norm(shape.width, shape.epsilon)
        self.feed = FeedForward(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin)
        return x + self.feed(self.feed_norm(x))


class HeadLoss(torch.autograd.Function):
    """The sum of -ln p(target) for hidden [count, width], head [vocabulary, width] and targets [count].

    Logits are the largest thing a small model makes.  Here they live for a few hundred tokens at a time, in a cache
    rather than in memory, and one exponential serves loss and gradient: less than half the time of the same in
    PyTorch's own steps on a CPU (TRAINING.md).  Products are in autocast's type, sums in 32 bits.
    """

    TOKENS_AT_A_TIME = 256

    @staticmethod
    def forward(context: Any, hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:  # type: ignore[override]
        halved = torch.is_autocast_enabled("cpu")
        kind = torch.get_autocast_dtype("cpu") if halved else head.dtype
        near, matrix = hidden.to(kind), head.to(kind)
        to_hidden, slopes = torch.empty_like(near), near.new_empty(len(near), len(head))
        total = head.new_zeros(())
        size = HeadLoss.TOKENS_AT_A_TIME
        parts = (near.split(size), targets[:, None].split(size), to_hidden.split(size), slopes.split(size))
        for x, y, back, slope in zip(*parts, strict=True):
            odds = (x @ matrix.T).float()
            odds.sub_(odds.amax(1, keepdim=True))
            total -= odds.gather(1, y).sum()
            sums = odds.exp_().sum(1, keepdim=True)
            total += sums.log().sum()
            odds.div_(sums).scatter_add_(1, y, torch.full_like(sums, -1.0))  # p - 1 at the target, p elsewhere
            slope.copy_(odds)
            torch.mm(slope, matrix, out=back)
        context.save_for_backward(to_hidden.to(hidden.dtype), (slopes.T @ near).to(head.dtype))
        return total

    @staticmethod
    def backward(context: Any, scale: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        to_hidden, to_head = context.saved_tensors
        return to_hidden * scale.to(to_hidden.dtype), to_head * scale, None


class Decoder(nn.Module):
    """Token ids [batch, time] to logits [batch, time, vocabulary]."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width, shape.epsilon)
        #: The type of what flows from layer to layer.  bf16 halves the memory traffic on a GPU, half of its time.
        self.stream = torch.float32
        for name, table in zip(("cos", "sin"), rotation(shape), strict=True):
            self.register_buffer(name, table, persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """Normal with deviation 0.02; what is added to the stream less, by the root of how often it is (GPT-2)."""
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                added = name.endswith(("attention.out.weight", "feed.down.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * self.shape.layers) if added else 0.02)

    def hidden(self, tokens: Tensor) -> Tensor:
        """What the last layer says, normed: [batch, time, width]."""
        x = self.embedding(tokens).to(self.stream)
        cos, sin = self.cos[: tokens.size(1)], self.sin[: tokens.size(1)]
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)

    def forward(self, tokens: Tensor) -> Tensor:
        return functional.linear(self.hidden(tokens), self.embedding.weight)

    def loss_sum(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """The sum of -ln p(target) over all targets [batch, time] but those that say NO_LOSS."""
        if not tokens.is_cuda:
            wanted = targets != NO_LOSS
            return HeadLoss.apply(self.hidden(tokens)[wanted], self.embedding.weight, targets[wanted])
        logits = self(tokens).flatten(0, 1).float()  # torch.compile fuses what follows
        return functional.cross_entropy(logits, targets.flatten(), ignore_index=NO_LOSS, reduction="sum")

    def size(self) -> int:
        """The number of parameters; the shared embedding counts once."""
        return sum(weight.numel() for weight in self.parameters())


def main() -> None:
    """Print the presets."""
    for name, shape in PRESETS.items():
        with torch.device("meta"):
            size = Decoder(shape).size()
        print(f"{name:9} {size / 1e6:6.2f} M parameters   {shape}")


if __name__ == "__main__":
    main()
