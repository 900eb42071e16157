"""The measuring itself, run by the environment's Python: see context_eval.py, which is the command."""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from context_asked import ask, ask_bm25, has_definition, index_of, oracle, sources_of
from context_eval import parse
from context_product import ask_product
from demo_editor import ServerGone
from eval_window import EvalFailed
from fimble.index.wire import Found
from private_home import EngineFailed

Row = dict[str, Any]

ALL = "all"


@dataclass(frozen=True)
class Outcome:
    """How it went with one task."""

    id: str
    language: str
    cut: str
    found_file: bool = False
    found_itself: bool = False
    bm25_file: bool = False
    bm25_itself: bool = False
    ms: float = 0.0


def _as_row(found: Found) -> Row:
    return {"path": found.path, "text": found.text, "kind": found.kind, "score": found.score}


def _read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def _together(task: Row) -> Row:
    """The same task in a repository of all projects."""
    inside: Row = {key: f"{task['project']}/{task[key]}" for key in ("path", "defined_in") if key in task}
    return {**task, **inside, "project": ""}


def _ask_all(tasks: Sequence[Row], options: Namespace, variants: dict[str, list[Row]]) -> list[Outcome]:
    """Every task, project after project; *variants* gets the tasks with their snippets."""
    folder, budget = Path(options.folder).resolve(), options.budget_chars
    by_project: dict[str, list[Row]] = defaultdict(list)
    for task in map(_together, tasks) if options.together else tasks:
        by_project[task["project"]].append(task)
    outcomes = []
    console = Console(stderr=True)
    for project in track(by_project, "Asking", console=console, disable=not console.is_terminal):
        root = folder / "projects" / project
        database = index_of(root, folder / "index" / f"{project or 'together'}.sqlite", options.anew)
        sources = sources_of(root, database)
        for task in by_project[project]:
            found, ms = ask(database, sources, task, budget)
            plain, plain_files = ask_bm25(database, sources, task, budget)
            snippets = {"none": [], "bm25": [_as_row(one) for one in plain], "ours": [_as_row(one) for one in found]}
            judged: Row = {}
            if "defined_in" in task:
                snippets["oracle"] = oracle(root, task, budget)
                judged["found_file"] = task["defined_in"] in [one.path for one in found[:5]]
                judged["found_itself"] = has_definition(root, task, found)
                judged["bm25_file"] = task["defined_in"] in plain_files
                judged["bm25_itself"] = has_definition(root, task, plain)
            for name, chosen in snippets.items():
                variants.setdefault(name, []).append({**task, "crossfile": chosen})
            outcomes.append(Outcome(task["id"], task["language"], task["cut"], ms=ms, **judged))
        database.close()
    return outcomes


def _figures(outcomes: Sequence[Outcome]) -> list[Row]:
    """Shares and times of all tasks, by language, and by where the line was cut."""
    groups: dict[str, list[Outcome]] = {ALL: list(outcomes)}
    for one in outcomes:
        groups.setdefault(one.language, []).append(one)
    for one in outcomes:
        groups.setdefault(f"cut at {one.cut}", []).append(one)
    rows = []
    for name, chosen in groups.items():
        times = sorted(one.ms for one in chosen)
        row: Row = {"group": name, "tasks": len(chosen)}
        for what in ("bm25_file", "found_file", "bm25_itself", "found_itself"):
            row[what] = statistics.fmean(getattr(one, what) for one in chosen)
        row |= {"p50_ms": statistics.median(times), "p95_ms": times[int(0.95 * (len(times) - 1))]}
        rows.append(row)
    return rows


def _table(figures: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    heads = ("", "tasks", "file: BM25", "ours", "itself: BM25", "ours", "ms p50", "p95")
    for head in heads:
        table.add_column(head, justify="right" if head else "left")
    for row in figures:
        shares = (f"{row[what]:.1%}" for what in ("bm25_file", "found_file", "bm25_itself", "found_itself"))
        table.add_row(row["group"], str(row["tasks"]), *shares, f"{row['p50_ms']:.1f}", f"{row['p95_ms']:.1f}")
    return table


def _show_misses(tasks: Sequence[Row], outcomes: Sequence[Outcome], ours: Sequence[Row], count: int) -> None:
    snippets = {task["id"]: task["crossfile"] for task in ours}
    wanted = {task["id"]: task for task in tasks}
    for one in [one for one in outcomes if not one.found_itself][:count]:
        task = wanted[one.id]
        print(f"\n=== {one.id}  {task['name']} is in {task['defined_in']}")
        print("\n".join(task["prefix"].split("\n")[-4:]) + "⟦" + task["groundtruth"] + "⟧")
        for snippet in snippets[one.id]:
            print(f"--- {snippet['path']} {snippet['score']}\n{snippet['text']}", end="")


def _write(folder: Path, name: str, variants: dict[str, list[Row]], wanted: Sequence[str]) -> None:
    for variant in wanted:
        text = "".join(json.dumps(row) + "\n" for row in variants.get(variant, ()))
        (folder / f"{name}-{variant}.jsonl").write_text(text, "utf-8")


def main(arguments: list[str]) -> int:
    """Measure; returns the exit status."""
    options = parse(arguments)
    folder = Path(options.folder)
    try:
        tasks, control = _read(folder / f"{options.set}.jsonl"), _read(folder / f"{options.set}-control.jsonl")
        if options.product:
            print(*ask_product(folder, options.set), sep="\n")
            return 0
        variants: dict[str, list[Row]] = {}
        outcomes = _ask_all(tasks, options, variants)
        figures = _figures(outcomes)
        if options.write:
            _write(folder, options.set, variants, ("none", "bm25", "ours", "oracle"))
            others: dict[str, list[Row]] = {}
            options.anew = False
            _ask_all(control, options, others)
            _write(folder, f"{options.set}-control", others, ("none", "bm25", "ours"))
    except (EvalFailed, EngineFailed, ServerGone) as problem:
        print(problem, file=sys.stderr)
        return 1
    except (OSError, ValueError, sqlite3.Error) as problem:
        print(f"{problem}\nFix: cut the tasks first, with scripts/context_tasks.py {folder}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps({"figures": figures, "tasks": [asdict(one) for one in outcomes]}, indent=1))
    else:
        Console(highlight=False).print(_table(figures))
    _show_misses(tasks, outcomes, variants["ours"], options.misses)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
