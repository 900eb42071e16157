"""Numbers of a benchmark, and the tables they are read in."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

Figures = dict[str, Any]


def quantile(values: Sequence[float], share: float) -> float:
    """The value that *share* of the others do not exceed (nearest rank); NaN if there is none."""
    if not values:
        return math.nan
    return sorted(values)[min(len(values) - 1, max(0, math.ceil(share * len(values)) - 1))]


def summary(values: Iterable[float]) -> Figures:
    """Count, median, mean, 95th percentile and maximum, in the unit of *values*."""
    kept = list(values)
    if not kept:
        return {"count": 0}
    return {
        "count": len(kept),
        "p50": round(statistics.median(kept), 3),
        "mean": round(statistics.fmean(kept), 3),
        "p95": round(quantile(kept, 0.95), 3),
        "max": round(max(kept), 3),
    }


def ratio(a: float | None, b: float | None) -> float | None:
    """a / b, None where that means nothing."""
    return round(a / b, 3) if a is not None and b else None


def table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """A table with one column for each name that any row has, in the order in which they come."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    shown = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="")
    for number, name in enumerate(names):
        shown.add_column(name, justify="right" if number else "left")
    for row in rows:
        shown.add_row(*(_cell(row.get(name)) for name in names))
    return shown


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def spread(name: str, figures: Mapping[str, Any], unit: str = "") -> Figures:
    """A row of a table out of a `summary`."""
    return {"": name, "unit": unit, **{key: figures.get(key) for key in ("p50", "mean", "p95", "max", "count")}}
