"""Training the adapter: some epochs over the repository, the best of them by what the watched files say.

AdamW (arXiv:1711.05101) with a warm-up and a rate that falls to nothing; on a CPU with products in bfloat16 where the
processor has them.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fimble.errors import ConfigError
from fimble.models.personal.corpus import Split
from fimble.models.personal.network import Network
from fimble.models.personal.prompts import Prompts, Sample

#: Tried on quart 0.20 with the bundled model, one row a step, two epochs; loss of the watched files in nats a token:
#: from 1.514 to 1.415 with a rate of 1e-3, 1.414 with 2e-3, 1.418 with 4e-3.
RANK = 16
_RATE = 2e-3
_EPOCHS = 4
_ROWS = 1
_WARM_UP = 0.05
_LENGTH_STEP = 64

#: After this part of the first epoch its time can be told; if it is so many times longer than allowed, there is no use.
_ENOUGH_TO_TELL, _PATIENCE = 0.02, 1.3

#: Watched rows are enough to see where it gets worse.
_WATCHED_ROWS = 60

#: Words of the processor's own that make bfloat16 worth it (/proc/cpuinfo).
_HAS_BF16 = "avx512_bf16", "amx_bf16"


@dataclass(frozen=True, slots=True)
class Step:
    """How far training is."""

    share: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Trained:
    """The adapter as arrays by llama.cpp's names; ``losses`` are of the watched files, in nats a token, by epoch."""

    tensors: dict[str, Any]
    losses: tuple[float, ...]
    tokens: int
    seconds: float


def train(
    network: Network,
    prompts: Prompts,
    split: Split,
    *,
    seed: int,
    minutes: float,
    epochs: int = _EPOCHS,
    threads: Callable[[], int] = torch.get_num_threads,
    on_step: Callable[[Step], None] = lambda _step: None,
) -> Trained:
    """Train an adapter on what is to be learned, with as many *threads* as there should be at each step.

    Raises ConfigError if not even one epoch would be over after *minutes*: measured on the first steps.
    """
    dice, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    weights = network.add_lora(RANK, generator)
    optimiser = torch.optim.AdamW(weights, lr=_RATE, weight_decay=0.01)
    watched = _batches(prompts.epoch(split.watched, network.shape.end, random.Random(seed))[:_WATCHED_ROWS])
    losses = [_watch(network, watched)]
    best, began, tokens = network.trained, time.monotonic(), 0
    plan = _Plan(minutes * 60, epochs)
    for epoch in range(epochs):
        batches = _batches(prompts.epoch(split.learned, network.shape.end, dice))
        for number, batch in enumerate(batches):
            plan.begin_step(epoch, number / len(batches))
            torch.set_num_threads(threads())
            _learn(network, optimiser, batch, _RATE * plan.rate())
            tokens += sum(len(sample.tokens) for sample in batch)
            if epoch == 0:
                plan.check((number + 1) / len(batches))
            on_step(Step(plan.share, plan.seconds_left()))
            if plan.is_over:
                break
        losses.append(_watch(network, watched))
        if losses[-1] == min(losses):
            best = network.trained
        elif epoch and losses[-1] > losses[-2]:
            break
        if plan.is_over:
            break
    return Trained(best, tuple(losses), tokens, time.monotonic() - began)


def _learn(network: Network, optimiser: torch.optim.Optimizer, batch: Sequence[Sample], rate: float) -> None:
    """One step at this learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    _loss(network, batch).backward()
    torch.nn.utils.clip_grad_norm_([matrix for pair in network.lora.values() for matrix in pair], 1.0)
    optimiser.step()


class _Plan:
    """How much there is time for.  The learning rate falls to nothing where it ends."""

    def __init__(self, seconds: float, epochs: int) -> None:
        self._seconds = seconds
        self._epochs = epochs
        self._began = time.monotonic()
        self.share = 0.0

    def begin_step(self, epoch: int, place: float) -> None:
        """A step begins, *place* of the way through *epoch*."""
        spent = time.monotonic() - self._began
        self.share = max((epoch + place) / self._epochs, min(spent / self._seconds, 1.0))

    def check(self, place: float) -> None:
        """The first epoch is done up to *place*: raises ConfigError if there will be too little time for all of it."""
        needed_s = (time.monotonic() - self._began) / place
        if (place >= _ENOUGH_TO_TELL or self.is_over) and needed_s > self._seconds * _PATIENCE:
            minutes = math.ceil(needed_s / 60)
            raise ConfigError(
                f"Reading this repository once with this model takes about {minutes} minutes on this machine now.",
                f"Allow it with --minutes {minutes}, or use a smaller model.",
            )

    def rate(self) -> float:
        """What the learning rate is multiplied with now."""
        return min(self.share / _WARM_UP, 1.0, (1.0 - self.share) / (1.0 - _WARM_UP)) if self.share else 0.02

    def seconds_left(self) -> float:
        """Until the end, by how fast it went so far."""
        spent = time.monotonic() - self._began
        return spent / self.share * (1 - self.share) if self.share > 0.01 else self._seconds

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() - self._began >= self._seconds


def _batches(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Rows of about the same length together; in the order of *samples* otherwise."""
    batches = []
    for start in range(0, len(samples), 8 * _ROWS):
        some = sorted(samples[start : start + 8 * _ROWS], key=lambda sample: len(sample.tokens))
        batches += [some[at : at + _ROWS] for at in range(0, len(some), _ROWS)]
    return batches


def _loss(network: Network, batch: Sequence[Sample]) -> Tensor:
    """In nats, the mean over the tokens that are learned."""
    # Whole steps: for each new length the products are planned anew, which takes time and memory.
    length = -(-max(len(sample.tokens) for sample in batch) // _LENGTH_STEP) * _LENGTH_STEP
    rows = [(*sample.tokens, *[0] * (length - len(sample.tokens))) for sample in batch]
    flags = [(*sample.learned, *[False] * (length - len(sample.tokens))) for sample in batch]
    tokens, learned = torch.tensor(rows), torch.tensor(flags)
    with torch.autocast("cpu", torch.bfloat16, enabled=_multiplies_in_bf16()):
        total = network.loss_sum(tokens[:, :-1], tokens[:, 1:], learned[:, 1:])
    loss: Tensor = total / max(int(learned[:, 1:].sum()), 1)
    return loss


def _watch(network: Network, batches: Sequence[Sequence[Sample]]) -> float:
    with torch.no_grad():
        losses = [float(_loss(network, batch)) for batch in batches]
    return sum(losses) / max(len(losses), 1)


def _multiplies_in_bf16() -> bool:
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(capability.get(word, False) for word in _HAS_BF16)
