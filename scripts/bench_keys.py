"""Keys saved: people who type recorded sessions again with the real `fimble lsp` at their side.  See bench.py."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsprotocol import types

from bench_stats import Figures, quantile
from bench_trace import LANGUAGES, trace_name
from eval_window import EvalWindow
from fimble.text import Encoding, Text
from private_home import start_engine
from typists import Event, Ghost, Typist, read_session, simulate

#: Who may make suggestions, as settings; memory is always there.
_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "echo": {"suggest": {"model": False}},
    "model": {"suggest": {"echo": False}},
}

#: Nobody is cut short by a machine that does other things beside the benchmark.
_DEADLINE_MS = 20_000


@dataclass(slots=True)
class Wanted:
    """Which sessions are typed, by whom, with what."""

    model: Path
    start: int
    changes: int
    eagerness: Sequence[str]
    sources: Sequence[str]
    typists: Sequence[Typist]
    idle_ms: int = 0
    """How long they pause after each key."""


@dataclass(slots=True)
class KeysWindow:
    """A `Player`: one document of an `EvalWindow`."""

    window: EvalWindow
    uri: str
    text: Text
    idle_ms: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    latency_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By source, inside the server."""
    _version: int = 1
    _last: types.InlineCompletionItem | None = None
    _asked: int = 0

    async def edit(self, *events: Event) -> None:
        """The rows of all changes, as one message."""
        changes = []
        for at, removed, put_in in itertools.chain.from_iterable(event.rows for event in events):
            start, end = (types.Position(*self.text.position_at(o, Encoding.UTF32)) for o in (at, at + removed))
            changes.append(types.TextDocumentContentChangePartial(range=types.Range(start, end), text=put_in))
            self.text = self.text.replace(at, at + removed, put_in)
        self._version += 1
        await self.window.change(self.uri, self._version, changes)

    async def ask(self, event: Event) -> Ghost | None:
        """What an editor asks for after every key."""
        item = await self.window.ask_at(self.uri, types.Position(*self.text.position_at(event.offset, Encoding.UTF32)))
        went_to_engine = await self._requests() > self._asked
        self._asked = await self._pause()
        self._last = item
        if item is None or not item.insert_text:
            return None
        assert item.command
        assert item.command.arguments
        about: Any = item.command.arguments[0]
        self.counts["answered without the engine"] += not went_to_engine
        self.latency_ms[f"{about['source']}{', engine' * went_to_engine}"].append(about["latency_ms"])
        return Ghost(str(item.insert_text), str(about["source"]))

    async def _requests(self) -> int:
        return int((await self.window.stats()).get("engine_requests", 0))

    async def _pause(self) -> int:
        """The server may work ahead; returns the requests until then, which are no key's."""
        await asyncio.sleep(self.idle_ms / 1000)
        return await self._requests()

    async def accept(self, ghost: Ghost, taken: str) -> None:
        """Editors tell of what is taken as a whole."""
        if self._last and self._last.command and taken == ghost.text:
            await self.window.run(self._last.command)


class PerfectPlayer:
    """Suggests what will be typed, by the same rules: where nothing is left of what it said, it asks its engine."""

    def __init__(self) -> None:
        self.without_engine = 0
        self._left = ""

    async def edit(self, *events: Event) -> None:
        """What is typed through is still there."""
        for event in events:
            is_typed = event.is_key and event.goes_on and self._left.startswith(event.key)
            self._left = self._left[len(event.key) :] if is_typed else ""

    async def ask(self, event: Event) -> Ghost | None:
        """From memory if something is left of the last suggestion."""
        if self._left:
            self.without_engine += 1
        else:
            self._left = event.next
        return Ghost(self._left, "perfect") if self._left else None

    async def accept(self, ghost: Ghost, taken: str) -> None:
        """Nothing is learnt."""


async def keys(path: Path, wanted: Wanted, home: Path, environ: Mapping[str, str]) -> Figures:
    """The table for one session."""
    text, events = read_session(path, wanted.start, wanted.changes)
    perfect = PerfectPlayer()
    best = await simulate(events, perfect, Typist.NEVER)
    most = await simulate(events, PerfectPlayer(), Typist.WORD)
    rows = []
    for sources in wanted.sources:
        for eagerness in wanted.eagerness:
            for typist in wanted.typists:
                async with _typing(path, text, sources, eagerness, wanted, home, environ) as player:
                    counts = await simulate(events, player, typist)
                    rows.append(_row(sources, eagerness, typist, counts, player, perfect.without_engine))
    facts = {
        "keys": best["keys"],
        "a perfect suggester saves %": _percent(most["saved"], most["keys"]),
        "a perfect suggester answers without the engine %": _percent(perfect.without_engine, best["keys"]),
        "changes": f"{wanted.start} to {wanted.start + len(events)}",
    }
    return {"title": f"Keys saved: {trace_name(path)}", "rows": rows, "facts": facts}


def _row(
    sources: str, eagerness: str, typist: Typist, counts: Counter[str], player: KeysWindow, perfect: int
) -> Figures:
    without = player.counts["answered without the engine"]
    quick = [ms for source, values in player.latency_ms.items() if "engine" not in source for ms in values]
    by_source = " ".join(
        f"{source} {counts[f'accepted_{source}']}/{counts[f'shown_{source}']}"
        for source in ("memory", "echo", "model")
        if counts[f"shown_{source}"]
    )
    return {
        "sources": sources,
        "eagerness": eagerness,
        "typist": str(typist),
        "saved %": _percent(counts["saved"], counts["keys"]),
        "shown": counts["shown"],
        "accepted %": _percent(counts["accepted"], counts["shown"]),
        "wrong %": _percent(counts["wrong"], counts["shown"]),
        "open %": _percent(counts["open"], counts["shown"]),
        "accepted/shown by source": by_source,
        "no engine %": _percent(without, counts["keys"]),
        "of perfect": round(without / perfect, 2) if perfect and typist is Typist.NEVER else None,
        "instant p95 ms": round(quantile(quick, 0.95), 2) if quick else None,
    }


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


@contextlib.asynccontextmanager
async def _typing(
    path: Path, text: str, sources: str, eagerness: str, wanted: Wanted, home: Path, environ: Mapping[str, str]
) -> AsyncIterator[KeysWindow]:
    """A window of its own on *text*: nothing is remembered of the one before."""
    own = _SETTINGS[sources]
    settings = {"model": str(wanted.model), "cache": {"enabled": False}, **own}
    settings["suggest"] = {"eagerness": eagerness, "deadline_ms": _DEADLINE_MS, **own.get("suggest", {})}
    file, language = LANGUAGES.get(trace_name(path), (path.name, ""))
    window = EvalWindow(home, 1)
    try:
        await window.begin(environ, settings)
        if sources != "echo":
            await start_engine(environ, "--model", str(wanted.model))
        uri = window.open_as(file, text, language)
        await window.stats()
        yield KeysWindow(window, uri, Text(text), wanted.idle_ms)
    finally:
        await window.stop()
