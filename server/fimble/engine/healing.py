"""Token healing: an answer that continues the typed text also where that ends in the middle of a token.

The end of the typed text is taken back, and the model writes it anew: only tokens that agree with the bytes taken
back are allowed, until all of these are written.  What is beyond them is the answer.
(The idea: S. Lundberg, "The Art of Prompt Design: Prompt Boundaries and Token Healing", 2023.)

Two choices are measured (server/ARCHITECTURE.md).  Taken back is the word before the cursor if that is two tokens,
else one token: more takes certainty from places that needed no repair.  And what was taken back is written as it
was, or by one token that goes beyond it: smaller pieces of it look likely one by one, and are not.  Only spaces may
be divided, since their last one may belong to the word that follows.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fimble.engine.llama import Vocab
from fimble.engine.prompt import Prompt

Ids = npt.NDArray[np.int64]

#: The word before the cursor, with the space that tokenisers put to it.
_WORD = re.compile(r" ?\w+\Z")


class Pieces:
    """Every token that stands for text, in the order of its bytes.  Built at first use, once, by any thread."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        self._lock = threading.Lock()
        self._pieces: list[bytes] = []
        self._ids: Ids = np.zeros(0, np.int64)
        self.beyond = lru_cache(maxsize=64)(self._beyond)
        self.agreeing = lru_cache(maxsize=64)(self._agreeing)

    def build(self) -> None:
        """Make the index (half a second for 150,000 tokens), unless it is there."""
        with self._lock:
            if not self._pieces:
                found = sorted((piece, token) for token, piece in enumerate(self._vocab.pieces()) if piece)
                self._ids = np.array([token for _, token in found], np.int64)
                self._pieces = [piece for piece, _ in found]

    def _beyond(self, rest: bytes) -> Ids:
        """The tokens whose bytes begin with *rest*."""
        self.build()
        return self._ids[self._place(rest) : self._place(_after(rest))]

    def _agreeing(self, rest: bytes) -> Ids:
        """The tokens whose bytes begin with *rest*, and those that *rest* begins with."""
        whole = self._beyond(rest)
        parts = [self._ids[self._place(rest[:n]) : self._place(rest[:n] + b"\0")] for n in range(1, len(rest))]
        return np.concatenate([whole, *parts])

    def _place(self, data: bytes | None) -> int:
        return len(self._pieces) if data is None else bisect_left(self._pieces, data)


def _after(data: bytes) -> bytes | None:
    """The least bytes that are greater than all that begin with *data*; None if there are none."""
    kept = data.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


class Healing:
    """What was taken back of the typed text and still has to be written anew.

    *taken* are its tokens, *rest* their bytes.
    """

    def __init__(self, pieces: Pieces, taken: tuple[int, ...], rest: bytes) -> None:
        self._pieces = pieces
        self._taken = taken
        self.rest = rest

    def again(self) -> Healing:
        """The same from its beginning, for another answer."""
        return Healing(self._pieces, self._taken, self.rest)

    def allowed(self) -> Ids | None:
        """The tokens that may come next; None when everything may."""
        if not self.rest:
            return None
        found = self._pieces.agreeing(self.rest) if self.rest.isspace() else self._pieces.beyond(self.rest)
        # With more than one left, the first is a part of the rest; the last one goes as far as the rest does.
        return np.append(found, self._taken[0]) if len(self._taken) > 1 else found

    def take(self, token: int, piece: bytes) -> bytes:
        """Note that *token*, which stands for *piece*, was written; returns what of it is new text."""
        self._taken = self._taken[1:] if self._taken[:1] == (token,) else ()
        covered = len(self.rest)
        self.rest = self.rest[len(piece) :]
        return piece[covered:]


def take_back(prompt: Prompt, typed: str, vocab: Vocab, pieces: Pieces) -> tuple[tuple[int, ...], Healing]:
    """*prompt* without the last token or two of its *typed* text, and how they are written anew.

    Nothing is taken back where there is nothing typed, or where the tokens are not what was typed (some tokenisers
    put a space before a text).
    """
    last = prompt.tokens[1:][-min(prompt.typed, 2) :] if prompt.typed else ()
    texts = [vocab.piece(token) for token in last]
    word = _WORD.search(typed)
    size = len(word.group().encode("utf-8", "replace")) if word else 0
    count = 2 if len(last) == 2 and len(texts[1]) < size <= len(texts[0] + texts[1]) else 1
    rest = b"".join(texts[-count:])
    if not rest or not typed.encode("utf-8", "replace").endswith(rest) or last[-1] not in pieces.beyond(texts[-1]):
        return prompt.tokens, Healing(pieces, (), b"")
    return prompt.tokens[:-count], Healing(pieces, last[-count:], rest)
