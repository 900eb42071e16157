"""What `fimble models fit` predicts against what real files do, in one run.  See bench.py."""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path

from bench_engines import BenchFailed, Engine, Typist
from bench_models import MODELS
from bench_raw import RawLoop
from bench_stats import Figures, ratio
from fimble.catalog import Shape
from fimble.engine.wire import InfillRequest
from fimble.models import speeds
from fimble.models.prediction import WRITTEN_TOKENS, cost, cut
from fimble.quantisation import mixture_of
from fimble.settings import EngineConfig

_CONTEXT_TOKENS = 2048

#: So much text is a prompt that nearly fills the context.
_PREFIX_CHARS = 6400

_ROUNDS = 7
_KEYS = 12
_TUNED_WITHIN_S = 45.0


async def fit(name: str, folder: Path, home: Path) -> Figures:
    """Predict one of `bench_models.MODELS` from its architecture alone; then measure its file in *folder*."""
    made, random, _ = next(model for model in MODELS if model[0] == name)
    shape = Shape(
        n_layer=random.layers,
        n_embd=random.width,
        n_ff=random.feed_forward,
        n_head=random.heads,
        n_head_kv=random.kv_heads,
        head_dim=random.head_width,
        n_vocab=random.vocabulary,
        tied=True,
    )
    path = folder / made
    if not path.is_file():
        raise BenchFailed(f"There is no {path}: make it with `bench.py models {folder}`.")
    part = cut(shape, mixture_of(made))
    found = await asyncio.to_thread(speeds.measure, [part])
    timings = found.timings[speeds.key_of(part)]
    short = cost(part, timings, 0)
    writes, (reads, read_tokens), key, prompt_tokens = await _measured(path, home, short.threads)
    long = cost(part, timings, prompt_tokens)
    # What is read is attended to, too: a prompt of some hundred tokens is not read at the speed of its first chunk.
    read_s = cost(part, timings, read_tokens).cold_prompt_s
    rows = [
        _row("writes, a short text", "tokens/s", short.decode_tokens_s, writes),
        _row(f"reads, {read_tokens} tokens", "tokens/s", read_tokens / read_s, reads),
        _row(f"a key after {prompt_tokens} tokens", "ms", long.keystroke_ms, key),
    ]
    facts = {"slice": f"{part.n_layer} of {part.of_layers} layers", "threads": long.threads}
    facts["busy_cores"] = round(found.busy_cores, 2)
    return {"title": f"Predicted and measured: {made}", "rows": rows, "facts": facts}


async def _measured(path: Path, home: Path, threads: int) -> tuple[float, tuple[float, int], float, int]:
    """Tokens per second that are written after a short text and read (of how many), and the milliseconds of a key.

    Writing is measured in a bare loop, which has nothing of ours; the rest in the product's own engine.
    """
    loop = RawLoop(path, threads, _CONTEXT_TOKENS, {"GOMP_SPINCOUNT": "10000"})
    try:
        times = [await asyncio.to_thread(loop.decode_ms, 16, 13) for _ in range(_ROUNDS)]
    finally:
        loop.close()
    engine = Engine(path, home / path.stem, EngineConfig(context_tokens=_CONTEXT_TOKENS, idle_minutes=2.0))
    await engine.start()
    try:
        await _tuned(engine)
        reads = [await _reads(engine, number) for number in range(_ROUNDS)]
        typist = Typist("fit", _PREFIX_CHARS, WRITTEN_TOKENS)
        replies = [await engine.ask(typist.key()) for _ in range(_KEYS + 2)][2:]
    finally:
        await engine.stop()
    key = statistics.median(reply.done_ms for reply in replies)
    return 12_000 / statistics.median(times[1:]), sorted(reads)[len(reads) // 2], key, replies[-1].prompt_tokens


async def _tuned(engine: Engine) -> None:
    """Wait until the engine has chosen its threads, as a user's has after its first seconds."""
    for _ in range(int(_TUNED_WITHIN_S)):
        tuning = (await engine.client.props()).tuning
        if tuning and tuning.measured:
            return
        await asyncio.sleep(1.0)


async def _reads(engine: Engine, number: int) -> tuple[float, int]:
    """Prompt tokens a second, and how many they were, of a prompt of some chunks that was not seen before."""
    text = f"# {number}\n" + "".join(f"value_{number}_{line} = {line}\n" for line in range(30))
    timings = (await engine.ask(InfillRequest(input_prefix=text, n_predict=1))).timings
    return timings.prompt_n / timings.prompt_ms * 1000, timings.prompt_n


def _row(what: str, unit: str, predicted: float, measured: float) -> Figures:
    return {
        "": what,
        "unit": unit,
        "predicted": round(predicted, 2),
        "measured": round(measured, 2),
        "predicted / measured": ratio(predicted, measured),
    }
