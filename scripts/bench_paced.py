"""Typing sessions at a person's pace: who has answered before the next key?  See bench.py."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench_engine import Setup
from bench_players import Player
from bench_stats import Figures, ratio, spread, summary
from bench_trace import Stroke, gaps_s
from bench_typing import awake, fill

#: Keys that one types before it is the next one's turn.
_BLOCK_KEYS = 25


@dataclass(slots=True)
class _Paced:
    """What one player's keys came to."""

    answered: int = 0
    late: int = 0
    times_ms: list[float] = field(default_factory=list)
    over_tokens: list[float] = field(default_factory=list)
    """Tokens computed for the key before, after a key was pressed."""
    over_ms: list[float] = field(default_factory=list)
    """How long a key waited because the one before was still worked on."""


async def paced(everybody: Sequence[Player], strokes: Sequence[Stroke], setup: Setup) -> Figures:
    """Keys at a person's pace.  A key ends what is still under way for the one before."""
    gaps = gaps_s(len(strokes))
    seen = {player.name: _Paced() for player in everybody}
    prompts = await fill(everybody, strokes[0], setup.prompt_tokens)
    for start in range(0, len(strokes), _BLOCK_KEYS):
        block = slice(start, start + _BLOCK_KEYS)
        for player in everybody:
            async with awake(player):
                await _type(player, strokes[block], gaps[block], seen[player.name])
    rows, facts = [], {"first_prompt_tokens": prompts, "gap_p50_ms": round(statistics.median(gaps) * 1000)}
    for name, result in seen.items():
        facts[f"{name}: answered before the next key"] = ratio(result.answered, result.answered + result.late)
        rows.append(spread(f"{name}: answered keys", summary(result.times_ms), "ms"))
        if result.over_tokens:
            rows.append(spread(f"{name}: tokens for an older key", summary(result.over_tokens), "tokens"))
            rows.append(spread(f"{name}: wait for an older key", summary(result.over_ms), "ms"))
    return {"rows": rows, "facts": facts}


async def _type(player: Player, strokes: Sequence[Stroke], gaps: Sequence[float], seen: _Paced) -> None:
    """Type these keys; what they came to is added to *seen*."""
    due = time.perf_counter()
    asking: asyncio.Task[None] | None = None
    took_ms: list[float] = []
    for stroke, gap in zip(strokes, gaps, strict=True):
        was_cancelled = asking is not None and not took_ms
        if asking:
            asking.cancel()
        took_ms = []
        asking = asyncio.create_task(_ask_and_count(player, stroke, took_ms, seen if was_cancelled else None))
        due += gap
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        if asking.done():
            asking.result()  # raises what went wrong
        seen.answered += len(took_ms)
        seen.late += not took_ms
        seen.times_ms += took_ms
    if asking:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
    await player.settle()


async def _ask_and_count(player: Player, stroke: Stroke, took_ms: list[float], seen: _Paced | None) -> None:
    """Put the milliseconds to the finished line into *took_ms*.

    With *seen*, also count there what was still computed for the key before.
    """
    started = time.perf_counter()
    counting = asyncio.create_task(player.counters()) if seen else None
    answer = await player.ask_paced(stroke)
    took_ms.append((time.perf_counter() - started) * 1000)
    if seen and counting:
        before, after = await counting, await player.counters()
        if before and after:
            evaluated = after.prompt_tokens_evaluated - before.prompt_tokens_evaluated - answer.prompt_n
            written = after.tokens_predicted - before.tokens_predicted - answer.predicted_n
            seen.over_tokens.append(max(evaluated, 0) + max(written, 0))
            seen.over_ms.append(answer.queued_ms)
