"""``fimble models``: which models there are, and which one is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fimble.cli.models import choosing

app = typer.Typer(help="The models: list them, choose one, bring your own.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command(name="list")
def list_models(json: _Json = False) -> None:
    """List the bundled model, the imported ones, and those that can be downloaded."""
    from rich.table import Table

    from fimble import catalog, config
    from fimble.cli.output import console, failures, print_json

    with failures():
        listed = catalog.listing()
        chosen = config.load().config.model or listed[0].name
    if json:
        print_json({"chosen": chosen, "models": listed})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("", "Name", "Size", "For", "Licence", "Where"):
        table.add_column(title, overflow="fold")
    for one in listed:
        where = "on this machine" if one.path else one.repository or one.note
        size = f"{one.size_mb:,.0f} MB" if one.size_mb else ""
        memory = f"{one.memory_gb:g} GB" if one.memory_gb else ""
        table.add_row("*" if one.name == chosen else "", one.name, size, memory, one.licence, where)
    console().print(table)
    console().print(
        "\n* in use.  `fimble models use NAME` chooses; `fimble models import FILE` brings a GGUF of yours."
    )


@app.command(name="import")
def import_model(
    path: Annotated[Path, typer.Argument(help="A GGUF file. It stays where it is.")],
    name: Annotated[str, typer.Option(help="What to call it; default: the file's name.")] = "",
    json: _Json = False,
) -> None:
    """Make a GGUF file of yours known, after checking that it can complete code."""
    from fimble import catalog
    from fimble.cli.output import console, failures, print_json
    from fimble.engine.launch import probe

    with failures():
        with console(stderr=True).status(f"Trying {path.name}"):
            found = probe(path)
        named = catalog.add_import(path, name)
    if json:
        print_json({"name": named, "probe": found})
        return
    console().print(f"{named}: {found.description}, licence: {found.licence or 'not stated'}.", markup=False)
    console().print(f"Choose it with `fimble models use {named}`.", markup=False)


app.command()(choosing.use)
app.command()(choosing.rollback)
