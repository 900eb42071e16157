"""What a decode costs on this machine, as running means: what is worth doing is decided by measuring."""

from __future__ import annotations

#: How much one new measurement counts against all before it.
_WEIGHT = 0.1

#: Largest number of tokens in each class of decodes that cost about the same; beyond the last, prompts.
_CLASSES = (1, 2, 3, 4, 8, 16)

#: What decodes of these classes cost, in units of one token, before any was measured (0.5 B, two cores).
_FIRST_GUESS = (1.0, 1.6, 2.0, 2.5, 4.4, 7.6)

#: What does not pay is tried again once in so many decodes: it may only have looked so while something else ran.
_TRY_AGAIN = 64

#: How fast prompts are evaluated before any was: parameters times tokens per millisecond (0.5 B, two cores: 120
#: tokens/s; 45 M: 1,300).
_FIRST_GUESS_PARAMS_PER_MS = 6e7

#: Chunks from this size on tell how fast prompts are evaluated.
_PROMPT_CHUNK_TOKENS = 32


class Costs:
    """Running means of the time of decodes, by their size, for a model of *n_params* parameters.

    Belongs to its lane's thread.
    """

    def __init__(self, n_params: int = 0) -> None:
        self._decode_ms: dict[int, float] = {}
        self._by_lanes = {1: self._decode_ms}
        self._prompt_token_ms = n_params / _FIRST_GUESS_PARAMS_PER_MS
        self._is_guess = True
        self._asked = 0

    def divide(self, lanes: int) -> None:
        """From now on so many lanes compute at once: with a part of the threads a decode costs something else."""
        self._decode_ms = self._by_lanes.setdefault(lanes, {})

    def note(self, tokens: int, ms: float) -> None:
        """A decode of *tokens* took *ms* milliseconds."""
        if tokens <= _CLASSES[-1]:
            size = next(size for size in _CLASSES if tokens <= size)
            self._decode_ms[size] = _mean(self._decode_ms.get(size), ms)
        elif tokens >= _PROMPT_CHUNK_TOKENS:
            self._prompt_token_ms = _mean(None if self._is_guess else self._prompt_token_ms, ms / tokens)
            self._is_guess = False

    def relative(self, tokens: int) -> float:
        """What a decode of up to 16 *tokens* costs, in units of a decode of one."""
        at = next(n for n, size in enumerate(_CLASSES) if tokens <= size)
        one, measured = self._decode_ms.get(1), self._decode_ms.get(_CLASSES[at])
        return measured / one if one and measured else _FIRST_GUESS[at]

    def more(self, tokens: int, count: int) -> float:
        """What *count* further tokens cost in a decode of *tokens*, in units of a decode of one."""
        if tokens + count <= _CLASSES[-1]:
            return max(self.relative(tokens + count) - self.relative(tokens), 0.0)
        one = self._decode_ms.get(1)
        return count * self._prompt_token_ms / one if one else count * _FIRST_GUESS[-1] / _CLASSES[-1]

    def pays_together(self, writers: int) -> bool:
        """Whether one decode for all *writers* is cheaper than one for each.

        Mostly it is: the weights are read once.  But llama.cpp's kernels for two rows and more can be far from those
        for one (45 M Q8_0 on AVX2: 2 tokens cost 3.9 times one, 4 tokens 5; F16: 1.9 and 2.1; 0.5 B Q4_K: 1.3 and 1.4).
        """
        self._asked += 1
        return self.relative(writers) < writers or self._asked % _TRY_AGAIN == 0

    def prompt_ms(self, tokens: int) -> float:
        """How many milliseconds the evaluation of *tokens* of a prompt takes; before any was measured, a guess."""
        return tokens * self._prompt_token_ms


def _mean(before: float | None, now: float) -> float:
    return now if before is None else before + _WEIGHT * (now - before)
