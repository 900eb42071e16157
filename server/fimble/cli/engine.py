"""``fimble engine``: look at engines, start and stop them by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fimble.engine.endpoint import Endpoint

app = typer.Typer(help="The process that runs the model, shared by all windows.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def start(
    model: Annotated[str, typer.Option(help="Use this model, whatever the settings say.")] = "", json: _Json = False
) -> None:
    """Start the engine that windows with your settings will use.  They start it by themselves, too."""
    from fimble.cli.output import console, failures, print_json

    with failures():
        status = asyncio.run(_start(model, show=not json))
    if json:
        print_json(status)
    else:
        console().print(f"The engine runs (process {status['pid']}): {status['model_path']}")


@app.command()
def status(json: _Json = False) -> None:
    """Show the engines that are running, and what they have done."""
    from fimble.cli.output import console, failures, print_json

    with failures():
        found = asyncio.run(_status())
    if json:
        print_json(found)
        return
    if not found:
        console().print("No engine is running. One starts with the first window, or with `fimble engine start`.")
    for engine in found:
        console().print(_describe(engine))


@app.command()
def stop(json: _Json = False) -> None:
    """Stop every engine of yours.  Windows that need one start it again."""
    from fimble import paths
    from fimble.cli.output import console, failures, print_json
    from fimble.engine import launch

    with failures():
        engines = launch.running_engines(paths.runtime_dir())
        stopped = [
            {"pid": found.pid, "model_path": found.model_path, "stopped": launch.stop(found)} for found in engines
        ]
    if json:
        print_json(stopped)
    else:
        count = sum(bool(one["stopped"]) for one in stopped)
        console().print("No engine was running." if not stopped else f"Stopped {count} of {len(stopped)}.")
    if not all(one["stopped"] for one in stopped):
        raise typer.Exit(1)


async def _start(model: str, *, show: bool) -> dict[str, Any]:
    from rich.progress import BarColumn, Progress, TextColumn

    from fimble import config
    from fimble.cli.models.chosen import chosen
    from fimble.cli.output import console, note
    from fimble.engine.client import EngineClient
    from fimble.engine.launch import Launcher, settings_for
    from fimble.models import adapters

    settings = config.load(flags={"model": model} if model else None).config
    path = chosen(settings.model).path
    launcher = Launcher(settings_for(path, settings.engine, adapters.for_window(Path.cwd(), path, note)))
    columns = (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=console(stderr=True), transient=True, disable=not show) as progress:
        task = progress.add_task("Loading the model", total=1.0)
        client = EngineClient(launcher, lambda share: progress.update(task, completed=share))
        try:
            await client.ensure()
            return _as_dict(await client.props())
        finally:
            await client.close()


async def _status() -> list[dict[str, Any]]:
    from fimble import paths
    from fimble.engine import launch

    return [await _props_of(found) for found in launch.running_engines(paths.runtime_dir())]


async def _props_of(found: Endpoint) -> dict[str, Any]:
    from fimble.engine.client import ask_props
    from fimble.errors import EngineError

    try:
        return {"state": "running", **_as_dict(await ask_props(found))}
    except EngineError as failure:
        return {"state": "not answering", "pid": found.pid, "model_path": found.model_path, "problem": str(failure)}


def _as_dict(props: Any) -> dict[str, Any]:
    import msgspec

    values: dict[str, Any] = msgspec.to_builtins(props)
    return values


def _describe(engine: dict[str, Any]) -> str:
    head = f"process {engine['pid']}: {engine['model_path']} ({engine['state']})"
    counters = engine.get("counters")
    if not counters:
        return head
    return (
        f"{head}\n  {engine['model_description']}, context of {engine['n_ctx']} tokens\n"
        f"  {counters['requests']} requests, {counters['cancelled']} cancelled; "
        f"prompt tokens: {counters['prompt_tokens_evaluated']} evaluated, {counters['prompt_tokens_reused']} reused; "
        f"{counters['tokens_predicted']} tokens written"
    )
