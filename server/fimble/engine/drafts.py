"""Drafts: guesses of what comes next, checked several at a time in one decode, where that is worth it.

A decode of k guesses and the token before them costs more than a decode of one token, and yields one token for
each guess that is right and one more.  Both sides of this are measured while the engine runs.  So is the end of the
prompt that healing has taken back: it is mostly written as it was, and then costs no decode of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import accumulate, islice, repeat
from operator import mul

from fimble.engine.costs import Costs
from fimble.engine.llama import Vocab

#: How many guesses may be checked at a time: with the token before them they fill the classes of ``Costs``.
_SIZES = (15, 7, 3, 2, 1)
_MOST = max(_SIZES)

#: How much one new outcome counts against all before it.
_WEIGHT = 0.05


class Stage(Enum):
    """What kind of guess comes next.  How likely each is right differs much."""

    AGAIN = "a token that was taken back and is written anew"
    FIRST = "the first token of the draft"
    NEXT = "a token after others that were right"


class Draft:
    """What one answer is expected to be, as the tokens that would come next.

    *text* begins with what stands for the tokens *taken* back from the prompt, which are expected to be written as they
    were.  Where the answer spells the same text with other tokens, the rest of the draft is tokenised anew.
    """

    def __init__(self, text: bytes, vocab: Vocab, taken: Sequence[int] = ()) -> None:
        self._vocab = vocab
        self._text = text[sum(len(vocab.piece(token)) for token in taken) :]
        self.guesses: deque[int] = deque()
        self.taken = len(taken)
        """How many of the next guesses were taken back."""
        self._has_begun = False
        self._tokenize()
        self.guesses.extendleft(reversed(taken))
        self._text = text

    def stages(self) -> Iterator[Stage]:
        """What the guesses are, one after the other."""
        yield from repeat(Stage.AGAIN, self.taken)
        if not self._has_begun:
            yield Stage.FIRST
        yield from repeat(Stage.NEXT)

    def follow(self, token: int) -> bool:
        """*token* was written: was it the one expected?  A draft that the answer leaves is given up."""
        is_right = bool(self.guesses) and self.guesses.popleft() == token
        piece = self._vocab.piece(token)
        agrees = bool(piece) and self._text.startswith(piece)
        self._text = self._text[len(piece) :] if agrees else b""
        self._has_begun = agrees and not (self.taken and is_right)
        self.taken = self.taken - 1 if self.taken and is_right else 0
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
    """Decides how many guesses to check.  Belongs to the inference thread."""

    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self._chances = {Stage.AGAIN: 0.8, Stage.FIRST: 0.6, Stage.NEXT: 0.9}

    def note(self, stage: Stage, is_right: bool) -> None:
        """A guess was compared with the token that was written, whether or not it was checked in a batch."""
        self._chances[stage] += _WEIGHT * (is_right - self._chances[stage])

    def how_many(self, stages: Iterable[Stage], room: int, tokens: int = 1) -> int:
        """How many of *room* guesses to check in the next decode, which has *tokens* anyway; 0 if none is worth it."""
        yields = list(accumulate(self._right(stages, min(room, _MOST)), initial=1.0))
        best, best_gain = 0, 1.0
        for count in dict.fromkeys(min(size, len(yields) - 1) for size in _SIZES):
            gain = yields[count] / (1 + self._costs.more(tokens, count))
            if count and gain > best_gain:
                best, best_gain = count, gain
        return best

    def _right(self, stages: Iterable[Stage], count: int) -> Iterator[float]:
        """How likely each of *count* guesses is right, together with all before it."""
        return accumulate((self._chances[stage] for stage in islice(stages, count)), mul)
