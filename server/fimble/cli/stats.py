"""``fimble stats``: what suggestions came to, and what they cost, day by day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec
from rich.table import Table

from fimble import days, energy
from fimble.cli.output import console, print_json
from fimble.days import Day

#: What becomes of a suggestion; `shown` counts its rest again at every key that agrees with it.
_REACTIONS = ("accepted", "typed", "dismissed", "ignored")

_HOW = {
    "rapl": "the processor's counters",
    "battery": "the battery",
    "estimate": f"estimated, {energy.WATTS_PER_CORE:g} W for a busy core",
}


class Summary(msgspec.Struct, kw_only=True):
    """A day, or several."""

    date: str
    suggestions: int
    accepted: int
    """As a whole, with a key; ``typed`` those that were typed instead, or accepted in part."""
    typed: int
    keys_saved: int
    by_source: dict[str, dict[str, int]]
    energy_j: dict[str, float]
    joules_per_suggestion: float | None
    engine_cpu_s: float
    engine_memory_mb: float
    """The most that all engines together held."""


class Report(msgspec.Struct, kw_only=True):
    """`fimble stats --json`."""

    days: list[Summary]
    total: Summary
    engine_memory_now_mb: float
    file: str


def run(count: int, as_json: bool) -> None:
    """Show the last *count* days on which something happened."""
    kept = sorted(days.read().days.items())[-count:]
    _, memory_bytes = days.take_sample()
    report = Report(
        days=[summary(date, day) for date, day in kept],
        total=summary("total", together([day for _, day in kept])),
        engine_memory_now_mb=round(memory_bytes / 1e6, 1),
        file=str(days.file_of_days()),
    )
    if as_json:
        print_json(report)
    elif kept:
        _show(report)
    else:
        console().print("Nothing has been suggested yet.")


def summary(date: str, day: Day) -> Summary:
    """*day* as people read it."""
    sources: dict[str, dict[str, int]] = {}
    totals: Counter[str] = Counter()
    for name, number in day.counts.items():
        what, _, source = name.rpartition("_")
        sources.setdefault(source, {})[what] = number
        totals[what] += number
    suggestions = sum(totals[reaction] for reaction in _REACTIONS)
    for counts in sources.values():
        counts["suggestions"] = sum(counts.get(reaction, 0) for reaction in _REACTIONS)
    joules = sum(day.energy_j.values())
    return Summary(
        date=date,
        suggestions=suggestions,
        accepted=totals["accepted"],
        typed=totals["typed"],
        keys_saved=totals["keys_saved"],
        by_source=sources,
        energy_j={source: round(value, 3) for source, value in day.energy_j.items()},
        joules_per_suggestion=round(joules / suggestions, 3) if suggestions else None,
        engine_cpu_s=round(day.engine_cpu_s, 3),
        engine_memory_mb=round(day.engine_memory_bytes / 1e6, 1),
    )


def together(several: list[Day]) -> Day:
    """All of them as one."""
    counts, joules = Counter[str](), dict[str, float]()
    for day in several:
        counts.update(day.counts)
        for source, value in day.energy_j.items():
            joules[source] = joules.get(source, 0.0) + value
    return Day(
        counts=dict(counts),
        energy_j=joules,
        engine_cpu_s=sum(day.engine_cpu_s for day in several),
        engine_memory_bytes=max((day.engine_memory_bytes for day in several), default=0),
    )


def _show(report: Report) -> None:
    out = console()
    table = Table(box=None, pad_edge=False)
    table.add_column("Day")
    for title in ("Suggestions", "Accepted", "Typed", "Keys saved", "Energy", "Each", "Memory"):
        table.add_column(title, justify="right")
    for one in [*report.days, *([report.total] if len(report.days) > 1 else [])]:
        each = one.joules_per_suggestion
        table.add_row(
            one.date,
            f"{one.suggestions:,}",
            f"{one.accepted:,}",
            f"{one.typed:,}",
            f"{one.keys_saved:,}",
            _energy(sum(one.energy_j.values())),
            _energy(each) if each is not None else "",
            f"{one.engine_memory_mb:,.0f} MB",
        )
    out.print(table)
    for source, counts in sorted(report.total.by_source.items()):
        out.print(f"  {source}: {_of(counts)}", markup=False)
    how = " and ".join(_HOW.get(source, source) for source in report.total.energy_j)
    out.print(f"\nEnergy: of the engines, by {how}." if how else "\nEnergy: the engines have taken none yet.")
    out.print(f"The engines hold {report.engine_memory_now_mb:,.0f} MB now.  Kept in {report.file}.", markup=False)


def _of(counts: Mapping[str, int]) -> str:
    names = {"suggestions": "suggestions", "accepted": "accepted", "typed": "typed", "keys_saved": "keys saved"}
    return ", ".join(f"{counts.get(name, 0):,} {said}" for name, said in names.items())


def _energy(joules: float) -> str:
    if joules >= 3600:
        return f"{joules / 3600:,.1f} Wh"
    return f"{joules:,.0f} J" if joules >= 10 else f"{joules:,.2f} J"
