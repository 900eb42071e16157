"""``fimble index``: what is known of a repository's files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fimble.index.client import IndexClient
    from fimble.index.launch import IndexLauncher
    from fimble.index.wire import Status

app = typer.Typer(help="What is known of a repository's files, shared by its windows.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_Folder = Annotated[Path, typer.Argument(help="A folder of the repository.", exists=True, file_okay=False)]

_HERE = Path()
_POLL_S = 0.1
_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


@app.command()
def status(folder: _Folder = _HERE, json: _Json = False) -> None:
    """Show what the index of a repository knows and what it left out.  Starts it where there is none."""
    from fimble.cli.output import console, failures, print_json

    with failures():
        found = asyncio.run(_status(folder))
    if json:
        print_json(found)
    else:
        console().print(_describe(found), markup=False)


@app.command()
def rebuild(folder: _Folder = _HERE, json: _Json = False) -> None:
    """Read every file of a repository anew, and wait until that is done."""
    from fimble.cli.output import console, failures, print_json

    with failures():
        found = asyncio.run(_rebuild(folder, show=not json))
    if json:
        print_json(found)
    else:
        console().print(_describe(found), markup=False)
    if found.progress.state == "failed":
        raise typer.Exit(1)


@app.command()
def stop(json: _Json = False) -> None:
    """Stop every index of yours.  Windows that need one start it again, with what it knew."""
    from fimble import paths
    from fimble.cli.output import console, failures, print_json
    from fimble.index import endpoint, launch

    with failures():
        stopped = [launch.stop(path) for path in endpoint.sockets(paths.runtime_dir())]
    if json:
        print_json({"running": len(stopped), "stopped": sum(stopped)})
    else:
        console().print(f"Stopped {sum(stopped)} of {len(stopped)}." if stopped else "No index was running.")
    if not all(stopped):
        raise typer.Exit(1)


def launcher_for(folder: Path) -> IndexLauncher:
    """The launcher of the index that a window on *folder* would use.  Raises FimbleError."""
    from fimble import config
    from fimble.index.launch import IndexLauncher, settings_for

    return IndexLauncher(settings_for(folder, config.load(project=folder.resolve()).config))


async def _status(folder: Path) -> Status:
    from fimble.index.client import IndexClient

    client = IndexClient(launcher_for(folder))
    try:
        return await client.status()
    finally:
        await client.close()


async def _rebuild(folder: Path, *, show: bool) -> Status:
    from fimble.index.client import IndexClient

    client = IndexClient(launcher_for(folder))
    try:
        await client.rebuild()
        return await _watch(client, show=show)
    finally:
        await client.close()


async def _watch(client: IndexClient, *, show: bool) -> Status:
    """Show how far it is until it is ready."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from fimble.cli.output import console

    columns: Any = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True, disable=not show) as progress:
        task = progress.add_task("Reading files", total=None)
        while True:
            found = await client.status()
            if found.progress.state in ("ready", "failed"):
                return found
            progress.update(task, total=found.progress.files_total or None, completed=found.progress.files_done)
            await asyncio.sleep(_POLL_S)


def _describe(found: Status) -> str:
    progress = found.progress
    lines = [
        f"{found.root}: {progress.state}, process {found.pid}",
        f"  {progress.files_done:,} of {progress.files_total:,} files, {found.definitions:,} definitions, "
        f"{_size(found.database_bytes)} on disk, {_size(found.memory_bytes)} of memory",
    ]
    if progress.problem:
        lines.append(f"  {progress.problem}")
    for reason, count in sorted(progress.skipped.items(), key=lambda item: -item[1]):
        lines.append(f"  left out: {count:,} ({reason})")
    return "\n".join(lines)


def _size(count: int) -> str:
    return next((f"{count / unit:.1f} {name}" for name, unit in _UNITS if count >= unit), f"{count} bytes")
