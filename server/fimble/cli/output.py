"""How the command line speaks: tables and sentences for people, JSON for scripts, failures with their fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import typer
from rich.console import Console

from fimble.errors import FimbleError


def console(*, stderr: bool = False) -> Console:
    """A console that honours NO_COLOR and does not colour what is not a terminal."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print *value* as indented JSON."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


@contextmanager
def failures() -> Iterator[None]:
    """End the command with status 1 and a plain sentence when something that Fimble foresees goes wrong."""
    try:
        yield
    except FimbleError as failure:
        out = console(stderr=True)
        out.print(f"[bold red]Error:[/] {_plain(failure.message)}")
        if failure.fix:
            out.print(f"[bold]Fix:[/] {_plain(failure.fix)}")
        raise typer.Exit(1) from None


def note(sentence: str) -> None:
    """Say what does not keep the command from doing its work."""
    console(stderr=True).print(f"[yellow]Note:[/] {_plain(sentence)}")


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
