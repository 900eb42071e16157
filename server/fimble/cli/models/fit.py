"""``fimble models fit``: which model is the best for this machine."""

from __future__ import annotations

from collections.abc import Sequence

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from fimble import catalog, config
from fimble.cli.output import console, print_json
from fimble.models.fitting import Fit, Report, fit
from fimble.settings import Config

#: Less is what a desktop does anyway.
_BUSY_CORES = 0.5


def run(names: Sequence[str], goal_ms: float, *, explain: bool, again: bool, as_json: bool) -> None:
    """Measure, predict and recommend.  Raises what `fitting.fit` raises."""
    loaded = config.load().config
    out = console(stderr=True)
    columns = TextColumn("Measuring this machine"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task("", total=None)
        report = fit(
            loaded,
            goal_ms or None,
            lambda done, total: progress.update(task, completed=done, total=total),
            names=names,
            again=again,
        )
    if as_json:
        print_json(report)
    else:
        _show(report, explain)


def hint(settings: Config) -> str:
    """What is known of the best model for this machine, in a sentence.  Measures nothing."""
    report = fit(settings, measure=False)
    best = next(one for one in report.fits if one.name == report.recommended)
    if best.cost is None or all(one.cost is None for one in report.fits[1:]):
        return "not measured; `fimble models fit` finds it, and downloads nothing"
    said = f"{best.name}: a key in {best.cost.keystroke_ms:,.0f} ms, predicted"
    if best.name == catalog.display_name(settings.model):
        return f"{said}; it is in use"
    return f"{said}; `{_how(best)}` gets it"


def _how(best: Fit) -> str:
    return f"fimble models {'use' if best.here else 'pull'} {best.name}"


def _show(report: Report, explain: bool) -> None:
    out = console()
    table = Table(box=None, pad_edge=False)
    for title, right in (("", 0), ("Name", 0), ("Size", 1), ("Memory", 1), ("Key", 1), ("Writes", 1), ("Reads", 1)):
        table.add_column(title, justify="right" if right else "left", no_wrap=True)
    if any(one.measured for one in report.fits):
        table.add_column("Wrote", justify="right", no_wrap=True)
    for one in report.fits:
        table.add_row(*_row(one, report))
    out.print(table)
    out.print(
        f"\nKey: milliseconds from a key to a suggestion of 12 tokens, after a prompt of "
        f"{_context(report):,} tokens; the goal is {report.goal_ms:,.0f} ms.\n"
        "Writes, reads: tokens a second, predicted from a slice of each model; wrote: what was measured.",
        markup=False,
    )
    out.print(f"The goal's reason: {report.goal_reason}.", markup=False)
    out.print(_memory(report), markup=False)
    if report.busy_cores >= _BUSY_CORES:
        out.print(
            f"Other programs kept {report.busy_cores:.1f} cores busy meanwhile, so all of this is too slow: measure "
            "on a quiet machine with `fimble models fit --again`.",
            markup=False,
        )
    for one in report.fits:
        if explain:
            _explain(one)
        elif one.why:
            out.print(f"  {one.name}: {one.why}.", markup=False)
    best = next(one for one in report.fits if one.name == report.recommended)
    out.print(f"\nRecommended: {best.name}.  `{_how(best)}`", markup=False)


def _row(one: Fit, report: Report) -> tuple[str, ...]:
    cost = one.cost
    return (
        "*" if one.name == report.recommended else "",
        one.name,
        f"{one.size_mb:,.0f} MB",
        f"{one.memory_bytes / 1e9:.1f} GB",
        f"{cost.keystroke_ms:,.0f} ms" if cost else "",
        f"{cost.decode_tokens_s:,.0f}" if cost else "",
        f"{cost.prompt_tokens_s:,.0f}" if cost else "",
        *([f"{one.measured.decode_tokens_s:,.0f}"] if one.measured else []),
    )


def _context(report: Report) -> int:
    return next((one.cost.context_tokens for one in report.fits if one.cost), 0)


def _memory(report: Report) -> str:
    machine = report.machine
    text = (
        f"Memory: {machine.total_bytes / 1e9:.1f} GB; {machine.limit} leaves {machine.available_bytes / 1e9:.1f}, "
        f"of which an engine may take {machine.for_model_bytes / 1e9:.1f}"
    )
    return text + "".join(f"; {gpu.name}: {gpu.free_bytes / 1e9:.1f} GB free" for gpu in machine.gpus) + "."


def _explain(one: Fit) -> None:
    out = console()
    out.print(f"\n[bold]{one.name}[/]")
    memory = one.memory
    out.print(
        f"  memory: weights {memory.weights_bytes / 1e6:,.0f} MB + evaluated prompts {memory.kv_bytes / 1e6:,.0f} MB + "
        f"buffers and the process {memory.buffers_bytes / 1e6:,.0f} MB = {memory.total_bytes / 1e6:,.0f} MB",
        markup=False,
    )
    for line in [*(one.cost.arithmetic if one.cost else []), *([one.why] if one.why else [])]:
        out.print(f"  {line}", markup=False)
    if one.cost and one.measured:
        ratio = one.cost.decode_tokens_s / one.measured.decode_tokens_s
        out.print(
            f"  measured: writes {one.measured.decode_tokens_s:,.1f} tokens/s, "
            f"reads {one.measured.prompt_tokens_s:,.1f}; predicted (corrected) / measured: {ratio:.2f}",
            markup=False,
        )
