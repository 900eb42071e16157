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
from fimble.cli.models import fit
from fimble.cli.output import console, print_json
from fimble.config import Loaded
from fimble.engine import launch
from fimble.engine.client import EngineClient
from fimble.engine.wire import InfillRequest, Load, Tuning
from fimble.errors import FimbleError, NoProject
from fimble.index.client import IndexClient
from fimble.index.launch import IndexLauncher, settings_for
from fimble.index.wire import Status
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
    yield _index(loaded)
    yield from _model(loaded)
    yield Finding(what="Best model", ok=True, found=fit.hint(loaded.config))


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


def _index(loaded: Loaded) -> Finding:
    if not loaded.config.index.enabled:
        return Finding(what="Index", ok=True, found="switched off (index.enabled)")

    async def ask() -> Status:
        client = IndexClient(IndexLauncher(settings_for(Path.cwd(), loaded.config)))
        try:
            return await client.status()
        finally:
            await client.close()

    try:
        status = asyncio.run(ask())
    except NoProject as failure:
        return Finding(what="Index", ok=True, found=failure.message)
    except FimbleError as failure:
        return Finding(what="Index", ok=False, found=failure.message, fix=failure.fix)
    progress = status.progress
    fix = "Make room or the folder writable; `fimble index rebuild` then reads everything anew."
    found = f"{status.root}: {progress.state}, {progress.files_total:,} files, {status.definitions:,} definitions"
    return Finding(what="Index", ok=progress.state != "failed", found=f"{found} {progress.problem}".strip(), fix=fix)


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
    yield from asyncio.run(_answer(loaded, path))


async def _answer(loaded: Loaded, path: Path) -> list[Finding]:
    client = EngineClient(launch.Launcher(launch.settings_for(path, loaded.config.engine)))
    try:
        await client.ensure()
        request = InfillRequest(input_prefix="def add(a, b):\n", prompt="    return ", n_predict=8)
        timings = [chunk.timings async for chunk in client.infill(request)][-1]
        props = await client.props()
    except FimbleError as failure:
        return [Finding(what="Engine", ok=False, found=failure.message, fix=failure.fix)]
    finally:
        await client.close()
    said = "answers"
    if timings and timings.prompt_n:
        said = f"answers: {timings.predicted_n} tokens in {timings.prompt_ms + timings.predicted_ms:.0f} ms"
    if props.why_no_roll_back:
        said += f"; its cache cannot be cut ({props.why_no_roll_back}), so edits cost more than with other models"
    tuned = [_tuning(props.tuning, props.load)] if props.tuning else []
    return [Finding(what="Engine", ok=True, found=said), *tuned]


def _tuning(tuning: Tuning, load: Load | None) -> Finding:
    flash = {True: "flash attention", False: "no flash attention", None: "llama.cpp's choice of attention"}
    found = f"{_count(tuning.threads)} to write, {tuning.threads_batch} to read, {flash[tuning.flash_attention]}"
    if tuning.measured:
        token_ms = min(m.token_ms for m in tuning.measured if m.threads == tuning.threads)
        found += f"; measured here ({token_ms:.1f} ms a token)"
    else:
        found += "; not measured: the engine does so in its first quiet second, unless engine.threads is set"
    if load and load.busy_cores >= 0.5:
        found += f"; other programs keep {load.busy_cores:.1f} cores busy, so fewer are used now"
    return Finding(what="Tuning", ok=True, found=found)


def _count(threads: int) -> str:
    return f"{threads} thread{'s' if threads != 1 else ''}"
