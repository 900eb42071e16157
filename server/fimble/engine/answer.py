"""The text of one answer as it grows: bytes to characters, and stop strings found before they are shown."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class Answer:
    """Takes the bytes of tokens, gives out text that is certain to be part of the answer.

    A character that is not complete yet, and an end that may turn out to be a stop string, are held back.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(s for s in stop if s)
        self._held = ""
        self.stopping_word = ""

    def feed(self, piece: bytes) -> str:
        """Add a token's bytes; returns the text that may be shown now."""
        self._held += self._decoder.decode(piece)
        at, word = self._first_stop()
        if word:
            self.stopping_word = word
            return self._release(at)
        return self._release(len(self._held) - self._partial_stop())

    def finish(self) -> str:
        """The rest, when no more tokens come."""
        if self.stopping_word:
            return ""
        # Half a character at the end is dropped: it cannot be shown.
        return self._release(len(self._held))

    def _first_stop(self) -> tuple[int, str]:
        found = [(at, word) for word in self._stop if (at := self._held.find(word)) >= 0]
        return min(found, default=(0, ""))

    def _partial_stop(self) -> int:
        """The length of the longest end of the held text that begins a stop string."""
        longest = 0
        for word in self._stop:
            for size in range(min(len(word) - 1, len(self._held)), longest, -1):
                if self._held.endswith(word[:size]):
                    longest = size
                    break
        return longest

    def _release(self, size: int) -> str:
        text, self._held = self._held[:size], self._held[size:]
        return text
