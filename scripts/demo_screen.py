"""What the demo shows: one line of code at a time, with ghost text, its source and its milliseconds."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.status import Status
from rich.table import Table
from rich.text import Text

from demo_editor import Shown

SOURCES = ("model", "echo", "memory")
_COLOURS = {"model": "cyan", "echo": "green", "memory": "magenta"}

_MAX_COLUMNS = 80
_GUTTER_COLUMNS = 6
_RIGHT_COLUMNS = 17
#: However long the line, this much of a suggestion is seen.
_MIN_GHOST_COLUMNS = 16
_MAX_MORE_LINES = 3


class Screen:
    """On a terminal the line that is typed in is live; what is kept scrolls away above it."""

    def __init__(self, quiet: bool) -> None:
        self._console = Console(highlight=False, quiet=quiet)
        self._console.width = min(self._console.width, _MAX_COLUMNS)
        self.is_live = self._console.is_terminal and not quiet and not self._console.is_dumb_terminal
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stderr=False)
        self._cursor = "▏" if "utf" in self._console.encoding.lower() else "|"

    def say(self, text: str = "", style: str = "") -> None:
        """Print a line that stays."""
        self._console.print(text, style=style, markup=False)

    def waiting(self, text: str) -> Status:
        """A context in which *text* stands there with a spinner."""
        return self._console.status(text)

    def stop(self) -> None:
        """Give the terminal back, also in the middle of a scene."""
        self._live.stop()

    def begin(self, file: str, title: str) -> None:
        """Start a scene."""
        self._console.print()
        self._console.print(Text.assemble((file, "bold"), ("  " + title, "dim")))
        if self.is_live:
            self._live.start()

    def line(self, number: int, typed: str, shown: Shown | None, keep: bool = False, note: str = "") -> None:
        """Show the line under the cursor; with *keep* it stays when the typing goes on."""
        if not keep and not self.is_live:
            return
        row = self._row(number, typed, shown, note)
        if keep:
            self._console.print(row)
        if self.is_live:
            self._live.update(Text() if keep else row, refresh=True)

    def end(self, keys: int, suggestions: Sequence[Shown]) -> None:
        """End a scene with its sum."""
        if self.is_live:
            self._live.stop()
        by_source = Counter(shown.source for shown in suggestions)
        parts = ", ".join(f"{by_source[source]} {source}" for source in SOURCES if by_source[source])
        median = f" · median {_milliseconds(suggestions)}" if suggestions else ""
        self.say(f"{'':{_GUTTER_COLUMNS}}{keys} keys · {len(suggestions)} suggestions ({parts}){median}", "dim")

    def table(self, suggestions: Sequence[Shown], counters: Mapping[str, int], keys: int) -> None:
        """The sum of everything."""
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
        table.add_column("source")
        table.add_column("suggestions", justify="right")
        table.add_column("median", justify="right")
        for source in SOURCES:
            of_it = [shown for shown in suggestions if shown.source == source]
            table.add_row(Text(source, _COLOURS[source]), str(len(of_it)), _milliseconds(of_it))
        self._console.print()
        self._console.print(table)
        asked = counters.get("engine_requests", 0)
        self.say(f"\n{keys} keys, {asked} requests to the engine: the other answers needed no model.")

    def _row(self, number: int, typed: str, shown: Shown | None, note: str) -> Group:
        room = self._console.width - _GUTTER_COLUMNS - _RIGHT_COLUMNS
        first, _, more = (shown.text if shown else "").expandtabs(4).partition("\n")
        typed = typed.expandtabs(4)
        for_typed = room - 1 - min(len(first), _MIN_GHOST_COLUMNS)
        if len(typed) > for_typed:
            typed = "…" + typed[1 - for_typed :]
        ghost = _cut(first, room - 1 - len(typed))
        row = Text.assemble(
            (f"{number:>{_GUTTER_COLUMNS - 2}}  ", "dim"), typed, (self._cursor, "bold"), (ghost, "dim")
        )
        row.pad_right(max(self._console.width - _RIGHT_COLUMNS - row.cell_len, 0))
        if shown:
            row.append(f"  {shown.source:<6}", _COLOURS.get(shown.source, ""))
            row.append(f"{_number(shown.latency_ms):>6} ms")
        else:
            row.append(f"  {note}", "dim")
        return Group(row, *self._more(more, room))

    def _more(self, text: str, room: int) -> list[Text]:
        lines = text.split("\n") if text else []
        rows = [Text(" " * _GUTTER_COLUMNS + _cut(line, room), "dim") for line in lines[:_MAX_MORE_LINES]]
        if len(lines) > _MAX_MORE_LINES:
            rows[-1] = Text(f"{'':{_GUTTER_COLUMNS}}… and {len(lines) - _MAX_MORE_LINES + 1} more lines", "dim italic")
        return rows


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(room - 1, 0)] + "…"


def _number(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 9.95 else f"{milliseconds:.0f}"


def _milliseconds(suggestions: Sequence[Shown]) -> str:
    if not suggestions:
        return "–"
    return f"{_number(statistics.median(shown.latency_ms for shown in suggestions))} ms"
