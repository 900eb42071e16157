"""What looking into a repository costs: at a key, in a pause, once at the start, and in tokens computed anew.

See bench.py.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import cast

from bench_engine import Setup
from bench_engines import BenchFailed
from bench_players import Fimble
from bench_stats import Figures, spread, summary
from bench_trace import Stroke
from bench_typing import awake
from fimble.context.history import EditHistory
from fimble.core import Ask
from fimble.engine.client import EngineClient
from fimble.engine.wire import Chunk, InfillRequest, Timings
from fimble.index.client import IndexClient
from fimble.index.launch import IndexLauncher, settings_for
from fimble.index.wire import Retrieve, Status
from fimble.privacy import Exclusions
from fimble.settings import CacheConfig, Config, SuggestConfig
from fimble.suggest.recipe import GATHER_IDLE_S, Suggester
from fimble.suggest.surroundings import Surroundings

_IDLE_S = 0.15

#: After every so many keys the person looks up for so long: other files are looked into only then.
_LONG_EVERY, _LONG_S = 10, 1.0

_PATIENCE_S = 600.0


class _NoEngine:
    """Answers at once, with nothing: what is left is the window's own work.  Notes when it was asked."""

    is_ready = True
    n_ctx = 2048

    def __init__(self) -> None:
        self.asked_at = 0.0

    async def ensure(self) -> None:
        """It is there."""

    async def infill(self, _request: InfillRequest) -> AsyncGenerator[Chunk, None]:
        """The end."""
        self.asked_at = time.perf_counter()
        yield Chunk(stop=True, stop_type="limit", timings=Timings())


class _Asked(IndexClient):
    """Notes what each question took, from here and inside of the index."""

    def __init__(self, launcher: IndexLauncher) -> None:
        super().__init__(launcher)
        self.took_ms: list[float] = []
        self.inside_ms: list[float] = []

    async def retrieve(self, question: Retrieve, timeout_s: float = 5.0):  # type: ignore[no-untyped-def]
        """As a window asks."""
        began = time.perf_counter()
        answer = await super().retrieve(question, timeout_s)
        self.took_ms.append((time.perf_counter() - began) * 1000)
        self.inside_ms.append(answer.ms)
        return answer


def located(strokes: Sequence[Stroke], repository: Path) -> list[Stroke]:
    """The same keys, typed in a file of *repository*."""
    found = []
    for stroke in strokes:
        file = repository / stroke.document.path
        document = dataclasses.replace(stroke.document, file=file)
        left = stroke.left and dataclasses.replace(
            stroke.left, document=dataclasses.replace(stroke.left.document, file=file)
        )
        found.append(dataclasses.replace(stroke, document=document, left=left))
    return found


async def reading(repository: Path, strokes: Sequence[Stroke]) -> Figures:
    """Keys and pauses while the repository is read for the first time, and afterwards; and a restart."""
    config = Config(suggest=SuggestConfig(echo=False), cache=CacheConfig(enabled=False))
    index = _Asked(IndexLauncher(settings_for(repository, config)))
    around = Surroundings([index], EditHistory(), Exclusions(config.privacy.exclude))
    rows: list[Figures] = []
    try:
        began = time.monotonic()
        await index.ensure()
        during = await _type(index, around, config, strokes, until_read=True)
        first = await _read(index)
        seconds = time.monotonic() - began
        rows += _rows("while it is read", index, during)
        index.took_ms.clear()
        index.inside_ms.clear()
        rows += _rows("when it is read", index, await _type(index, around, config, strokes))
        restart_s = await _restarted(index)
    finally:
        await index.close()
    progress = first.progress
    facts = {
        "files": progress.files_total,
        "definitions": first.definitions,
        "skipped": sum(progress.skipped.values()),
        "read_in_s": round(seconds, 1),
        "files_per_s": round(progress.files_total / seconds),
        "memory_mb": round(first.memory_bytes / 1e6),
        "database_mb": round(first.database_bytes / 1e6, 1),
        "ready_after_a_restart_s": round(restart_s, 2),
    }
    return {"title": f"Looking into {repository.name}", "rows": rows, "facts": facts}


def _rows(when: str, index: _Asked, key_ms: Sequence[float]) -> list[Figures]:
    return [
        spread(f"{when}: a key, up to the engine", summary(key_ms), "ms"),
        spread(f"{when}: a pause, as the window sees it", summary(index.took_ms), "ms"),
        spread(f"{when}: the same inside the index", summary(index.inside_ms), "ms"),
    ]


async def _type(
    index: IndexClient, around: Surroundings, config: Config, strokes: Sequence[Stroke], *, until_read: bool = False
) -> list[float]:
    """Type all keys, with a pause after each, again and again until the repository is read; the time of each key."""
    engine = _NoEngine()
    suggester = Suggester(config, cast(EngineClient, engine), surroundings=around)
    key_ms = []
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        for stroke in strokes:
            ask = Ask(stroke.document, stroke.offset)
            began = time.perf_counter()
            await suggester.suggest(ask)
            key_ms.append((engine.asked_at - began) * 1000)
            around.forget(stroke.document.uri)  # every pause asks
            await around.find(ask, (), engine.n_ctx)
            if until_read:
                await asyncio.sleep(_IDLE_S)
            if until_read and len(key_ms) % 20 == 0 and (await index.status()).progress.state == "ready":
                return key_ms
        if not until_read:
            return key_ms
        if time.monotonic() > deadline:
            raise BenchFailed("The repository was not read in time.")


async def _read(index: IndexClient) -> Status:
    while (status := await index.status()).progress.state != "ready":
        if status.progress.state == "failed":
            raise BenchFailed(f"The repository could not be read: {status.progress.problem}")
        await asyncio.sleep(0.05)
    return status


async def _restarted(index: _Asked) -> float:
    """Stop the index; seconds until another one is ready, nothing having changed."""
    from fimble.index.launch import stop

    path = index.launcher.socket
    await index.close()
    await asyncio.to_thread(stop, path)
    began = time.monotonic()
    await index.ensure()
    await _read(index)
    return time.monotonic() - began


async def typing(setup: Setup, repository: Path, strokes: Sequence[Stroke]) -> Figures:
    """Tokens recomputed a key: with what the index finds in pauses, and with constant snippets of the same size."""
    config = Config(suggest=SuggestConfig(max_tokens=setup.n_predict, echo=False, deadline_ms=60_000))
    index = IndexClient(IndexLauncher(settings_for(repository, config)))
    await index.ensure()
    await _read(index)
    around = Surroundings([index], EditHistory(), Exclusions(config.privacy.exclude))
    players = (Fimble(setup, around), Fimble(setup, name="constant snippets"))
    counts: dict[str, list[int]] = {player.name: [] for player in players}
    sizes: dict[str, list[int]] = {player.name: [] for player in players}
    try:
        for player in players:
            await player.start()
            player.rest()
        async with awake(players[0]):
            await players[0].ask(strokes[0])
            await players[0].pause(strokes[0], _LONG_S + GATHER_IDLE_S)
            answer = await players[0].ask(strokes[0])
        async with awake(players[1]):
            await players[1].fill(strokes[0], answer.prompt_n + answer.cache_n)
        for number, stroke in enumerate(strokes):
            for player in players:
                async with awake(player):
                    answer = await player.ask(stroke)
                    counts[player.name].append(answer.prompt_n)
                    sizes[player.name].append(answer.prompt_n + answer.cache_n)
                    await player.pause(stroke, _IDLE_S if number % _LONG_EVERY else _LONG_S)
        changed = players[0].stats().get("snippets_changed", 0)
    finally:
        for player in players:
            await player.stop()
        await index.close()
    rows = [spread(f"{name}: tokens recomputed a key", summary(counts[name]), "tokens") for name in counts]
    rows += [spread(f"{name}: whole prompt", summary(sizes[name]), "tokens") for name in sizes]
    facts = {"snippets_changed": changed, "a_long_pause_after_every": _LONG_EVERY}
    return {"title": "Tokens recomputed with other files in the prompt", "rows": rows, "facts": facts}
