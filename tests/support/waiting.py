"""Waiting for what can be seen, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

DEADLINE_S = 40.0
POLL_S = 0.03

T = TypeVar("T")


def until(look: Callable[[], T | None], wanted: str | Callable[[], str], deadline_s: float = DEADLINE_S) -> T:
    """Look again and again until there is something to see; fail, naming what was wanted, after the deadline.

    *wanted* may be called then, to tell what there is instead.
    """
    end = time.monotonic() + deadline_s
    while True:
        if seen := look():
            return seen
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline_s:.0f} s in vain for {wanted() if callable(wanted) else wanted}")
        time.sleep(POLL_S)
