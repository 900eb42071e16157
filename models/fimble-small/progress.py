"""A progress line: rewritten in place on a terminal, written now and then elsewhere."""

from __future__ import annotations

import sys
import time

_WIDTH = 24

#: Where there is no terminal, a line this often, in seconds.
_EVERY = 15.0


class Line:
    """One line that says how far things are."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._written = 0.0

    def show(self, share: float, text: str) -> None:
        """Draw the bar at *share* (0 to 1) with *text* beside it."""
        now = time.monotonic()
        if now - self._written < (0.1 if self._terminal else _EVERY):
            return
        self._written = now
        done = round(_WIDTH * min(max(share, 0.0), 1.0))
        bar = f"[{'█' * done}{'·' * (_WIDTH - done)}] {share:4.0%}  {text}"
        sys.stderr.write(f"\r{bar}\x1b[K" if self._terminal else bar + "\n")
        sys.stderr.flush()

    def note(self, text: str) -> None:
        """A line that stays."""
        if text:
            sys.stderr.write(f"\r\x1b[K{text}\n" if self._terminal else text + "\n")
            sys.stderr.flush()
