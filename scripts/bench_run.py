"""The benchmark itself, run by the environment's Python: see bench.py, which is the command."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
from rich.console import Console

import bench_context
import bench_engine
import bench_load
from bench import parse
from bench_build import BuildFailed, build_server
from bench_engine import Setup
from bench_engines import BenchFailed, Engine, cores
from bench_fit import fit
from bench_keys import Wanted, keys
from bench_models import MODELS, ModelsFailed, make_models
from bench_paced import paced
from bench_stats import Figures, table
from bench_trace import strokes, trace_name, traces
from bench_typing import lock_step, players
from fimble import catalog
from fimble.errors import FimbleError
from fimble.settings import Config
from fimble.suggest.gate import Gate
from private_home import end_orderly_on_signals, private_home
from typists import SessionFailed, Typist

_FOLDERS = ("CONFIG_HOME", "CACHE_HOME", "STATE_HOME", "DATA_HOME")

#: Of tables that go into a file, in columns.
_WIDTH = 120

#: What is measured on one engine that all of them share; the others start their own.
_ON_ONE: dict[str, Callable[[Setup, Engine], Awaitable[Figures]]] = {
    "decode": bench_engine.decode,
    "overhead": bench_engine.overhead,
    "cancel": bench_load.cancel,
    "busy": bench_load.busy,
}

Hear = Callable[[str, Figures], None]


async def measure_engine(options: Namespace, setup: Setup, hear: Hear) -> None:
    """Every part that was asked for; *hear* gets each when it is done."""
    engine = setup.engine("engine")
    await engine.start()
    try:
        for name in options.parts:
            if name in _ON_ONE:
                hear(name, await _ON_ONE[name](setup, engine))
    finally:
        await engine.stop()
    for name, part in {"windows": bench_load.windows, "threads": bench_engine.threads}.items():
        if name in options.parts:
            hear(name, await part(setup))


async def measure_typing(options: Namespace, setup: Setup, hear: Hear) -> None:
    """Every trace, each with new processes."""
    program = Path(options.llama_server) if options.llama_server else None
    for path in traces(Path(options.traces), options.trace):
        keys, silent = strokes(path, options.keys, Gate(Config()))
        async with players(setup, program) as everybody:
            figures = await (paced if options.paced else lock_step)(everybody, keys, setup)
        clock = "at a person's pace" if options.paced else "lock-step, 150 ms of idle after each key"
        figures["facts"] |= {"keys": len(keys), "keys_kept_silent": silent}
        hear(trace_name(path), {"title": f"Typing {trace_name(path)}, {clock}", **figures})


async def measure_context(options: Namespace, setup: Setup, hear: Hear) -> None:
    """Every trace, typed in a file of the repository, which is read once."""
    repository = Path(options.repository)
    for number, path in enumerate(traces(Path(options.traces), options.trace)):
        keys, _ = strokes(path, options.keys, Gate(Config()))
        keys = bench_context.located(keys, repository)
        if not number:
            hear("reading", await bench_context.reading(repository, keys))
        hear(trace_name(path), await bench_context.typing(setup, repository, keys))


async def measure_keys(options: Namespace, model: Path, home: Path, environ: dict[str, str], hear: Hear) -> None:
    """Every trace, each setting with a new window."""
    typing = [Typist(name) for name in options.typists]
    wanted = Wanted(model, options.start, options.changes, options.eagerness, options.sources, typing, options.idle_ms)
    for path in traces(Path(options.traces), options.trace):
        hear(trace_name(path), await keys(path, wanted, home, environ))


async def measure(options: Namespace, hear: Hear) -> Figures:
    """All that the command asks for, in a home of its own; returns what the machine and the model are."""
    end_orderly_on_signals()
    model = catalog.resolve("" if options.command == "fit" else options.model).resolve()
    with private_home(_FOLDERS) as (home, environ):
        for name in [name for name in os.environ if name.startswith("FIMBLE_")]:
            del os.environ[name]
        os.environ.update(environ)
        if options.command == "keys":
            await measure_keys(options, model, home, environ, hear)
            return _about(options, model)
        if options.command == "fit":
            for name in [name for name, _, _ in MODELS if options.only in ("", name)]:
                hear(name, await fit(name, Path(options.folder), home))
            return _about(options, Path(options.folder))
        setup = Setup(model, home, options.keys, options.n_predict, options.prompt_tokens, options.threads)
        measured = {"engine": measure_engine, "typing": measure_typing, "context": measure_context}
        await measured[options.command](options, setup, hear)
    return _about(options, model)


def _about(options: Namespace, model: Path) -> Figures:
    return {
        "command": options.command,
        "model": str(model),
        "cores": cores(),
        "machine": platform.platform(),
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
        "ended": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _measure(options: Namespace) -> None:
    console = Console(stderr=options.json, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    parts: Figures = {}

    def hear(name: str, figures: Figures) -> None:
        parts[name] = figures
        console.print(table(figures["title"], figures["rows"]))
        for fact, value in figures["facts"].items():
            console.print(f"  {fact}: {value}", soft_wrap=True)
        console.print()

    about = asyncio.run(measure(options, hear))
    if options.json:
        print(json.dumps({**about, "parts": parts}, indent=1))
    else:
        console.print(f"{about['model']}, {about['cores']} cores, load average {about['load_average']}", soft_wrap=True)


def main(arguments: list[str]) -> int:
    """Run the benchmark; returns the exit status."""
    options = parse(arguments)
    try:
        if options.command == "models":
            make_models(Path(options.folder), print)
        elif options.command == "llama-server":
            build_server(Path(options.folder), options.jobs, print)
        else:
            _measure(options)
    except (BenchFailed, SessionFailed, BuildFailed, ModelsFailed, FimbleError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("Stopped. Nothing was left running.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
