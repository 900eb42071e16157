"""From logits to a token, and to what its probability was."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]


class Sampler:
    """Greedy at temperature 0 (a suggestion should be the likeliest text), else top-k, top-p and temperature."""

    def __init__(self, temperature: float, top_k: int, top_p: float, seed: int) -> None:
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p
        self._random = np.random.default_rng(max(seed, 0))

    def pick(self, logits: Logits) -> int:
        """The next token.  *logits* has shape (n_vocab,)."""
        if self.temperature <= 0:
            return int(np.argmax(logits))
        k = min(self.top_k, logits.size) if self.top_k > 0 else logits.size
        likely = np.argpartition(logits, -k)[-k:]
        likely = likely[np.argsort(logits[likely])[::-1]]
        weights = np.exp((logits[likely] - logits[likely[0]]).astype(np.float64) / self.temperature)
        shares = weights / weights.sum()
        # Nucleus sampling (Holtzman et al. 2019): the fewest tokens whose shares reach top_p.
        keep = int(np.searchsorted(np.cumsum(shares), self.top_p)) + 1
        shares = shares[:keep] / shares[:keep].sum()
        return int(self._random.choice(likely[:keep], p=shares))


def log_probabilities(logits: Logits) -> npt.NDArray[np.float32]:
    """Natural logarithms of the softmax, shape (n_vocab,)."""
    shifted = logits - logits.max()
    result: npt.NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum())
    return result


def describe(logits: Logits, token: int, count: int, piece: Any) -> dict[str, Any]:
    """llama-server's ``completion_probabilities`` entry: the token taken and the *count* likeliest ones."""
    log_probs = log_probabilities(logits)
    count = min(count, log_probs.size)
    best = np.argpartition(log_probs, -count)[-count:]
    best = best[np.argsort(log_probs[best])[::-1]]
    entry = _token(token, float(log_probs[token]), piece)
    entry["top_logprobs"] = [_token(int(i), float(log_probs[i]), piece) for i in best]
    return entry


def _token(token: int, log_prob: float, piece: Any) -> dict[str, Any]:
    data: bytes = piece(token)
    return {"id": token, "token": data.decode("utf-8", "replace"), "bytes": list(data), "logprob": log_prob}
