"""``fimble doctor``: what was found, what is wrong, how to fix it."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from fimble import __version__, catalog, config, paths
from fimble.cli.output import console, print_json
from fimble.config import Loaded
from fimble.engine import launch
from fimble.engine.client import EngineClient
from fimble.engine.wire import InfillRequest
from fimble.errors import FimbleError
from fimble.store import Store


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str
    fix: str = ""


def run(as_json: bool) -> int:
    """Print every finding; returns the exit status: 0 if all is well, else 1."""
    findings: list[Finding] = []
    out = console()
    for finding in _findings():
        findings.append(finding)
        if not as_json:
            mark = "[green]ok[/]   " if finding.ok else "[bold red]wrong[/]"
            out.print(f"{mark} [bold]{finding.what}[/]  ", end="")
            out.print(finding.found, markup=False)
            if finding.fix and not finding.ok:
                out.print(f"        Fix: {finding.fix}", markup=False)
    well = all(finding.ok for finding in findings)
    if as_json:
        print_json({"ok": well, "findings": findings})
    else:
        out.print("\nAll is well." if well else "\nSomething is wrong; see the fixes above.")
    return 0 if well else 1


def _findings() -> Iterator[Finding]:
    loaded = config.load(project=Path.cwd())
    yield Finding(
        what="Fimble", ok=True, found=f"{__version__}, Python {platform.python_version()}, {platform.platform()}"
    )
    memory = psutil.virtual_memory()
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count()
    yield Finding(what="Machine", ok=True, found=f"{cores} cores, {memory.total / 2**30:.1f} GiB of memory")
    yield _command()
    yield from _settings(loaded)
    yield _folder("Socket folder", paths.runtime_dir)
    yield _folder("Log folder", paths.log_dir)
    yield _cache(loaded)
    yield from _model(loaded)


def _command() -> Finding:
    found = shutil.which("fimble")
    if found:
        return Finding(what="Command", ok=True, found=found)
    return Finding(
        what="Command",
        ok=False,
        found="`fimble` is not on PATH, so editors do not find it",
        fix="Put the folder of your environment's scripts on PATH, or give editors the full path.",
    )


def _settings(loaded: Loaded) -> Iterator[Finding]:
    file = config.user_file()
    found = f"{file}" if file.exists() else f"defaults ({file} would hold yours)"
    yield Finding(what="Settings", ok=True, found=found)
    for problem in loaded.problems:
        yield Finding(what="Settings", ok=False, found=problem, fix="Correct or remove it.")


def _folder(what: str, find: object) -> Finding:
    try:
        assert callable(find)
        folder = find()
        paths.make_private_dir(folder)
    except FimbleError as failure:
        return Finding(what=what, ok=False, found=failure.message, fix=failure.fix)
    except OSError as error:
        return Finding(what=what, ok=False, found=str(error), fix="Make the folder writable for you.")
    return Finding(what=what, ok=True, found=str(folder))


def _cache(loaded: Loaded) -> Finding:
    if not loaded.config.cache.enabled:
        return Finding(what="Cache", ok=True, found="switched off (cache.enabled)")
    folder = paths.cache_dir() / "suggestions"
    store = Store(folder, loaded.config.cache.max_mb)

    async def try_it() -> str | None:
        probe = f"doctor-{os.getpid()}-{secrets.token_hex(4)}"
        store.put(probe, "works")
        return await store.get(probe)

    works = asyncio.run(try_it()) == "works"
    store.close()
    if works:
        return Finding(what="Cache", ok=True, found=f"{folder}, SQLite {sqlite3.sqlite_version}")
    return Finding(
        what="Cache",
        ok=False,
        found=store.problem or f"{folder} does not keep what is written to it",
        fix="Make the folder writable, or delete it; until then nothing is remembered between sessions.",
    )


def _model(loaded: Loaded) -> Iterator[Finding]:
    try:
        path = catalog.resolve(loaded.config.model)
        with console(stderr=True).status(f"Trying {path.name}"):
            probe = launch.probe(path)
    except FimbleError as failure:
        yield Finding(what="Model", ok=False, found=failure.message, fix=failure.fix)
        return
    found = f"{path} ({probe.description}, {probe.n_params / 1e6:,.1f} M parameters, {probe.n_ctx_train} tokens)"
    yield Finding(what="Model", ok=True, found=found)
    gpu = "GPU" if probe.gpu else "CPU only"
    yield Finding(what="llama.cpp", ok=True, found=f"{gpu}; {probe.system_info}")
    yield asyncio.run(_answer(loaded, path))


async def _answer(loaded: Loaded, path: Path) -> Finding:
    client = EngineClient(launch.Launcher(launch.settings_for(path, loaded.config.engine)))
    try:
        await client.ensure()
        request = InfillRequest(input_prefix="def add(a, b):\n", prompt="    return ", n_predict=8)
        timings = [chunk.timings async for chunk in client.infill(request)][-1]
    except FimbleError as failure:
        return Finding(what="Engine", ok=False, found=failure.message, fix=failure.fix)
    finally:
        await client.close()
    if timings is None or not timings.prompt_n:
        return Finding(what="Engine", ok=True, found="answers")
    took = timings.prompt_ms + timings.predicted_ms
    return Finding(what="Engine", ok=True, found=f"answers: {timings.predicted_n} tokens in {took:.0f} ms")
