"""How many threads are fastest here, and whether flash attention is: measured once for each machine and model.

Writing a token and evaluating a chunk of a prompt want different numbers.  The engine measures in its first idle
moments, one decode at a time and in contexts of its own, so that whoever asks something waits for nothing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import platform
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from time import perf_counter

import msgspec
import psutil

from fimble.engine.llama import Context, Decoded, Model, system_info
from fimble.engine.wire import EngineSettings, Measurement, Tuning

#: Below this many parameters one thread writes about as fast as several that wait for each other (two cores, 7 M:
#: 0.4 ms a token with one and with two; 45 M: 420 and 500 tokens/s).  Only a guess, until it is measured.
SMALL_MODEL_PARAMS = 20_000_000

#: More threads are chosen only if they take less than this share of the time: a busy machine takes the rest back.
_WORTH_IT = 0.95

#: Flash attention takes less memory, and gains on longer prompts than the measured one: it need not be the faster one.
_FLASH_COSTS = 0.95

#: A chunk as large as the engine's own: other sizes are computed in other ways.
_CHUNK_TOKENS = 64
_WRITTEN_TOKENS = 4

#: What is measured stands after a prompt of so many tokens, or as many as are evaluated in so much time: after a short
#: one a second thread does not pay (45 M, two cores: 1.9 ms a token with one and with two; after 1,700: 4.2 and 2.8).
_PROMPT_TOKENS = 1024
_PROMPT_S = 2.0

#: Rounds over all candidates, of which the fastest counts; after the first there are more while time is left.
_ROUNDS = 4
_BUDGET_S = 10.0


@functools.cache
def cores() -> int:
    """Physical cores: a second thread on a core does not multiply faster.  Asked once: psutil reads a file for it."""
    return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1


def initial(settings: EngineSettings, model: Model, folder: Path) -> Tuning:
    """What to compute with: what the user says, else what was measured earlier, else a guess."""
    known = load(file_of(folder, settings))
    if known is None:
        known = Tuning(threads=1 if model.n_params < SMALL_MODEL_PARAMS else min(cores(), 8), threads_batch=cores())
    if settings.threads:
        known = msgspec.structs.replace(known, threads=settings.threads, threads_batch=settings.threads)
    if settings.kv_type != "f16" or settings.flash_attention != "auto":
        # llama.cpp quantises the cache with flash attention only.
        is_on = settings.kv_type != "f16" or settings.flash_attention == "on"
        known = msgspec.structs.replace(known, flash_attention=is_on)
    return known


def candidates(count: int) -> list[int]:
    """The numbers of threads worth trying on *count* cores: the powers of two, all, and all but one."""
    powers = itertools.takewhile(lambda n: n < count, (2**n for n in itertools.count()))
    return sorted({*powers, max(count - 1, 1), count})


def measure(
    model: Model, tries: Sequence[int], begin: Callable[[Context], None] = Context.resume
) -> Generator[None, None, Tuning]:
    """Measure; yields after each decode.  *begin* hears before each which context computes, for it may be aborted.

    A decode that was aborted is repeated.
    """
    fastest: dict[tuple[bool, int], tuple[float, float]] = {}
    with contextlib.ExitStack() as stack:
        contexts = {flash: stack.enter_context(_small_context(model, flash)) for flash in (True, False)}
        for context in contexts.values():
            context.set_threads(max(tries), max(tries), apart=True)
            yield from _read_prompt(context, min(_PROMPT_TOKENS, (model.n_ctx_train or _PROMPT_TOKENS) // 2), begin)
        began = perf_counter()
        for number, flash, threads in itertools.product(range(_ROUNDS), contexts, tries):
            if number and perf_counter() - began > _BUDGET_S:
                break
            contexts[flash].set_threads(threads, threads, apart=True)
            chunk_ms, *token_ms = yield from _decodes(contexts[flash], begin)
            before = fastest.get((flash, threads), (float("inf"), float("inf")))
            fastest[flash, threads] = min(before[0], *token_ms), min(before[1], chunk_ms)
    return choose(
        [
            Measurement(threads=threads, flash_attention=flash, token_ms=round(token, 3), chunk_ms=round(chunk, 3))
            for (flash, threads), (token, chunk) in fastest.items()
        ]
    )


def _read_prompt(context: Context, tokens: int, begin: Callable[[Context], None]) -> Generator[None, None, None]:
    """Evaluate a prompt of *tokens*, or of as many as there is time for."""
    spent_ms = 0.0
    while context.length(0) + _CHUNK_TOKENS <= tokens and spent_ms < _PROMPT_S * 1000:
        spent_ms += yield from _decode(context, _CHUNK_TOKENS, begin)


def _decodes(context: Context, begin: Callable[[Context], None]) -> Generator[None, None, list[float]]:
    """The times of a chunk and of some tokens after it, in milliseconds."""
    prompt = context.length(0)
    took = [(yield from _decode(context, _CHUNK_TOKENS, begin))]
    for _ in range(_WRITTEN_TOKENS):
        took += [(yield from _decode(context, 1, begin))]
    _cut(context, prompt)
    return took


def _decode(context: Context, count: int, begin: Callable[[Context], None]) -> Generator[None, None, float]:
    """The milliseconds in which *count* more tokens are evaluated."""
    while True:
        start = context.length(0)
        begin(context)
        began = perf_counter()
        is_done = context.decode([0] * count, 0, start) is Decoded.OK
        if is_done:
            context.logits()  # waits for a GPU
        took_ms = (perf_counter() - began) * 1000
        yield
        if is_done:
            return took_ms
        _cut(context, start)


def _cut(context: Context, length: int) -> None:
    """Forget what comes after the first *length* tokens; all, where a cache cannot be cut."""
    if not (length and context.truncate(0, length)):
        context.clear(0)


def choose(measured: Sequence[Measurement]) -> Tuning:
    """The fastest settings; of those that are nearly as fast, the one with the fewest threads."""
    flash_attention = min(measured, key=_cost).flash_attention
    same = sorted((m for m in measured if m.flash_attention is flash_attention), key=lambda m: m.threads)
    best_token, best_chunk = min(m.token_ms for m in same), min(m.chunk_ms for m in same)
    return Tuning(
        threads=next(m.threads for m in same if m.token_ms * _WORTH_IT <= best_token),
        threads_batch=next(m.threads for m in same if m.chunk_ms * _WORTH_IT <= best_chunk),
        flash_attention=flash_attention,
        measured=list(measured),
    )


def _cost(measured: Measurement) -> float:
    cost = measured.token_ms + measured.chunk_ms / _CHUNK_TOKENS
    return cost * _FLASH_COSTS if measured.flash_attention else cost


def _small_context(model: Model, flash: bool) -> contextlib.AbstractContextManager[Context]:
    size = _PROMPT_TOKENS + _CHUNK_TOKENS + _WRITTEN_TOKENS
    made = Context(model, n_ctx=size, n_seq=1, n_batch=_CHUNK_TOKENS, threads=1, threads_batch=1, flash_attention=flash)
    return contextlib.closing(made)


def file_of(folder: Path, settings: EngineSettings) -> Path:
    """Where a tuning for this machine, this build of llama.cpp and this model is kept, under *folder*."""
    machine = (settings.model_digest, platform.node(), platform.machine(), str(cores()), system_info())
    how = (str(settings.gpu_layers), str(_PROMPT_TOKENS))
    name = hashlib.sha256("\0".join((*machine, *how)).encode()).hexdigest()[:16]
    return folder / f"tuning-{name}.json"


def load(path: Path) -> Tuning | None:
    """What was measured earlier; None if nothing was, or it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Tuning)
    except (OSError, ValueError, msgspec.DecodeError):
        return None


def save(path: Path, tuning: Tuning) -> None:
    """Keep *tuning*.  A disk that does not take it costs a measurement at the next start."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(tuning))
        temporary.replace(path)
