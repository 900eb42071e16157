"""What this machine does with slices of models: measured once, in a process of its own, and kept."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from fimble import ledger, paths
from fimble.engine import launch
from fimble.engine.slices import Found, Gpu, Slice, Timing
from fimble.errors import EngineCrashed

#: A slice of some hundred megabytes takes one to three seconds; one that takes so long is on a disk that hangs.
_TIMEOUT_S = 120.0


class Speeds(msgspec.Struct, kw_only=True):
    """By `key_of` a slice: its timings, or why there are none."""

    timings: dict[str, list[Timing]] = {}
    problems: dict[str, str] = {}
    gpus: list[Gpu] = []
    busy_cores: float = 0.0
    """The most that others kept busy while something was measured."""


def key_of(part: Slice) -> str:
    """16 hex digits that stand for a slice."""
    return hashlib.sha256(msgspec.json.encode(part)).hexdigest()[:16]


def known() -> Speeds:
    """What was measured on this machine with this build of llama.cpp."""
    return (ledger.read(_file(), dict[str, Speeds]) or {}).get(_machine(), Speeds())


def measure(parts: Sequence[Slice], on_progress: Callable[[int], None] = lambda _done: None) -> Speeds:
    """Measure *parts*, and keep that; *on_progress* hears how many are done.

    A slice that ends llama.cpp costs itself only.  Raises EngineCrashed if nothing can be measured at all.
    """
    found, left = Speeds(), list(parts)
    while left:
        before = len(left)
        for trial in _trials(left):
            found.gpus = trial.gpus or found.gpus
            if trial.timings or trial.problem:
                _note(found, left.pop(0), trial)
                on_progress(len(parts) - len(left))
        if left and len(left) < before:
            continue
        if left:
            _note(found, left.pop(0), Found(problem="llama.cpp ended while it was measured"))
            on_progress(len(parts) - len(left))
    if parts and not found.timings:
        raise EngineCrashed(
            f"Nothing could be measured: {next(iter(found.problems.values()))}.",
            "Run `fimble doctor` to find out why.",
        )
    ledger.change(_file(), dict[str, Speeds], lambda before: {_machine(): _merged(found, before)})
    return found


def _merged(found: Speeds, before: Mapping[str, Speeds] | None) -> Speeds:
    """What was measured on another machine or with another build of llama.cpp goes."""
    older = (before or {}).get(_machine(), Speeds())
    return Speeds(
        timings=older.timings | found.timings,
        gpus=found.gpus,
        busy_cores=max(older.busy_cores, found.busy_cores)
        if older.timings.keys() - found.timings
        else found.busy_cores,
    )


def _note(found: Speeds, part: Slice, trial: Found) -> None:
    found.busy_cores = max(found.busy_cores, trial.busy_cores)
    if trial.timings:
        found.timings[key_of(part)] = trial.timings
    else:
        found.problems[key_of(part)] = trial.problem


def _trials(parts: Sequence[Slice]) -> Iterator[Found]:
    """What the process says, line by line, until it ends."""
    with tempfile.TemporaryDirectory(prefix="fimble-trial-", ignore_cleanup_errors=True) as folder:
        # Its files are some hundred megabytes, and it may be killed.
        yield from _said(parts, {**launch.environment(), "TMPDIR": folder})


def _said(parts: Sequence[Slice], environment: Mapping[str, str]) -> Iterator[Found]:
    command = (sys.executable, "-P", "-m", "fimble.engine.trial")
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    timer = threading.Timer(_TIMEOUT_S * len(parts), child.kill)
    timer.start()
    assert child.stdin
    assert child.stdout
    try:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(msgspec.json.encode(parts))
            child.stdin.close()
        for line in child.stdout:
            with contextlib.suppress(ValueError, msgspec.DecodeError):
                yield msgspec.json.decode(line, type=Found)
    finally:
        timer.cancel()
        child.kill()
        child.wait()
        child.stdout.close()


def _machine() -> str:
    """16 hex digits for all that speed depends on: the machine, its processors, llama.cpp and how it was built."""
    package = importlib.metadata.distribution("llama-cpp-python")
    built = 0.0
    with contextlib.suppress(OSError):  # the same version is built again with other settings, for a GPU say
        built = os.stat(str(package.locate_file("llama_cpp/llama_cpp.py"))).st_mtime  # noqa: PTH116
    parts = (platform.node(), platform.machine(), psutil.cpu_count(), psutil.cpu_count(logical=False))
    return hashlib.sha256(repr((*parts, package.version, built)).encode()).hexdigest()[:16]


def _file() -> Path:
    return paths.cache_dir() / "speeds.json"
