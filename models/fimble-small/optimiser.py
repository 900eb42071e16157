"""How weights change: Muon for the matrices inside the layers, AdamW for the embedding and the norms.

Muon (Keller Jordan, 2024: https://kellerjordan.github.io/posts/muon/) replaces a matrix's momentum by the nearest
matrix whose singular values are all about one, found with five Newton-Schulz steps.  AdamW: arXiv:1711.05101.
Matrices of one shape are worked on together.

The learning rate is warm-up, stable, decay ("WSD", arXiv:2404.06395): it depends on the share of the run that has
passed, so a run cut into several calls decays only in the last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_BETAS = (0.9, 0.95)
_EPSILON = 1e-8

#: The quintic's coefficients, from Muon's page: steepest at zero while it stays near one.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_NEWTON_STEPS = 5


@dataclass(frozen=True, slots=True)
class Rates:
    """Learning rates and the shape of their schedule (as shares of the whole run)."""

    muon: float = 0.02
    adam: float = 0.004
    weight_decay: float = 0.02
    warm_up: float = 0.01
    decay: float = 0.3

    def factor(self, progress: float) -> float:
        """What the learning rates are multiplied by when *progress* (0 to 1) of the run has passed."""
        up = min(1.0, (progress + 1e-3) / self.warm_up) if self.warm_up else 1.0
        down = min(1.0, max(0.0, 1.0 - progress) / self.decay) if self.decay else 1.0
        return up * down


def orthogonalise(matrices: Tensor) -> Tensor:
    """Newton-Schulz for a stack [count, rows, columns]: singular values towards one, singular vectors unchanged."""
    a, b, c = _QUINTIC
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_NEWTON_STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Optimiser:
    """Both rules, with a state that is a flat dictionary of tensors."""

    def __init__(self, model: nn.Module, rates: Rates) -> None:
        self.rates = rates
        self.steps = 0
        self._groups: dict[str, list[nn.Parameter]] = {}
        self._others: dict[str, nn.Parameter] = {}
        for name, weight in model.named_parameters():
            if weight.dim() == 2 and name.startswith("layers."):
                rows, columns = weight.shape
                self._groups.setdefault(f"{rows}x{columns}", []).append(weight)
            else:
                self._others[name] = weight
        self._state: dict[str, Tensor] = {}
        for name, group in self._groups.items():
            self._state[f"momentum.{name}"] = torch.zeros(len(group), *group[0].shape, device=group[0].device)
        for name, weight in self._others.items():
            self._state[f"mean.{name}"] = torch.zeros_like(weight)
            self._state[f"square.{name}"] = torch.zeros_like(weight)

    def state(self) -> dict[str, Tensor]:
        """Momentum and moments by name; ``steps`` is kept apart."""
        return self._state

    def load(self, state: dict[str, Tensor], steps: int) -> None:
        """Continue from a state; raises KeyError if it is another model's."""
        self.steps = steps
        for name, value in self._state.items():
            value.copy_(state[name])

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Change the weights by their gradients, the learning rates times *factor*, and forget the gradients."""
        self.steps += 1
        for name, group in self._groups.items():
            self._muon(group, self._state[f"momentum.{name}"], self.rates.muon * factor)
        for name, weight in self._others.items():
            self._adam(name, weight, self.rates.adam * factor)
        for weight in _all(self._groups.values()):
            weight.grad = None
        for weight in self._others.values():
            weight.grad = None

    def _muon(self, group: list[nn.Parameter], momentum: Tensor, rate: float) -> None:
        gradients = torch.stack([weight.grad for weight in group if weight.grad is not None])
        momentum.lerp_(gradients, 1 - _MOMENTUM)
        update = orthogonalise(gradients.lerp_(momentum, _MOMENTUM))  # Nesterov's look ahead
        # Tall matrices need larger steps for the same change of what comes out.
        scale = max(1.0, group[0].size(0) / group[0].size(1)) ** 0.5
        torch._foreach_mul_(group, 1 - rate * self.rates.weight_decay)
        torch._foreach_add_(group, list(update.unbind()), alpha=-rate * scale)

    def _adam(self, name: str, weight: nn.Parameter, rate: float) -> None:
        gradient = weight.grad
        if gradient is None:
            return
        mean, square = self._state[f"mean.{name}"], self._state[f"square.{name}"]
        mean.lerp_(gradient, 1 - _BETAS[0])
        square.lerp_(gradient.square(), 1 - _BETAS[1])
        corrected = mean / (1 - _BETAS[0] ** self.steps)
        size = (square / (1 - _BETAS[1] ** self.steps)).sqrt_().add_(_EPSILON)
        if weight.dim() == 2:
            weight.mul_(1 - rate * self.rates.weight_decay)
        weight.addcdiv_(corrected, size, value=-rate)


def _all(groups: Iterable[list[nn.Parameter]]) -> Iterable[nn.Parameter]:
    return (weight for group in groups for weight in group)
