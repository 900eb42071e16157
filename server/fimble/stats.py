"""Counts of what happened in this session.  `days` keeps some of them; nothing is sent anywhere."""

from __future__ import annotations

from collections import Counter
from typing import Any


class Stats:
    """Counters by name; ``shown`` and ``accepted`` are also kept per source."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, name: str, source: str = "", count: int = 1) -> None:
        """Count *count* more."""
        self._counts[name] += count
        if source:
            self._counts[f"{name}_{source}"] += count

    def as_dict(self) -> dict[str, Any]:
        """A copy, sorted by name."""
        return dict(sorted(self._counts.items()))
