"""The parts that answer: the index, the model, its engine and how that is tuned."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fimble.cli.doctor.finding import Finding

if TYPE_CHECKING:
    from fimble.config import Loaded
    from fimble.engine.wire import Load, Tuning
    from fimble.index.wire import Status


def index() -> Iterator[Finding]:
    """The index of the folder that this was started in."""
    from fimble import config
    from fimble.errors import NoProject
    from fimble.index.client import IndexClient
    from fimble.index.launch import IndexLauncher, settings_for

    loaded = config.load(project=Path.cwd())
    if not loaded.config.index.enabled:
        yield Finding(what="Index", ok=True, found="switched off (index.enabled)")
        return

    async def ask() -> Status:
        client = IndexClient(IndexLauncher(settings_for(Path.cwd(), loaded.config)))
        try:
            return await client.status()
        finally:
            await client.close()

    try:
        status = asyncio.run(ask())
    except NoProject as failure:
        yield Finding(what="Index", ok=True, found=failure.message)
        return
    progress = status.progress
    fix = "Make room or the folder writable; `fimble index rebuild` then reads everything anew."
    found = f"{status.root}: {progress.state}, {progress.files_total:,} files, {status.definitions:,} definitions"
    failed = progress.state == "failed"
    yield Finding(what="Index", ok=not failed, found=f"{found} {progress.problem}".strip(), fix=fix if failed else "")


def model() -> Iterator[Finding]:
    """Whether the model can be loaded, and whether its engine answers."""
    from fimble import config
    from fimble.cli.output import console
    from fimble.engine import launch
    from fimble.models.choice import choose

    loaded = config.load(project=Path.cwd())
    chosen = choose(loaded.config.model)
    if chosen.failure:
        said = f"{chosen.failure.message} {chosen.name} is used instead."
        yield Finding(what="Model", ok=False, found=said, fix=chosen.failure.fix)
    path = chosen.path
    with console(stderr=True).status(f"Trying {path.name}"):
        probe = launch.probe(path)
    found = f"{path} ({probe.description}, {probe.n_params / 1e6:,.1f} M parameters, {probe.n_ctx_train} tokens)"
    yield Finding(what="Model", ok=True, found=found)
    yield from asyncio.run(_answer(loaded, path))


def best_model() -> Iterator[Finding]:
    """Which model would be the best here, as far as this was measured."""
    from fimble import config
    from fimble.cli.models import fit

    yield Finding(what="Best model", ok=True, found=fit.hint(config.load(project=Path.cwd()).config))


async def _answer(loaded: Loaded, path: Path) -> list[Finding]:
    from fimble.engine import launch
    from fimble.engine.client import EngineClient
    from fimble.engine.wire import InfillRequest
    from fimble.errors import FimbleError

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
    if load and not load.leaves_all_cores:
        found += f"; other programs keep {load.busy_cores:.1f} cores busy, so fewer are used now"
    return Finding(what="Tuning", ok=True, found=found)


def _count(threads: int) -> str:
    return f"{threads} thread{'s' if threads != 1 else ''}"
