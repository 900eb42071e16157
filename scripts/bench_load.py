"""Four windows at once, busy cores, and requests that are given up.  See bench.py."""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import msgspec
import psutil

from bench_engine import PREFIX_CHARS, Setup, one_by_one, together
from bench_engines import CONTEXT_TOKENS, Engine, Typist, code, cores, hogs
from bench_raw import RawLoop
from bench_stats import Figures, ratio, spread, summary
from fimble.engine.wire import Counters, InfillRequest

_WINDOWS = 4

#: Of Python source in the bundled vocabulary.
_CHARS_PER_TOKEN = 4.2

#: How long to watch an engine that says that it has stopped, in seconds.
_WATCH_S = 0.15

#: An engine whose counters stand still for so long has stopped, whatever it says.
_STILL_S = 3.0


async def windows(setup: Setup) -> Figures:
    """Four windows at once against one at a time, and what they cost in memory, on engines that did nothing else."""
    single, engine = setup.engine("single"), setup.engine("four")
    await single.start()
    try:
        alone = Typist("alone", PREFIX_CHARS, setup.n_predict)
        for _ in range(setup.keys):
            await single.ask(alone.key())
        memory_one = single.memory_mb()
        loop = RawLoop(setup.model, cores(), CONTEXT_TOKENS, {"GOMP_SPINCOUNT": single.spin})
        await asyncio.to_thread(loop.decode_ms, 64, 4)
        memory_bare = loop.memory_mb()
        loop.close()
    finally:
        await single.stop()
    typists = [Typist(f"window {number}", PREFIX_CHARS, setup.n_predict) for number in range(_WINDOWS)]
    await engine.start()
    try:
        gains, slowest, speeds = await _four(setup, engine, typists)
        memory_four = engine.memory_mb()
    finally:
        await engine.stop()
    per_window = [statistics.fmean(times) for times in zip(*slowest, strict=True)]
    rows = [spread(f"{_WINDOWS} windows {name}", summary(values), "tokens/s") for name, values in speeds.items()]
    rows += [
        spread(f"window {number + 1}", summary(times), "ms") for number, times in enumerate(zip(*slowest, strict=True))
    ]
    facts: Figures = {
        "at_once_to_one_at_a_time": round(statistics.median(gains), 3),
        "slowest_window_to_mean": ratio(max(per_window), statistics.fmean(per_window)),
        "slowest_answer_to_mean": round(
            statistics.median(max(times) / statistics.fmean(times) for times in slowest), 3
        ),
        "memory_one": memory_one,
        "memory_four": memory_four,
        "memory_bare_loop": memory_bare,
        "memory_four_to_one": ratio(memory_four["rss_mb"], memory_one["rss_mb"]),
        "memory_four_to_bare_loop": ratio(memory_four["rss_mb"], memory_bare["rss_mb"]),
    }
    return {"title": f"{_WINDOWS} windows", "rows": rows, "facts": facts}


async def _four(
    setup: Setup, engine: Engine, typists: Sequence[Typist]
) -> tuple[list[float], list[list[float]], dict[str, list[float]]]:
    """Of each round how much faster at once is, each window's milliseconds, and tokens per second."""
    await one_by_one(engine, typists)  # everybody's prompt is in the cache now
    gains: list[float] = []
    slowest: list[list[float]] = []
    speeds: dict[str, list[float]] = {"at once": [], "one at a time": []}
    for _ in range(max(3, setup.keys // _WINDOWS)):
        alone_s, _median_ms, alone_tokens = await one_by_one(engine, typists)
        all_s, each_ms, all_tokens = await together(engine, typists)
        speeds["one at a time"].append(alone_tokens / alone_s)
        speeds["at once"].append(all_tokens / all_s)
        gains.append((all_tokens / all_s) / (alone_tokens / alone_s))
        slowest.append(each_ms)
    return gains, slowest, speeds


async def busy(setup: Setup, engine: Engine) -> Figures:
    """A key on a quiet machine and with one process computing on every core, block by block."""
    typist = Typist("busy", PREFIX_CHARS, setup.n_predict)
    times: dict[str, list[float]] = {"quiet": [], "busy": []}
    await engine.ask(typist.key())
    with hogs(cores()) as others:
        for _ in range(max(1, setup.keys // 20)):
            for name, values in times.items():
                for hog in others:
                    hog.resume() if name == "busy" else hog.suspend()
                await asyncio.sleep(0.2)
                values += [(await engine.ask(typist.key())).done_ms for _ in range(10)]
    rows = [spread(name, summary(values), "ms") for name, values in times.items()]
    facts = {"busy_to_quiet": ratio(statistics.median(times["busy"]), statistics.median(times["quiet"]))}
    return {"title": f"Busy cores: a key of {setup.n_predict} tokens", "rows": rows, "facts": facts}


async def cancel(setup: Setup, engine: Engine) -> Figures:
    """Go away in the middle of a long prompt: how long, and how far, the engine goes on."""
    found = engine.endpoint
    connector = aiohttp.UnixConnector(found.socket) if found.socket else None
    base = "http://engine" if found.socket else f"http://127.0.0.1:{found.port}"
    headers = {"Authorization": f"Bearer {found.token}"} if found.token else {}
    dice = random.Random(7)
    rows: list[Figures] = []
    async with aiohttp.ClientSession(base, connector=connector, headers=headers) as session:
        whole = [await _long_prompt(engine, setup, number) for number in range(2)]
        facts: Figures = {"whole_prompt_tokens": whole[-1][0], "whole_prompt_s": round(whole[-1][1], 2)}
        for stream in (True, False):
            name = "streamed" if stream else "not streamed"
            stops: list[_Stop] = []
            for number in range(max(2, setup.keys // 4)):
                request = _long_request(setup, f"{name} {number}", stream)
                stop = await _give_up(engine, session, request, whole[-1][1] * dice.uniform(0.2, 0.7))
                stops += [stop] if stop else []
            rows += [
                spread(f"{name}: until it stops", summary(stop.took_ms for stop in stops), "ms"),
                spread(f"{name}: evaluated meanwhile", summary(stop.meanwhile_tokens for stop in stops), "tokens"),
                spread(f"{name}: evaluated after that", summary(stop.later_tokens for stop in stops), "tokens"),
                spread(f"{name}: processor after that", summary(stop.later_cores for stop in stops), "cores"),
            ]
            facts[f"{name} p95_ms"] = rows[-4].get("p95")
    return {"title": "Cancelling a long prompt", "rows": rows, "facts": facts}


@dataclass(frozen=True, slots=True)
class _Stop:
    """How an engine stopped after its client had gone."""

    took_ms: float
    meanwhile_tokens: int
    """Evaluated from the last look before the client went until the engine stood still."""
    later_tokens: int
    later_cores: float
    """Processor time that it used after that, as cores."""


def _long_request(setup: Setup, name: str, stream: bool) -> InfillRequest:
    # Another beginning for every request, so that nothing of it is in the cache.
    text = f"# {name} {time.monotonic_ns()}\n" + code(int(setup.prompt_tokens * _CHARS_PER_TOKEN))
    return InfillRequest(input_prefix=text, n_predict=setup.n_predict, stream=stream)


async def _long_prompt(engine: Engine, setup: Setup, number: int) -> tuple[int, float]:
    """The tokens of a whole long prompt and the seconds that it takes."""
    reply = await engine.ask(_long_request(setup, f"whole {number}", True))
    return reply.prompt_tokens, reply.timings.prompt_ms / 1000


async def _give_up(
    engine: Engine, session: aiohttp.ClientSession, request: InfillRequest, after_s: float
) -> _Stop | None:
    """Close the connection after *after_s*.  None if the answer was there before."""
    before = await engine.counters()
    asking = asyncio.create_task(_read(session, msgspec.json.encode(request)))
    await asyncio.sleep(after_s)
    at_close = await engine.counters()
    started = time.perf_counter()
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    if not asking.cancelled():
        return None
    took_ms, still = await _until_still(engine, before.cancelled, started)
    process = psutil.Process(engine.pid)
    used_s = sum(process.cpu_times()[:2])
    await asyncio.sleep(_WATCH_S)
    used_s = sum(process.cpu_times()[:2]) - used_s
    meanwhile = still.prompt_tokens_evaluated - at_close.prompt_tokens_evaluated
    later = (await engine.counters()).prompt_tokens_evaluated - still.prompt_tokens_evaluated
    return _Stop(took_ms, meanwhile, later, used_s / _WATCH_S)


async def _until_still(engine: Engine, cancelled: int, started: float) -> tuple[float, Counters]:
    """Milliseconds from *started* until the engine counts one more as cancelled, and its counters then.

    If it never counts it, until nothing was evaluated any more.
    """
    last, moved = await engine.counters(), time.perf_counter()
    while last.cancelled == cancelled and time.perf_counter() - moved < _STILL_S:
        await asyncio.sleep(0.001)
        now = await engine.counters()
        if (now.prompt_tokens_evaluated, now.tokens_predicted) != (last.prompt_tokens_evaluated, last.tokens_predicted):
            moved = time.perf_counter()
        last = now
    ended = time.perf_counter() if last.cancelled != cancelled else moved
    return (ended - started) * 1000, last


async def _read(session: aiohttp.ClientSession, body: bytes) -> None:
    async with session.post("/infill", data=body) as response:
        await response.read()
