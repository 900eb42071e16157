"""Every command of ``fimble``.  Each imports what it needs when it runs: ``fimble lsp`` must start fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fimble import __version__
from fimble.cli import adapters, engine, index
from fimble.cli.models import command as models
from fimble.cli.models.personalise import personalise

app = typer.Typer(
    name="fimble",
    help="Code completion in any editor, from a quantised model on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(adapters.app, name="adapters")
app.add_typer(engine.app, name="engine")
app.add_typer(index.app, name="index")
app.add_typer(models.app, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fimble {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Code completion in any editor, from a quantised model on your own machine."""


@app.command()
def lsp(
    tcp: Annotated[int, typer.Option(help="Listen on this loopback port instead of stdin and stdout.")] = 0,
    model: Annotated[str, typer.Option(help="Use this model, whatever the settings say.")] = "",
    stdio: Annotated[bool, typer.Option("--stdio", hidden=True)] = False,  # noqa: ARG001  (what editors pass by habit)
) -> None:
    """The language server, as editors start it: speaks LSP on stdin and stdout."""
    from fimble.lsp.run import run_stdio, run_tcp

    flags = {"model": model} if model else None
    if tcp:
        run_tcp(tcp, flags)
    else:
        run_stdio(flags)


@app.command()
def complete(
    place: Annotated[str, typer.Argument(metavar="FILE:LINE:COLUMN", help="Where; both count from 1.")],
    model: Annotated[str, typer.Option(help="Use this model, whatever the settings say.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print everything that is known, as JSON.")] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Show what the model is told, from where and why, and what speaks for an answer."
        ),
    ] = False,
) -> None:
    """Complete at one place of a file, and print what an editor would show there."""
    from fimble.cli.complete import run

    raise typer.Exit(run(place, model, json, explain))


@app.command()
def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check this installation: what was found, what is wrong, and how to fix it."""
    from fimble.cli.doctor.command import run

    raise typer.Exit(run(json))


@app.command()
def stats(
    days: Annotated[int, typer.Option(min=1, help="How many days, the latest ones.")] = 14,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """What suggestions came to, day by day: accepted, keys saved, energy and memory of the engines."""
    from fimble.cli.output import failures
    from fimble.cli.stats import run

    with failures():
        run(days, json)


@app.command()
def setup(
    editor: Annotated[str, typer.Argument(help="Which one; none: list them and what would be done.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what was written for this editor.")] = False,
    print_only: Annotated[bool, typer.Option("--print", help="Only show it; change nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.  Never asks.")] = False,
    vsix: Annotated[Path | None, typer.Option(help="The extension's file, for VS Code.")] = None,
) -> None:
    """Set up an editor: shows what would change, asks, keeps a backup, and can take it back."""
    from fimble.cli.output import failures
    from fimble.cli.setup.command import Options, run

    with failures():
        status = run(editor, Options(yes=yes, undo=undo, print_only=print_only, as_json=json, vsix=vsix))
    raise typer.Exit(status)


app.command()(personalise)
