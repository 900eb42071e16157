"""What an adapter is worth: held-out lines, asked with it and without it, by llama.cpp as the engine uses it.

For each line the engine's prompt, snippets and token healing included, and then twice: the bits that the true rest of
the line costs when it is foretold token by token, and whether the rest is written exactly, greedily.  Differences are
paired; intervals are 95 % bootstrap percentiles over the lines (B. Efron, "Bootstrap methods: another look at the
jackknife", The Annals of Statistics 7, 1979).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fimble.core import Snippet
from fimble.engine.generator import CHUNK_TOKENS
from fimble.engine.healing import Healing
from fimble.engine.llama import Context, Decoded, LoraAdapter, Model
from fimble.engine.sampling import log_probabilities
from fimble.errors import EngineError
from fimble.models.personal.prompts import Place, Prompts
from fimble.models.personalising import Figure, Measured

Logits = npt.NDArray[np.float32]

_RESAMPLES = 2000

#: The longest answer, in tokens: one line.
_MOST_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Score:
    """One line: the bits that the truth costs, its bytes, and whether it was written exactly."""

    bits: float
    bytes: int
    is_exact: bool


class Reader:
    """Asks a model about places, with or without an adapter."""

    def __init__(
        self, model: Model, prompts: Prompts, n_ctx: int, threads: int, adapter: LoraAdapter | None = None
    ) -> None:
        self._vocab = model.vocab
        self._prompts = prompts
        self._most = n_ctx // 2
        self._context = Context(
            model, n_ctx=n_ctx, n_seq=1, n_batch=CHUNK_TOKENS, threads=threads, threads_batch=threads
        )
        self._context.use_adapter(adapter)

    def read(self, place: Place, snippets: Sequence[Snippet]) -> Score:
        """Ask about *place* with *snippets* of other files."""
        tokens, healing = self._prompts.ask(place, snippets)
        self._context.clear(0)
        for start in range(0, len(tokens), CHUNK_TOKENS):
            self._decode(tokens[start : start + CHUNK_TOKENS], start)
        first = self._context.logits().copy()
        bits, size = self._bits(first, len(tokens), healing.again(), place.truth)
        self._context.truncate(0, len(tokens))
        written = self._write(first, len(tokens), healing)
        return Score(bits, size, written.strip() == place.truth.strip())

    def _bits(self, logits: Logits, at: int, healing: Healing, truth: str) -> tuple[float, int]:
        """The bits of *truth*: of what comes after the bytes that were taken back, which are certain."""
        answer = self._vocab.tokenize(healing.rest.decode("utf-8", "replace") + truth)[: self._most]
        size = sum(len(self._vocab.piece(token)) for token in answer) - len(healing.rest)
        bits = 0.0
        for number, token in enumerate(answer):
            likely = log_probabilities(logits)
            allowed = healing.allowed()
            if allowed is not None and token in allowed:
                bits += float(np.logaddexp.reduce(likely[allowed])) / math.log(2)
            bits -= float(likely[token]) / math.log(2)
            healing.take(token, self._vocab.piece(token))
            if number + 1 < len(answer):
                self._decode((token,), at + number)
                logits = self._context.logits()
        return bits, size

    def _write(self, logits: Logits, at: int, healing: Healing) -> str:
        """The most likely line."""
        text = b""
        for number in range(_MOST_TOKENS):
            allowed = healing.allowed()
            token = int(logits.argmax()) if allowed is None else int(allowed[logits[allowed].argmax()])
            if self._vocab.is_end(token):
                break
            text += healing.take(token, self._vocab.piece(token))
            if b"\n" in text:
                break
            self._decode((token,), at + number)
            logits = self._context.logits()
        return text.partition(b"\n")[0].decode("utf-8", "replace")

    def _decode(self, tokens: Sequence[int], start: int) -> None:
        if self._context.decode(tokens, 0, start) is not Decoded.OK:
            raise EngineError("The context is too small for a held-out line.")


def compare(before: Sequence[Score], after: Sequence[Score], seed: int) -> Measured:
    """Both, and what the adapter gains: of bits per byte what is saved, of exact answers what is added."""

    def bits(scores: Sequence[Score]) -> float:
        return sum(score.bits for score in scores) / max(sum(score.bytes for score in scores), 1)

    def exact(scores: Sequence[Score]) -> float:
        return 100.0 * sum(score.is_exact for score in scores) / max(len(scores), 1)

    def figure(quantity: Callable[[Sequence[Score], Sequence[Score]], float]) -> Figure:
        dice, pairs, resampled = random.Random(seed), list(zip(before, after, strict=True)), []
        for _ in range(_RESAMPLES):
            left, right = zip(*dice.choices(pairs, k=len(pairs)), strict=True)
            resampled.append(quantity(left, right))
        resampled.sort()
        low, high = resampled[int(0.025 * _RESAMPLES)], resampled[int(0.975 * _RESAMPLES) - 1]
        return Figure(value=quantity(before, after), low=low, high=high)

    return Measured(
        lines=len(before),
        bits_before=figure(lambda left, _: bits(left)),
        bits_after=figure(lambda _, right: bits(right)),
        bits_saved=figure(lambda left, right: bits(left) - bits(right)),
        exact_before=figure(lambda left, _: exact(left)),
        exact_after=figure(lambda _, right: exact(right)),
        exact_added=figure(lambda left, right: exact(right) - exact(left)),
    )
