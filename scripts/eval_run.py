"""The evaluation itself, run by the environment's Python: see eval.py, which is the command."""

from __future__ import annotations

import asyncio
import itertools
import json
import shlex
import statistics
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from demo_editor import ServerGone
from eval import parse
from eval_bits import Reader, bits_per_byte
from eval_window import Answers, EvalFailed, Setup, ask_all
from fimble import catalog
from fimble.errors import FimbleError
from private_home import EngineFailed

_NEEDED = {"id", "path", "prefix", "suffix", "groundtruth"}

Row = dict[str, Any]
Hear = Callable[[Row], None]


# --- tasks in, predictions out ------------------------------------------------------------------------------


def read_tasks(path: Path, limit: int | None) -> list[Row]:
    """The first *limit* tasks of a file.  Raises EvalFailed."""
    tasks = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(itertools.islice(file, limit), 1):
                if not line.strip():
                    continue
                task = json.loads(line)
                if lacking := _NEEDED - set(task):
                    raise EvalFailed(f"Line {number} of {path} is no task: it lacks {', '.join(sorted(lacking))}.")
                tasks.append(task)
    except (OSError, ValueError, TypeError) as error:
        raise EvalFailed(f"{path} cannot be read as tasks: {error}.") from None
    if not tasks:
        raise EvalFailed(f"There is no task in {path}.")
    return tasks


@contextmanager
def _writing(path: Path, count: int, rows: list[Row]) -> Iterator[Hear]:
    """What to call with each row: it is kept in *rows* and written at once, so that an interruption loses nothing."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with path.open("w", encoding="utf-8") as file, bar:
        line = bar.add_task("Asking", total=count)

        def hear(row: Row) -> None:
            rows.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
            bar.advance(line)

        yield hear


# --- a first look -------------------------------------------------------------------------------------------


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.split("\n") if line.strip()), "")


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n")).strip()


def _is_exact(completion: str, truth: str) -> bool:
    """Equal in as many lines as the true text has, blanks at their ends not counted."""
    wanted = _trimmed(truth)
    return "\n".join(_trimmed(completion).split("\n")[: wanted.count("\n") + 1]) == wanted


def _table(tasks: Sequence[Row], rows: Sequence[Row]) -> Table:
    """Tasks, hits and times, in all and by who answered."""
    table = Table(box=None, pad_edge=False, header_style="")
    for name in ("source", "tasks", "shown", "first line", "whole text", "median ms"):
        table.add_column(name, justify="left" if name == "source" else "right")
    pairs = list(zip(tasks, rows, strict=True))
    for source in ("all", "memory", "echo", "model", ""):
        chosen = [(task, row) for task, row in pairs if source in ("all", row["source"])]
        if not chosen:
            continue
        first = [_first_line(row["completion"]) == _first_line(task["groundtruth"]) != "" for task, row in chosen]
        whole = [row["shown"] and _is_exact(row["completion"], task["groundtruth"]) for task, row in chosen]
        shown = [row["shown"] for _task, row in chosen]
        median_ms = statistics.median(row["latency_ms"] for _task, row in chosen)
        shares = (f"{statistics.fmean(hits):.1%}" for hits in (shown, first, whole))
        table.add_row(source or "silence", str(len(chosen)), *shares, f"{median_ms:.1f}")
    return table


def _scorer_command(options: Namespace) -> str:
    """What to run next.  score.py counts a task without a prediction as a miss, so it gets those that were asked."""
    beside = Path(options.tasks).with_name("score.py")
    scorer = options.scorer or (str(beside) if beside.is_file() else "score.py")
    tasks = shlex.quote(options.tasks)
    if options.limit:
        tasks = f"<(head -n {options.limit} {tasks})"
    return f"python3 {shlex.quote(scorer)} {tasks} {shlex.quote(options.out)}"


def _say_more(answers: Answers) -> None:
    """What would otherwise be taken for the model's own silence."""
    for name, meaning in (("deadlines", "was cut off by the deadline"), ("engine_failures", "failed")):
        if count := answers.counters.get(name):
            print(f"The model {meaning} {count} times.")
    for message in answers.messages:
        print(message, file=sys.stderr)


# --- the command --------------------------------------------------------------------------------------------


def _foretell(options: Namespace, tasks: list[Row], model: Path) -> None:
    rows: list[Row] = []
    reader = Reader(model, options.layout)
    with _writing(Path(options.out), len(tasks), rows) as hear:
        for task in tasks:
            hear(reader.read(task, options.context))
    mean, low, high = bits_per_byte(rows)
    print(f"{len(rows)} tasks, {sum(row['bytes'] for row in rows)} bytes")
    print(f"{mean:.3f} bits per byte (all bits by all bytes), 95 % interval over tasks {low:.3f} to {high:.3f}")


def _ask(options: Namespace, tasks: list[Row], model: Path) -> None:
    rows: list[Row] = []
    setup = Setup(options.mode, model, options.context, options.deadline_ms, not options.typing)
    with _writing(Path(options.out), len(tasks), rows) as hear:
        answers = asyncio.run(ask_all(tasks, setup, hear))
    Console(highlight=False).print(_table(tasks, rows))
    _say_more(answers)
    print(f"\nA first look only. The scores, with intervals:\n  {_scorer_command(options)}")


def main(arguments: list[str]) -> int:
    """Run the evaluation; returns the exit status."""
    options = parse(arguments)
    try:
        model = catalog.resolve(options.model).resolve() if options.mode != "echo" else Path()
        tasks = read_tasks(Path(options.tasks), options.limit)
        (_foretell if options.mode == "logprob" else _ask)(options, tasks, model)
    except (EvalFailed, EngineFailed, ServerGone, FimbleError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("Stopped. What was answered is written; nothing was left running.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
