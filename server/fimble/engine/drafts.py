"""Drafts: guesses of what comes next, checked several at a time in one decode, where that is worth it.

A decode of k guesses and the token before them costs more than a decode of one token, and yields one token for
each guess that is right and one more.  Both sides of this are measured while the engine runs.
"""

from __future__ import annotations

from collections import deque

from fimble.engine.costs import Costs
from fimble.engine.llama import Vocab

#: How many guesses may be checked at a time: with the token before them they fill the classes of ``Costs``.
_SIZES = (15, 7, 3)

#: How much one new outcome counts against all before it.
_WEIGHT = 0.05


class Draft:
    """What one answer is expected to be, as the tokens that would come next.

    Where the answer spells the same text with other tokens, the rest of the draft is tokenised anew.
    """

    def __init__(self, text: bytes, vocab: Vocab) -> None:
        self._vocab = vocab
        self._text = text
        self.guesses: deque[int] = deque()
        self.has_begun = False
        """Whether the answer has begun like the draft."""
        self._tokenize()

    def follow(self, token: int) -> bool:
        """*token* was written: was it the one expected?  A draft that the answer leaves is given up."""
        is_right = bool(self.guesses) and self.guesses.popleft() == token
        piece = self._vocab.piece(token)
        self.has_begun = bool(piece) and self._text.startswith(piece)
        self._text = self._text[len(piece) :] if self.has_begun else b""
        if not is_right:
            self._tokenize()
        return is_right

    def _tokenize(self) -> None:
        try:
            self.guesses = deque(self._vocab.tokenize(self._text.decode()) if self._text else ())
        except UnicodeDecodeError:
            # In the middle of a character; its other bytes come one at a time.
            self.guesses = deque()


class Drafts:
    """Decides how many guesses to check.  Belongs to the inference thread.

    That a draft begins rightly and that it goes on rightly are different probabilities: what was copied right so
    far mostly goes on so.
    """

    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self._begins, self._goes_on = 0.6, 0.9

    def note(self, has_begun: bool, is_right: bool) -> None:
        """A guess was compared with the token that was written, whether or not it was checked in a batch.

        *has_begun*: the answer was like the draft before.
        """
        if has_begun:
            self._goes_on += _WEIGHT * (is_right - self._goes_on)
        else:
            self._begins += _WEIGHT * (is_right - self._begins)

    def how_many(self, guesses: int, has_begun: bool) -> int:
        """How many of *guesses* to check in the next decode; 0 when none is worth it."""
        best, best_gain = 0, 1.0
        for size in _SIZES:
            count = min(size, guesses)
            gain = self._tokens(count, has_begun) / self._costs.relative(count + 1)
            if count and gain > best_gain:
                best, best_gain = count, gain
        return best

    def _tokens(self, count: int, has_begun: bool) -> float:
        """How many tokens a decode with *count* guesses yields, on average."""
        chance, total = self._goes_on if has_begun else self._begins, 1.0
        for _ in range(count):
            total += chance
            chance *= self._goes_on
        return total
