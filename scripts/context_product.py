"""What users get of other files: suggestions in the projects themselves, with the index and without.

See context_eval.py, which is the command.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsprotocol import types
from rich.progress import Progress

from eval_window import EvalFailed, EvalWindow
from fimble.text import Encoding, Text
from private_home import FIMBLE, private_home, start_engine

Row = dict[str, Any]

_READ_S = 300.0

#: A question by hand has time: what is measured is what is found, not when.
_DEADLINE_MS = 20_000


def ask_product(folder: Path, name: str) -> list[Path]:
    """Ask for a suggestion at each task of the set *name*, and write the answers; returns the files."""
    written = []
    for tasks_file in (folder / f"{name}.jsonl", folder / f"{name}-control.jsonl"):
        tasks = [json.loads(line) for line in tasks_file.read_text("utf-8").split("\n") if line]
        for way in ("off", "on"):
            answers = asyncio.run(_answers(folder / "projects", tasks, with_index=way == "on"))
            written.append(tasks_file.with_suffix(f".{way}.jsonl"))
            written[-1].write_text("".join(json.dumps(answer) + "\n" for answer in answers), "utf-8")
    return written


async def _answers(projects: Path, tasks: Sequence[Row], *, with_index: bool) -> list[Row]:
    by_project: dict[str, list[Row]] = defaultdict(list)
    for task in tasks:
        by_project[task["project"]].append(task)
    answers: list[Row] = []
    with private_home(("CONFIG_HOME", "CACHE_HOME", "STATE_HOME", "DATA_HOME")) as (home, environ), Progress() as bar:
        doing = bar.add_task("with the index" if with_index else "without", total=len(tasks))
        await start_engine(environ)
        for project, own in by_project.items():
            window = EvalWindow(home, 1, [projects / project])
            try:
                await _begin(window, environ, projects / project, with_index)
                for task in own:
                    answers.append(await _answer(window, task))
                    bar.advance(doing)
            finally:
                await window.stop()
    return answers


async def _begin(window: EvalWindow, environ: Mapping[str, str], project: Path, with_index: bool) -> None:
    suggest = {"deadline_ms": _DEADLINE_MS}
    await window.begin(environ, {"index": {"enabled": with_index}, "cache": {"enabled": False}, "suggest": suggest})
    if with_index:
        async with asyncio.timeout(_READ_S):
            while not await _is_read(environ, project):  # noqa: ASYNC110 - another process tells no event
                await asyncio.sleep(0.1)


async def _is_read(environ: Mapping[str, str], project: Path) -> bool:
    """Whether the index of *project* has read all of it."""
    asking = await asyncio.create_subprocess_exec(
        *(str(FIMBLE), "index", "status", "--json"), env=environ, cwd=project, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asking.communicate()
    if asking.returncode:
        raise EvalFailed(f"There is no index of {project.name}.")
    return bool(json.loads(said)["progress"].get("state") == "ready")


async def _answer(window: EvalWindow, task: Row) -> Row:
    text = task["prefix"] + task["suffix"]
    uri = window.open_as(task["path"], text, task["language"])
    position = types.Position(*Text(text).position_at(len(task["prefix"]), Encoding.UTF32))
    try:
        await window.explain(uri, position)  # looks into the other files, as a pause does
        item = await window.ask_at(uri, position, by_hand=True)
    finally:
        window.close(uri)
    return {"id": task["id"], "completion": item.insert_text if item else "", "shown": item is not None}
