"""The engine against a bare llama.cpp loop, its overhead, and its choice of threads.  See bench.py."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_engines import CONTEXT_TOKENS, BenchFailed, Engine, Typist, code, cores, median_ms
from bench_raw import RawLoop
from bench_stats import Figures, ratio, spread, summary
from fimble.engine.wire import InfillRequest
from fimble.settings import EngineConfig

#: Rounds at a barrier before a thread sleeps: at once, a bounded time, never.
_SPINS = ("0", "10000", "infinite")

#: A moment that an engine needs to see that nothing is asked for.
_PAUSE_S = 0.02

#: Text before the cursor where the size of the prompt is not the point, in characters.
PREFIX_CHARS = 1200


@dataclass(frozen=True, slots=True)
class Setup:
    """What all measurements have in common."""

    model: Path
    home: Path
    """Where the engines' sockets lie."""
    keys: int
    """Requests of each kind."""
    n_predict: int
    prompt_tokens: int
    """Of a long prompt."""
    threads: int = 0
    """0: what the engine chooses."""

    def config(self, threads: int | None = None) -> EngineConfig:
        """The settings of an engine."""
        return EngineConfig(
            context_tokens=CONTEXT_TOKENS, threads=self.threads if threads is None else threads, idle_minutes=2.0
        )

    def engine(self, name: str) -> Engine:
        """Another engine with the product's own settings."""
        return Engine(self.model, self.home / name, self.config())


async def decode(setup: Setup, engine: Engine) -> Figures:
    """Tokens per second of the engine and of bare loops, turn by turn."""
    n_predict = max(setup.n_predict, 48)
    prompt = await _talkative(engine, n_predict)
    working = setup.threads or await engine.threads_at_work(n_predict, prompt)
    loops = [RawLoop(setup.model, n, CONTEXT_TOKENS, {"GOMP_SPINCOUNT": engine.spin}) for n in {working, 1, cores()}]
    ours: dict[str, list[float]] = {"timings": [], "wall": []}
    bare: dict[int, list[float]] = {loop.threads: [] for loop in loops}
    try:
        for number in range(1 + max(3, setup.keys // 4)):
            reply = await engine.ask(InfillRequest(input_prefix=prompt, n_predict=n_predict))
            wrote = reply.timings.predicted_n - 1
            if wrote < 1:
                raise BenchFailed("The model ends its answers at once; measure with one that `bench.py models` makes.")
            bare_ms = {}
            for loop in loops:
                bare_ms[loop.threads] = await asyncio.to_thread(loop.decode_ms, reply.prompt_tokens, wrote + 1)
            if number == 0:  # everybody has its prompt now
                continue
            ours["timings"].append(wrote / reply.timings.predicted_ms * 1000)
            ours["wall"].append(wrote / max(reply.last_ms - reply.first_ms, 1e-3) * 1000)
            for threads, spent_ms in bare_ms.items():
                bare[threads].append(wrote / spent_ms * 1000)
    finally:
        for loop in loops:
            loop.close()
    paired = {name: statistics.median(map(_divide, speeds, bare[working])) for name, speeds in ours.items()}
    best = max(bare, key=lambda threads: statistics.median(bare[threads]))
    rows = [spread(f"engine, by its {name}", summary(speeds), "tokens/s") for name, speeds in ours.items()]
    rows += [spread(f"bare llama.cpp, {n} threads", summary(bare[n]), "tokens/s") for n in sorted(bare)]
    facts: Figures = {f"engine_to_bare_{name}": round(value, 3) for name, value in paired.items()}
    wall = statistics.median(ours["wall"])
    facts |= {"threads": working, "best_threads": best, "engine_to_best": ratio(wall, statistics.median(bare[best]))}
    facts |= {"spin": engine.spin, "tokens": n_predict}
    return {"title": "Decoding against a bare loop", "rows": rows, "facts": facts}


async def _talkative(engine: Engine, n_predict: int) -> str:
    """Of some prompts the one with the longest answer: trained models end some at once."""
    lengths = {}
    for more in range(6):
        prompt = code(PREFIX_CHARS + 97 * more)
        reply = await engine.ask(InfillRequest(input_prefix=prompt, n_predict=n_predict))
        lengths[prompt] = reply.timings.predicted_n
        if lengths[prompt] == n_predict:
            break
    return max(lengths, key=lambda prompt: lengths[prompt])


def _divide(a: float, b: float) -> float:
    return a / b


async def overhead(setup: Setup, engine: Engine) -> Figures:
    """From the call to the first text, less what llama.cpp took for the prompt."""
    typist = Typist("overhead", PREFIX_CHARS, setup.n_predict)
    replies = [await engine.ask(typist.key()) for _ in range(setup.keys + 5)][5:]
    around = summary(reply.first_ms - reply.timings.prompt_ms for reply in replies)
    rows = [
        spread("call to first text, less prompt", around, "ms"),
        spread("call to first text", summary(reply.first_ms for reply in replies), "ms"),
        spread("prompt in llama.cpp", summary(reply.timings.prompt_ms for reply in replies), "ms"),
        spread("waited in the queue", summary(reply.timings.queued_ms for reply in replies), "ms"),
        spread("prompt tokens evaluated", summary(reply.timings.prompt_n for reply in replies), "tokens"),
        spread("tokens written", summary(reply.timings.predicted_n for reply in replies), "tokens"),
    ]
    facts = {"overhead_p50_ms": around["p50"], "overhead_p95_ms": around["p95"]}
    return {"title": "Overhead per request", "rows": rows, "facts": facts}


async def threads(setup: Setup) -> Figures:
    """The product's own choice of threads and spinning against every other, key by key."""
    choices: dict[str, Engine] = {"the product's choice": setup.engine("choice")}
    for count in sorted({1, max(1, cores() // 2), cores()}):
        for spin in _SPINS:
            name = f"{count} threads, spin {spin}"
            folder, environ = setup.home / f"t{count}s{spin}", {"GOMP_SPINCOUNT": spin}
            choices[name] = Engine(setup.model, folder, setup.config(count), environ)
    try:
        times = await _turn_by_turn(choices, setup)
    finally:
        for engine in choices.values():
            await engine.stop()
    product, *others = times
    best = min(others, key=lambda name: statistics.median(times[name]))
    rows = [spread(name, summary(values), "ms") for name, values in times.items()]
    facts = {"best": best, "choice_to_best": ratio(statistics.median(times[product]), statistics.median(times[best]))}
    return {"title": f"Threads and spinning: a key of {setup.n_predict} tokens", "rows": rows, "facts": facts}


async def _turn_by_turn(choices: dict[str, Engine], setup: Setup) -> dict[str, list[float]]:
    """The time of every key in milliseconds.  Whose turn it is not is suspended: idle threads may spin."""
    times: dict[str, list[float]] = {name: [] for name in choices}
    typists = {name: Typist("threads", PREFIX_CHARS, setup.n_predict) for name in choices}
    for name, engine in choices.items():
        await engine.start()
        await engine.ask(typists[name].key())
        engine.rest()
    block = 5
    for _ in range(max(1, setup.keys // block)):
        for name, engine in choices.items():
            await engine.wake()
            replies = [await engine.ask(typists[name].key()) for _ in range(block + 1)]
            # An engine that is suspended before it has noticed its pause takes what others do then for load.
            await asyncio.sleep(_PAUSE_S)
            engine.rest()
            times[name] += [reply.done_ms for reply in replies[1:]]
    return times


async def together(engine: Engine, typists: Sequence[Typist]) -> tuple[float, list[float], int]:
    """One key in every window at once: seconds until all are answered, each one's milliseconds, tokens written."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    replies = await asyncio.gather(*(engine.ask(typist.key()) for typist in typists))
    written = sum(reply.timings.predicted_n for reply in replies)
    return loop.time() - started, [reply.done_ms for reply in replies], written


async def one_by_one(engine: Engine, typists: Sequence[Typist]) -> tuple[float, float, int]:
    """One key in every window, one after the other: seconds, the median milliseconds of a key, tokens written."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    replies = [await engine.ask(typist.key()) for typist in typists]
    return loop.time() - started, median_ms(replies), sum(reply.timings.predicted_n for reply in replies)
