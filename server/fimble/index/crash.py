"""How a failure that nobody foresaw is logged: where it happened and of which kind, without its message.

Messages quote what could not be dealt with, and that may be somebody's source code.
"""

from __future__ import annotations

import traceback


def describe(error: BaseException) -> str:
    """The kind of *error* and the calls that led to it, in one line."""
    calls = traceback.extract_tb(error.__traceback__)
    places = " > ".join(f"{call.filename.rpartition('/')[2]}:{call.lineno} {call.name}" for call in calls)
    return f"{type(error).__name__} at {places}"
