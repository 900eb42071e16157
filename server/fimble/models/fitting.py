"""Which model of the catalog is the best for this machine, and why each other one is not.

Predicted from what slices of the models take here; what was measured after a model came corrects the predictions.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from fimble import catalog, ledger, paths
from fimble.catalog import Entry
from fimble.engine.slices import Slice
from fimble.errors import ModelNotFound
from fimble.models import speeds
from fimble.models.machine import Memory, look
from fimble.models.prediction import (
    SLICE_BYTES,
    WRITTEN_TOKENS,
    Cost,
    MemoryUse,
    cost,
    memory_use,
    slice_of,
)
from fimble.models.speeds import Speeds
from fimble.settings import Config

#: A measurement that differs by more than that from its prediction was not of a quiet machine.
_MOST_CORRECTION = 2.0


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a model that is here was measured to do, with a short text."""

    prompt_tokens_s: float
    decode_tokens_s: float
    unix_s: float
    """When."""


class Fit(msgspec.Struct, kw_only=True):
    """A model and this machine."""

    name: str
    size_mb: float
    here: bool
    """Whether its file is on this machine."""
    memory: MemoryUse
    memory_bytes: int
    """All of it together."""
    cost: Cost | None = None
    """None if it was not measured; then *why* says why not."""
    measured: Measured | None = None
    fits: bool = True
    """Whether there is memory for it."""
    in_time: bool = False
    """Whether a keystroke takes no longer than the goal."""
    why: str = ""
    """Why it is not recommended; empty for the one that is."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`fimble models fit`, as JSON too."""

    goal_ms: float
    goal_reason: str
    machine: Memory
    room_bytes: int
    """What an engine may take of RAM, or of the GPUs' memory."""
    busy_cores: float
    """The most that others kept busy while it was measured."""
    recommended: str
    fits: list[Fit]


def goal_of(config: Config) -> tuple[float, str]:
    """How long a keystroke may take, in milliseconds, and why.

    The longest suggestion must be there before the product gives up on it, so a usual one has its share of that
    time.  With the defaults it is 281 ms; between two keys of a person pass 239 on average (Dhakal et al., CHI 2018,
    168,000 people).
    """
    suggest = config.suggest
    share = min(WRITTEN_TOKENS / suggest.max_tokens, 1.0)
    return suggest.deadline_ms * share, (
        f"suggest.deadline_ms ({suggest.deadline_ms} ms) is for the longest suggestion (suggest.max_tokens, "
        f"{suggest.max_tokens}); a usual one has {min(WRITTEN_TOKENS, suggest.max_tokens)} tokens"
    )


def to_measure(entries: Sequence[Entry], found: Memory, known: Speeds) -> list[Slice]:
    """The slices of *entries* that have not been measured yet and that there is memory for."""
    # A slice's file is in memory, and what llama.cpp makes of it is there again.
    most = min(SLICE_BYTES, found.for_model_bytes // 4)
    parts = [part for entry in entries if (part := slice_of(entry, most)) and part.bytes <= found.for_model_bytes // 2]
    return list({key: part for part in parts if (key := speeds.key_of(part)) not in known.timings}.values())


def fit(
    config: Config,
    goal_ms: float | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    names: Sequence[str] = (),
    again: bool = False,
    measure: bool = True,
) -> Report:
    """Measure what is not known yet (everything, with *again*; nothing, without *measure*), and choose among *names*.

    *on_progress* hears how many of how many slices are measured.  Raises EngineCrashed if nothing can be measured,
    ModelNotFound for a name that is not in the catalog.
    """
    known = Speeds() if again else speeds.known()
    entries = _entries(names)
    parts = to_measure(entries, look(known.gpus), known) if measure else []
    if parts:
        found = speeds.measure(parts, lambda done: on_progress(done, len(parts)))
        known = Speeds(timings=known.timings | found.timings, problems=found.problems, gpus=found.gpus or known.gpus)
    given, reason = goal_of(config)
    here = {one.name for one in catalog.listing() if one.path}
    report = decide(entries, known, look(known.gpus), config, goal_ms or given, here, measured())
    return msgspec.structs.replace(report, goal_reason="--goal" if goal_ms else reason)


def decide(
    entries: Sequence[Entry],
    known: Speeds,
    found: Memory,
    config: Config,
    goal_ms: float,
    here: set[str],
    noted: dict[str, Measured],
) -> Report:
    """Choose by what is known of the machine; nothing is measured."""
    fits = [_fit(entry, known, found, config, here, noted) for entry in entries]
    general = _general_correction(fits)
    for one, entry in zip(fits, entries, strict=True):
        _correct(one, entry, known, found, config, general)
        _judge(one, found, goal_ms)
    good = [(entry.shape.n_params, entry.size_mb, one) for one, entry in zip(fits, entries, strict=True) if not one.why]
    best = max(good, key=lambda item: item[:2])[2] if good else None
    for _, _, one in good:
        if best and one is not best:
            one.why = f"{best.name} is larger, and in time too"
    # The bundled model is what everybody has: better late than nothing.
    name = best.name if best else entries[0].name
    return Report(
        goal_ms=goal_ms,
        goal_reason="",
        machine=found,
        room_bytes=_room(found),
        busy_cores=known.busy_cores,
        recommended=name,
        fits=fits,
    )


def _fit(entry: Entry, known: Speeds, found: Memory, config: Config, here: set[str], noted: dict[str, Measured]) -> Fit:
    used = memory_use(entry, config.engine)
    one = Fit(
        name=entry.name,
        size_mb=entry.size_mb,
        here=entry.name in here,
        memory=used,
        memory_bytes=used.total_bytes,
        measured=noted.get(Path(entry.file).name),
    )
    _cost(one, entry, known, found, config, 1.0)
    return one


def _cost(one: Fit, entry: Entry, known: Speeds, found: Memory, config: Config, correction: float) -> None:
    for most in (SLICE_BYTES, found.for_model_bytes // 4):
        part = slice_of(entry, most)
        if part is None:
            one.why = f"it is not known how {entry.file} is quantised"
        elif timings := known.timings.get(speeds.key_of(part)):
            one.cost, one.why = cost(part, timings, config.engine.context_tokens, correction), ""
            return
        elif problem := known.problems.get(speeds.key_of(part)):
            one.why = f"it could not be measured: {problem}"
        else:
            one.why = one.why or "it was not measured"


def _general_correction(fits: Sequence[Fit]) -> float:
    """What the measured models took, as a multiple of what was predicted for them: their median."""
    factors = [_factor(one) for one in fits if one.measured and one.cost]
    return math.exp(statistics.median(map(math.log, factors))) if factors else 1.0


def _factor(one: Fit) -> float:
    assert one.cost
    assert one.measured
    factor = one.cost.decode_tokens_s / one.measured.decode_tokens_s
    return min(max(factor, 1 / _MOST_CORRECTION), _MOST_CORRECTION)


def _correct(one: Fit, entry: Entry, known: Speeds, found: Memory, config: Config, general: float) -> None:
    correction = _factor(one) if one.measured and one.cost else general
    if one.cost and correction != 1.0:
        _cost(one, entry, known, found, config, correction)


def _judge(one: Fit, found: Memory, goal_ms: float) -> None:
    """Say whether it fits and is in time, and else why not."""
    need, room = one.memory_bytes, _room(found)
    where = "the GPU has free" if found.gpus else "this machine can spare"
    one.fits = need <= room
    one.in_time = one.cost is not None and one.cost.keystroke_ms <= goal_ms
    if not one.fits:
        one.why = f"it takes {need / 1e9:.1f} GB, and {where} {room / 1e9:.1f} GB"
    elif one.cost and not one.in_time:
        one.why = f"a keystroke takes {one.cost.keystroke_ms:,.0f} ms, and may take {goal_ms:,.0f}"


def _room(found: Memory) -> int:
    return found.for_model_gpu_bytes if found.gpus else found.for_model_bytes


def _entries(names: Sequence[str]) -> list[Entry]:
    """Those of the catalog with these *names*; all, if there are none."""
    loaded = catalog.load()
    entries = {entry.name: entry for entry in (loaded.bundled, *loaded.model)}
    for name in names:
        if name not in entries:
            raise ModelNotFound(f"The catalog has no model called {name}.", "See `fimble models list`.")
    return [entry for entry in entries.values() if entry.name in names or not names]


def note_measured(path: Path, prompt_tokens_s: float, decode_tokens_s: float) -> None:
    """Keep what the model at *path* was measured to do, in tokens per second of a short text; ``fit`` goes by it.

    Nothing is kept of numbers that cannot be true, or where nothing can be written: it is never worth a failure.
    """
    if not all(math.isfinite(speed) and speed > 0 for speed in (prompt_tokens_s, decode_tokens_s)):
        return
    now = Measured(prompt_tokens_s=prompt_tokens_s, decode_tokens_s=decode_tokens_s, unix_s=time.time())
    ledger.change(_measured_file(), dict[str, Measured], lambda before: {**(before or {}), path.name: now})


def measured() -> dict[str, Measured]:
    """What `note_measured` has kept, by the names of the files."""
    return ledger.read(_measured_file(), dict[str, Measured]) or {}


def _measured_file() -> Path:
    return paths.data_dir() / "measured.json"
