"""What a person sees while pip or uv installs: one line that says what happens and how far it is.

Runs before the virtual environment exists, so it uses the standard library only.
"""

from __future__ import annotations

import os
import re
import time
from typing import TextIO

# Ninja counts `[12/140]`, make counts `[ 8%]`.  uv puts a word of its own before what a build prints.
_COUNTED = re.compile(r"^\s*(?:DEBUG )?\[(\d+)/(\d+)\]")
_PERCENT = re.compile(r"^\s*(?:DEBUG )?\[\s*(\d+)%\]")

#: CMake compiles little programs of its own while it looks at the machine; they are not the build.
_MIN_BUILD_STEPS = 20

#: The beginnings of lines of pip and of uv, and what they mean.
_PHASES = (
    (re.compile(r"^\s*Running command Building wheel for llama|^\s*(DEBUG )?Building[: ]+llama"), "Building llama.cpp"),
    (re.compile(r"^Collecting |^Obtaining |^Resolved |^DEBUG Searching"), "Getting the packages"),
    (re.compile(r"^Installing collected packages|^Prepared \d+ pack"), "Installing the packages"),
)

_BAR_CELLS = 28
_SILENCE_S = 30.0


class Progress:
    """Hears every line of output and shows the state.

    On a terminal it is one line that is written over and over.  Elsewhere (a log, CI) it is a line for each new
    state and for each tenth of the build.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._started = self._spoke = time.monotonic()
        self._phase = ""
        self._share: float | None = None
        self._tenth = 0
        self._is_live = out.isatty() and os.environ.get("TERM") != "dumb"
        self._has_colour = self._is_live and not os.environ.get("NO_COLOR")
        self._is_unicode = "utf" in (getattr(out, "encoding", None) or "").lower()

    @property
    def elapsed(self) -> str:
        """Minutes and seconds since the start, as ``1:05``."""
        seconds = int(time.monotonic() - self._started)
        return f"{seconds // 60}:{seconds % 60:02}"

    def hear(self, line: str) -> None:
        """Take one line of the installer's output; an empty one says that another second has passed."""
        share = built_share(line)
        phase = "Building llama.cpp" if share is not None else _phase_of(line)
        if phase and phase != self._phase:
            self._phase, self._share, self._tenth = phase, None, 0
            if not self._is_live:
                self._say(f"{phase} ...")
        if share is not None:
            self._share = share
            if not self._is_live and int(share * 10) > self._tenth:
                self._tenth = int(share * 10)
                self._say(f"{self._phase}: {self._tenth * 10} % ({self.elapsed})")
        self._show()

    def _show(self) -> None:
        if self._is_live:
            self._out.write(f"\r  {self._phase or 'Starting'}  {self._bar()}{self.elapsed}\x1b[K")
            self._out.flush()
        elif time.monotonic() - self._spoke > _SILENCE_S:
            self._say(f"{self._phase or 'Starting'}: still at it ({self.elapsed})")

    def close(self) -> None:
        """Take the rewritten line away."""
        if self._is_live:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def _say(self, text: str) -> None:
        self._spoke = time.monotonic()
        self._out.write(f"  {text}\n")
        self._out.flush()

    def _bar(self) -> str:
        if self._share is None:
            return ""
        done = int(self._share * _BAR_CELLS)
        full, empty = ("━", "─") if self._is_unicode else ("#", "-")
        rest = empty * (_BAR_CELLS - done)
        if self._has_colour:
            rest = f"\x1b[2m{rest}\x1b[0m"
        return f"{full * done}{rest}  {self._share:4.0%}  "


def built_share(line: str) -> float | None:
    """How much of llama.cpp is built, from 0 to 1, if *line* is one of the build's counted steps."""
    if counted := _COUNTED.match(line):
        step, steps = int(counted[1]), int(counted[2])
        return min(step / steps, 1.0) if steps >= _MIN_BUILD_STEPS else None
    if percent := _PERCENT.match(line):
        return min(int(percent[1]), 100) / 100
    return None


def _phase_of(line: str) -> str:
    return next((name for pattern, name in _PHASES if pattern.match(line)), "")
