"""``fimble models quantize``: the same model with fewer bits for each weight."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_KINDS = "Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q4_K_M, Q4_K_S, IQ4_NL"


def quantize(
    model: Annotated[str, typer.Argument(help="A name from `fimble models list`, or the path of a GGUF.")],
    to: Annotated[str, typer.Option("--to", help=f"What to write: {_KINDS}.")] = "Q4_K_M",
    output: Annotated[Path | None, typer.Option(help="The file to write; default: one in your models folder.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how large it would be.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a smaller, faster copy of a model, and make it known.  The file that is there stays as it is."""
    from fimble import catalog
    from fimble.cli.output import console, failures, print_json
    from fimble.errors import ConfigError
    from fimble.models import quantising

    with failures():
        kind = to.upper()
        if kind not in _KINDS.split(", "):
            raise ConfigError(f"There is no kind {to!r} here.", f"Choose one of {_KINDS}.")
        plan = quantising.plan(catalog.resolve(model), kind, output)
        if not json:
            console().print(
                f"{plan.source.name}: {plan.source_bytes / 1e6:,.0f} MB; "
                f"as {kind} about {plan.target_bytes / 1e6:,.0f} MB.",
                markup=False,
            )
        name = "" if dry_run else _carry_out(plan, show=not json)
    if json:
        print_json({"name": name, **_as_dict(plan)})
    elif name:
        size = plan.target.stat().st_size / 1e6
        console().print(f"{name}: {size:,.0f} MB, {plan.target}.  `fimble models use {name}` chooses it.", markup=False)


def _carry_out(plan: object, *, show: bool) -> str:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from fimble.cli.output import console
    from fimble.models import quantising

    assert isinstance(plan, quantising.Plan)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True, disable=not show) as progress:
        task = progress.add_task("Quantising", total=1.0)
        return quantising.carry_out(plan, lambda share: progress.update(task, completed=share))


def _as_dict(plan: object) -> dict[str, object]:
    import msgspec

    found: dict[str, object] = msgspec.to_builtins(plan, enc_hook=str)
    return found
