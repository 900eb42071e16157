"""What this machine does with slices of models: ``python -m fimble.engine.trial < SLICES_JSON``.

Prints a line of JSON for the machine, then one for each slice when it has been measured.  A process of its own:
llama.cpp may end it, and its memory is given back.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

import msgspec
import psutil

from fimble.engine.llama import Context, Model, can_use_gpu
from fimble.engine.llama.devices import gpus
from fimble.engine.slices import CHUNK_TOKENS, PROMPT_TOKENS, Found, Slice, Timing
from fimble.engine.synthetic import write
from fimble.engine.tuning import candidates, cores
from fimble.errors import FimbleError

#: A decode is timed as often as goes into so many milliseconds, within these limits.  The fastest counts: whatever else
#: the machine does only adds.
_DECODES_MS = 120.0
_FEWEST, _MOST = 3, 9

#: More threads are not tried once they take that much longer than fewer did.
_PAST_THE_BEST = 1.2

#: What attention costs depends on its heads alone, so it is measured in a model that has hardly anything else.
#: It has so many layers that what they cache is as far from the core as a real model's (45 M with two: 15 % too fast).
_ATTENTION_WIDTH, _ATTENTION_CACHE_BYTES = 256, 8_000_000
_FEWEST_LAYERS, _MOST_LAYERS = 2, 16

_ROOM_TOKENS = PROMPT_TOKENS + 2 * CHUNK_TOKENS


def main() -> int:
    """Measure the slices of standard input."""
    _say(Found(gpus=gpus()))
    for part in msgspec.json.decode(sys.stdin.buffer.read(), type=list[Slice]):
        began, others_s = perf_counter(), _others_seconds()
        try:
            timings = measure(part)
            busy_cores = (_others_seconds() - others_s) / (perf_counter() - began)
            _say(Found(timings=timings, busy_cores=max(busy_cores, 0.0)))
        except (FimbleError, OSError) as failure:
            _say(Found(problem=str(failure)))
    return 0


def _others_seconds() -> float:
    """Seconds of CPU that other processes have used since the machine started."""
    everybody, own = psutil.cpu_times(), psutil.Process().cpu_times()
    nice = getattr(everybody, "nice", 0.0)  # they give way, but not what is in the caches
    return float(everybody.user + everybody.system + nice - own.user - own.system)


def measure(part: Slice) -> list[Timing]:
    """One timing for each number of threads that is worth trying.

    Raises OSError if there is no room for its file, ModelTooLarge for its memory.
    """
    tries = [1] if can_use_gpu() else candidates(cores())
    with _loaded(part) as model:
        short = _short(model, tries)
    long = _attention(_attention_of(part), tuple(short))
    return [
        Timing(
            threads=threads,
            token_ms=times[0],
            pair_ms=times[1],
            attention_ms=long[threads][0],
            chunk_ms=times[2],
            chunk_attention_ms=long[threads][1],
        )
        for threads, times in short.items()
    ]


def _short(model: Model, tries: Sequence[int]) -> dict[int, tuple[float, float, float]]:
    """The times of a token, a pair and (on all cores) a chunk at the beginning of a text."""
    found: dict[int, tuple[float, float, float]] = {}
    vocabulary = model.vocab.size
    with contextlib.closing(_context(model, flash=True)) as context:
        for threads in tries:
            context.set_threads(threads, threads, apart=True)
            token_ms = _fastest_ms(context, 1, vocabulary)
            if found and token_ms > _PAST_THE_BEST * min(times[0] for times in found.values()):
                threads = tries[-1]  # a chunk is measured on all of them, whatever a token says
                context.set_threads(threads, threads, apart=True)
                token_ms = _fastest_ms(context, 1, vocabulary)
            pair_ms = _fastest_ms(context, 2, vocabulary)
            chunk_ms = _fastest_ms(context, CHUNK_TOKENS, vocabulary) if threads == tries[-1] else 0.0
            found[threads] = token_ms, pair_ms, chunk_ms
            if threads == tries[-1]:
                break
    return found


@functools.cache
def _attention(part: Slice, tries: Sequence[int]) -> dict[int, tuple[float, float]]:
    """What a token and (on all cores) a chunk take more in one layer after a prompt, by threads.

    Models whose heads are alike share that.
    """
    found: dict[int, tuple[float, float]] = {}
    with _loaded(part) as model:
        for flash, threads, more in _attention_times(model, part.n_layer, tries):
            # The engine takes the kind of attention that it finds faster.
            found[threads] = min(found[threads], more) if not flash else more
    return found


def _attention_times(
    model: Model, layers: int, tries: Sequence[int]
) -> Iterator[tuple[bool, int, tuple[float, float]]]:
    vocabulary = model.vocab.size
    for flash in (True, False):
        with contextlib.closing(_context(model, flash)) as context:
            before = {threads: _token_and_chunk(context, vocabulary, threads, tries) for threads in tries}
            for start in range(0, PROMPT_TOKENS, CHUNK_TOKENS):
                context.decode(_tokens(CHUNK_TOKENS, vocabulary, start), 0, start)
            for threads in tries:
                token_ms, chunk_ms = _token_and_chunk(context, vocabulary, threads, tries)
                more = token_ms - before[threads][0], chunk_ms - before[threads][1]
                yield flash, threads, (max(more[0], 0) / layers, max(more[1], 0) / layers)


def _token_and_chunk(context: Context, vocabulary: int, threads: int, tries: Sequence[int]) -> tuple[float, float]:
    context.set_threads(threads, threads, apart=True)
    chunk_ms = _fastest_ms(context, CHUNK_TOKENS, vocabulary) if threads == tries[-1] else 0.0
    return _fastest_ms(context, 1, vocabulary), chunk_ms


def _fastest_ms(context: Context, count: int, vocabulary: int) -> float:
    """The shortest time in which *count* more tokens are evaluated; afterwards they are forgotten."""
    start, times = context.length(0), list[float]()
    while len(times) < _FEWEST or (len(times) < _MOST and sum(times) < _DECODES_MS):
        tokens = _tokens(count, vocabulary, len(times) * count)
        began = perf_counter()
        context.decode(tokens, 0, start)
        context.logits()  # waits for a GPU
        times.append((perf_counter() - began) * 1000)
        if not (start and context.truncate(0, start)):
            context.clear(0)
    return round(min(times), 4)


def _tokens(count: int, vocabulary: int, number: int) -> list[int]:
    """Different ones each time: they choose the experts of a mixture."""
    return [(7919 * (number + n)) % vocabulary for n in range(1, count + 1)]


def _context(model: Model, flash: bool) -> Context:
    return Context(
        model, n_ctx=_ROOM_TOKENS, n_seq=1, n_batch=CHUNK_TOKENS, threads=1, threads_batch=1, flash_attention=flash
    )


def _attention_of(part: Slice) -> Slice:
    each_bytes = 2 * 2 * part.n_head_kv * part.head_dim * PROMPT_TOKENS
    layers = min(max(_FEWEST_LAYERS, -(-_ATTENTION_CACHE_BYTES // each_bytes)), _MOST_LAYERS)
    return Slice(
        mixture="Q8_0",
        of_layers=layers,
        n_layer=layers,
        n_embd=_ATTENTION_WIDTH,
        n_ff=_ATTENTION_WIDTH,
        n_head=part.n_head,
        n_head_kv=part.n_head_kv,
        head_dim=part.head_dim,
        n_vocab=_ATTENTION_WIDTH,
    )


@contextlib.contextmanager
def _loaded(part: Slice) -> Iterator[Model]:
    with tempfile.TemporaryDirectory(prefix="fimble-trial-") as folder:
        path = Path(folder) / "slice.gguf"
        write(path, part, _ROOM_TOKENS)
        model = Model(path)
        try:
            yield model
        finally:
            model.close()


def _say(found: Found) -> None:
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
