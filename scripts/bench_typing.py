"""Typing sessions in lock-step: every key waits for its answer from everybody.  See bench.py."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from bench_engine import Setup
from bench_engines import BenchFailed, code
from bench_players import Answer, Fimble, Player
from bench_servers import LlamaVim, SlidingWindow
from bench_stats import Figures, ratio, spread, summary
from bench_trace import Stroke

#: A person's pause after each key of the lock-step clock, in seconds.
_IDLE_S = 0.15

#: What the largest of llama-server's prompts needs, in tokens.
_PEERS_NEED_TOKENS = 3000


@contextlib.asynccontextmanager
async def players(setup: Setup, program: Path | None) -> AsyncIterator[list[Player]]:
    """Everybody, started and suspended.  A llama-server gets the threads that our engine is seen to use."""
    everybody: list[Player] = [Fimble(setup)]
    try:
        if program:
            threads, environ = await _like_ours(setup)
            everybody.append(LlamaVim(setup, program, threads, environ))
            everybody.append(SlidingWindow(setup, program, threads, environ))
        for player in everybody:
            await player.start()
            player.rest()
        yield everybody
    finally:
        for player in everybody:
            await player.stop()


async def _like_ours(setup: Setup) -> tuple[tuple[int, int], dict[str, str]]:
    """The threads of our engine, while it writes and while it reads, and the spinning that it is started with.

    Raises BenchFailed if the model's context is too small for the others, which do not cut their prompts to it.
    """
    engine = setup.engine("look")
    await engine.start()
    try:
        if engine.n_ctx < _PEERS_NEED_TOKENS:
            raise BenchFailed(
                f"{setup.model.name} has {engine.n_ctx} tokens of context; llama-server is to be asked for more."
            )
        if setup.threads:
            threads = (setup.threads, setup.threads)
        else:
            threads = (await engine.threads_at_work(48, code(600)), await engine.threads_at_work(0, code(6000)))
        return threads, {"GOMP_SPINCOUNT": engine.spin}
    finally:
        await engine.stop()


@contextlib.asynccontextmanager
async def awake(player: Player) -> AsyncIterator[None]:
    """The player whose turn it is."""
    await player.wake()
    try:
        yield
    finally:
        player.rest()


async def fill(everybody: Sequence[Player], stroke: Stroke, prompt_tokens: int) -> dict[str, int]:
    """Give everybody snippets up to *prompt_tokens*; returns how long the first prompts are."""
    prompts = {}
    for player in everybody:
        async with awake(player):
            prompts[player.name] = await player.fill(stroke, prompt_tokens)
    return prompts


# --- lock-step ----------------------------------------------------------------------------------------------


async def lock_step(everybody: Sequence[Player], strokes: Sequence[Stroke], setup: Setup) -> Figures:
    """Every key to everybody in turn; each waits for its answer and has some idle time after it."""
    prompts = await fill(everybody, strokes[0], setup.prompt_tokens)
    answers: dict[str, list[Answer]] = {player.name: [] for player in everybody}
    before = {player.name: await _counted(player) for player in everybody}
    for number, stroke in enumerate(strokes):
        first = number % len(everybody)
        for player in (*everybody[first:], *everybody[:first]):
            async with awake(player):
                answers[player.name].append(await player.ask(stroke))
                await player.pause(stroke, _IDLE_S)
    rows: list[Figures] = []
    facts: Figures = {"first_prompt_tokens": prompts}
    for player in everybody:
        rows += _lock_step_rows(player.name, answers[player.name])
        evaluated = await _counted(player)
        if evaluated is not None:
            on_path = sum(answer.prompt_n for answer in answers[player.name])
            counted = evaluated - (before[player.name] or 0)
            facts["evaluated_tokens"], facts["on_the_users_path"] = counted, on_path
            facts["warming_tokens"] = counted - on_path
            facts["warming_tokens_per_key"] = round((counted - on_path) / len(strokes), 1)
    facts |= _ratios(answers)
    return {
        "rows": rows,
        "facts": facts,
        "answers": {name: [_plain(a) for a in kept] for name, kept in answers.items()},
    }


async def _counted(player: Player) -> int | None:
    async with awake(player):
        counters = await player.counters()
    return counters.prompt_tokens_evaluated if counters else None


def _lock_step_rows(name: str, answers: Sequence[Answer]) -> list[Figures]:
    sizes = summary(answer.prompt_n + answer.cache_n for answer in answers)
    return [
        spread(f"{name}: tokens recomputed a key", summary(answer.prompt_n for answer in answers), "tokens"),
        spread(f"{name}: whole prompt", sizes, "tokens"),
        spread(f"{name}: tokens written", summary(answer.predicted_n for answer in answers), "tokens"),
        spread(f"{name}: first token", summary(answer.first_ms for answer in answers), "ms"),
        spread(f"{name}: finished line", summary(answer.done_ms for answer in answers), "ms"),
    ]


def _ratios(answers: dict[str, list[Answer]]) -> Figures:
    """Ours to everybody else's, of the medians and of the 95th percentiles."""
    facts: Figures = {}
    ours, *others = answers
    for other in others:
        for part in ("first_ms", "done_ms"):
            mine, theirs = (summary(getattr(answer, part) for answer in answers[name]) for name in (ours, other))
            for key in ("p50", "p95"):
                facts[f"{part[:-3]}_{key}_to_{other}"] = ratio(mine[key], theirs[key])
    return facts


def _plain(answer: Answer) -> list[float]:
    return [round(answer.first_ms, 1), round(answer.done_ms, 1), answer.prompt_n, answer.cache_n, answer.predicted_n]
