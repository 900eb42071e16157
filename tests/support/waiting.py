"""Waiting for what can be seen, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

DEADLINE_S = 40.0
POLL_S = 0.03

T = TypeVar("T")


def look_for(look: Callable[[], T | None], deadline_s: float) -> T | None:
    """Look again and again until there is something to see; None if there is nothing by the deadline."""
    end = time.monotonic() + deadline_s
    while not (seen := look()) and time.monotonic() < end:
        time.sleep(POLL_S)  # editors, pages and other processes do not tell: only looking again does
    return seen


def until(look: Callable[[], T | None], wanted: str | Callable[[], str], deadline_s: float = DEADLINE_S) -> T:
    """Look again and again until there is something to see; fail, naming what was wanted, after the deadline.

    *wanted* may be called then, to tell what there is instead.
    """
    seen = look_for(look, deadline_s)
    if not seen:
        pytest.fail(f"waited {deadline_s:.0f} s in vain for {wanted() if callable(wanted) else wanted}")
    return seen
