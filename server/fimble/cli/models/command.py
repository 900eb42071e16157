"""``fimble models``: which models there are, whether they are what they were, and which one is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fimble.cli.models import choosing, pulling, quantize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fimble.catalog import Listed
    from fimble.models.history import Aside
    from fimble.models.memory import Room

app = typer.Typer(help="The models: list them, get them, choose one, bring your own.", no_args_is_help=True)
app.command()(quantize.quantize)

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command(name="list")
def list_models(json: _Json = False) -> None:
    """List the bundled model, those that were pulled or imported, and those that can be."""
    import msgspec

    from fimble import catalog, config
    from fimble.cli.output import failures, print_json
    from fimble.models import history
    from fimble.models.memory import rooms as rooms_of

    with failures():
        listed = catalog.listing()
        settings = config.load().config
        chosen = settings.model or listed[0].name
        room_of = rooms_of(settings)
        rooms = [room_of(one.name, one.size_mb) for one in listed]
    aside = history.put_aside()
    if json:
        both = zip(listed, rooms, strict=True)
        ill = {path: each.message for path, each in aside.items()}
        models = [
            {**msgspec.structs.asdict(one), **msgspec.structs.asdict(room), "put_aside": ill.get(one.path, "")}
            for one, room in both
        ]
        print_json({"chosen": chosen, "models": models, "put_aside": aside})
    else:
        _show(listed, rooms, chosen, aside)


def _show(listed: list[Listed], rooms: list[Room], chosen: str, aside: Mapping[str, Aside]) -> None:
    from rich.table import Table

    from fimble.cli.output import console

    table = Table(box=None, pad_edge=False)
    for title in ("", "Name", "Size", "Fits", "Licence", "Where"):
        table.add_column(title, overflow="fold")
    for one, room in zip(listed, rooms, strict=True):
        where = f"here, {one.kind}" if one.path else one.repository or one.note
        where += ", put aside" if one.path in aside else ""
        fits = f"{'yes' if room.fits else 'no'}: {room.why}"
        size = f"{one.size_mb:,.0f} MB" if one.size_mb else ""
        table.add_row(
            "*" if chosen in (one.name, one.path) else "", one.name, size, fits, one.licence or "not stated", where
        )
    console().print(table)
    for each in aside.values():
        console().print(f"\nPut aside: {each.setting}. {each.message} {each.fix}", markup=False)
    if not any(chosen in (one.name, one.path) for one in listed):
        console().print(f"\nIn use: {chosen}", markup=False)
    console().print("\n* in use.  `fimble models pull NAME` gets one from the hub, `fimble models use NAME` chooses,")
    console().print("`fimble models import FILE` brings a GGUF of yours.")


@app.command(name="import")
def import_model(
    path: Annotated[Path, typer.Argument(help="A GGUF file. It stays where it is.")],
    name: Annotated[str, typer.Option(help="What to call it; default: the file's name.")] = "",
    json: _Json = False,
) -> None:
    """Make a GGUF file of yours known, after checking that it can complete code."""
    from fimble.cli.models.progress import Waiting
    from fimble.cli.output import console, failures, print_json
    from fimble.models.importing import bring

    with failures(), Waiting(quiet=json) as waiting:
        brought = bring(path, name, waiting.trying, waiting.checked)
    if json:
        print_json(brought)
        return
    probe = brought.probe
    console().print(
        f"{brought.name}: {probe.description}, family {probe.family or 'unknown'}, "
        f"licence {probe.licence or 'not stated'}.",
        markup=False,
    )
    for warning in brought.warnings:
        console().print(f"Note: {warning}", markup=False)
    console().print(f"Choose it with `fimble models use {brought.name}`.", markup=False)


@app.command()
def verify(
    name: Annotated[str, typer.Argument(help="Which one; none: all that are on this machine.")] = "",
    json: _Json = False,
) -> None:
    """Read whole models and compare their SHA-256 with what was recorded when they came.  Status 1 if one differs."""
    from fimble.cli.models.progress import Waiting
    from fimble.cli.output import console, failures, print_json
    from fimble.models import checksums

    with failures(), Waiting(quiet=json) as waiting:
        found = [checksums.verify(one, waiting.checked_of(one)) for one in ([name] if name else checksums.names())]
    if json:
        print_json(found)
    for one in () if json else found:
        if one.ok:
            console().print(f"{one.name}: right{f' ({one.note})' if one.note else ''}", markup=False)
        else:
            console().print(f"{one.name}: wrong. {one.problem}\n  Fix: {one.fix}", markup=False)
    if not all(one.ok for one in found):
        raise typer.Exit(1)


app.command()(pulling.pull)
app.command(name="rm")(pulling.remove)
app.command()(choosing.use)
app.command()(choosing.rollback)


@app.command()
def fit(
    names: Annotated[list[str] | None, typer.Argument(help="Only these of the catalog.")] = None,
    goal: Annotated[
        float, typer.Option(min=0, metavar="MS", help="How long a keystroke may take; 0: by settings.")
    ] = 0,
    explain: Annotated[bool, typer.Option("--explain", help="Show the arithmetic.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what was measured earlier.")] = False,
    json: _Json = False,
) -> None:
    """Measure this machine, predict what each model costs on it, and recommend one.  Downloads nothing."""
    from fimble.cli.models.fit import run
    from fimble.cli.output import failures

    with failures():
        run(names or [], goal, explain=explain, again=again, as_json=json)
