"""``fimble personalise``: learn a repository, and say whether that helps."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fimble.models.personalising import Figure, Result, State

_POLL_S = 0.2

_STAGES = {"reading": "Reading", "training": "Learning", "measuring": "Asking about held-out lines"}


def personalise(
    folder: Annotated[
        Path, typer.Argument(help="A folder of the repository; default: this one.", exists=True, file_okay=False)
    ] = Path(),
    minutes: Annotated[float, typer.Option(min=0.1, help="The longest that learning may take.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Which files are held out, and everything else that is drawn.")] = 1,
    lines: Annotated[int, typer.Option(min=20, help="How many held-out lines are asked.")] = 400,
    epochs: Annotated[int, typer.Option(min=1, max=50, help="How often everything is read at most.")] = 4,
    background: Annotated[bool, typer.Option("--background", help="Do not wait for the end.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Only say how far it is, or how it ended.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End what is at work; nothing of it is left.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Learn your repository: trains a small addition to the model, and uses it only if held-out lines get better.

    Everything happens on this machine, and gives way to whatever else it does.  Ctrl-C ends it, and nothing is left.
    Run in a repository that is being learned, it shows how far that is.
    """
    from fimble import config
    from fimble.cli.output import failures
    from fimble.models import personalising

    with failures():
        settings = config.load(project=folder.resolve()).config
        file = personalising.state_of(folder)
        state = personalising.read_state(file)
        if stop and state and not state.is_over:
            personalising.stop(state)
            state = personalising.read_state(file)
        elif not (status or stop or (state and not state.is_over)):
            job = personalising.job_for(folder, settings, seed=seed, minutes=minutes, epochs=epochs, lines=lines)
            personalising.begin(job)
            state = personalising.read_state(file)
        if not (status or stop or background):
            state = _watch(file, show=not json)
    _report(state, json)


def _watch(file: Path, *, show: bool) -> State | None:
    """Show how far it is until it is over; Ctrl-C ends it."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from fimble.cli.output import console
    from fimble.models import personalising

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    state = personalising.read_state(file)
    try:
        with Progress(*columns, console=console(stderr=True), transient=True, disable=not show) as progress:
            task, stage = progress.add_task(_STAGES["reading"], total=1.0), "reading"
            while state and not state.is_over:
                if state.stage != stage:
                    stage = state.stage
                    progress.reset(task, description=_STAGES.get(stage, stage), total=1.0)
                progress.update(task, completed=state.share)
                time.sleep(_POLL_S)  # another process, perhaps not our child, writes it: only looking again tells
                state = personalising.read_state(file)
    except KeyboardInterrupt:
        if state:
            personalising.stop(state)
        state = personalising.read_state(file)
    return state


def _report(state: State | None, as_json: bool) -> None:
    """Say how it is or how it ended; the exit status is 1 if it failed."""
    from fimble.cli.output import console, failures, print_json
    from fimble.errors import FimbleError

    if as_json:
        print_json(state)
    elif state is None:
        console().print("Nothing has been learned here.  `fimble personalise` begins.")
    elif state.result:
        console().print(_describe(state.result), markup=False)
    elif state.stage == "cancelled":
        console().print("Cancelled; nothing has changed.")
    elif not state.is_over:
        left = f", about {state.seconds_left / 60:.0f} minutes left" if state.seconds_left else ""
        console().print(f"{_STAGES.get(state.stage, state.stage)}: {state.share:.0%}{left}.", markup=False)
        console().print("`fimble personalise` watches it, `fimble personalise --stop` ends it.")
    if state and state.error:
        with failures():
            raise FimbleError(state.error.message, state.error.fix)
    if as_json and state and state.stage == "failed":
        raise typer.Exit(1)


def _describe(result: Result) -> str:
    measured = result.measured
    lines = [
        f"{measured.lines} lines of {result.held_out_files} held-out files (of {result.files}), seed {result.seed}; "
        f"{result.epochs} epochs, {result.tokens:,} tokens, {result.seconds / 60:.1f} minutes",
        f"{'':15}{'model alone':>26}{'personalised':>26}{'gain, paired':>26}",
        f"{'bits per byte':15}"
        + "".join(f"{_figure(one, 3):>26}" for one in (measured.bits_before, measured.bits_after, measured.bits_saved)),
        f"{'exact, %':15}"
        + "".join(
            f"{_figure(one, 1):>26}" for one in (measured.exact_before, measured.exact_after, measured.exact_added)
        ),
    ]
    if result.adapter:
        lines += [
            f"It helps: this repository uses it from now on ({result.adapter}).  Windows that are open do after they "
            "are restarted; `fimble adapters use none` takes it back."
        ]
    else:
        lines += ["It is not surely better, so nothing has changed."]
    return "\n".join(lines)


def _figure(one: Figure, digits: int) -> str:
    return f"{one.value:.{digits}f} ({one.low:.{digits}f} to {one.high:.{digits}f})"
