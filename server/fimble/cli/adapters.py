"""``fimble adapters``: LoRA adapters, and which one a repository uses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="LoRA adapters: small additions to a model, for one repository each.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_Folder = Annotated[Path, typer.Option("--folder", help="A folder of the repository; default: this one.")]
_HERE = Path()


@app.command(name="list")
def list_adapters(folder: _Folder = _HERE, json: _Json = False) -> None:
    """List the adapters, and show which one the repository here uses."""
    from rich.table import Table

    from fimble.cli.output import console, failures, print_json
    from fimble.models import adapters

    with failures():
        found, chosen = adapters.listing(), adapters.chosen(folder)
    if json:
        print_json({"workspace": adapters.workspace_of(folder), "chosen": chosen, "adapters": found})
        return
    if not found:
        console().print("There are none.  `fimble personalise` makes one; `fimble adapters add FILE` brings one.")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("", "Name", "What", "Where"):
        table.add_column(title, overflow="fold")
    for one in found:
        table.add_row("*" if one.name == chosen else "", one.name, one.note, one.path)
    console().print(table)
    console().print(f"\n* in use in {adapters.workspace_of(folder)}.", markup=False)


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="A LoRA adapter as GGUF. It stays where it is.")],
    name: Annotated[str, typer.Option(help="What to call it; default: the file's name.")] = "",
    model: Annotated[str, typer.Option(help="Try it on this model; default: the one in use.")] = "",
    scale: Annotated[float, typer.Option(help="How much of it is added to the weights.")] = 1.0,
    json: _Json = False,
) -> None:
    """Make an adapter known, after trying it on your model."""
    from fimble import catalog, config
    from fimble.cli.output import console, failures, print_json
    from fimble.models import adapters

    with failures():
        base = catalog.resolve(model or config.load().config.model)
        with console(stderr=True).status(f"Trying {file.name} on {base.name}"):
            added = adapters.add(file, base, name, scale)
    if json:
        print_json(added)
    else:
        console().print(f"{added.name} works with {base.name}.", markup=False)
        console().print(f"`fimble adapters use {added.name}` in a repository chooses it there.", markup=False)


@app.command()
def use(
    name: Annotated[str, typer.Argument(help="A name from `fimble adapters list`, or none.")],
    folder: _Folder = _HERE,
    json: _Json = False,
) -> None:
    """Use an adapter in this repository from now on, or `none`."""
    from fimble.cli.output import console, failures, print_json
    from fimble.models import adapters

    with failures():
        adapters.use(name, folder)
    workspace = adapters.workspace_of(folder)
    if json:
        print_json({"workspace": workspace, "chosen": adapters.chosen(folder)})
    else:
        what = "the model as it is" if name == adapters.NONE else name
        console().print(f"{workspace} uses {what}.  Windows that are open do after they are restarted.", markup=False)


@app.command()
def rm(name: Annotated[str, typer.Argument(help="A name from `fimble adapters list`.")], json: _Json = False) -> None:
    """Forget an adapter.  Its file goes only if Fimble made it."""
    from fimble.cli.output import console, failures, print_json
    from fimble.models import adapters

    with failures():
        removed = adapters.remove(name)
    if json:
        print_json(removed)
    else:
        console().print(f"Forgotten: {name}.", markup=False)
