"""The cutting itself, run by the environment's Python: see context_tasks.py, which is the command."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from context_cuts import Use, cut_places, first_places, foreign_uses, line_around
from context_projects import SETS, Project, ProjectFailed, project_folder
from context_syntax import LANGUAGES, Name, Source, read_source
from context_tasks import parse

_SEED = 20_261_125

#: Tasks of a set, by language: Python leads, as it does among Fimble's users.
_WANTED = {"python": 200, "typescript": 50, "javascript": 40, "rust": 40, "go": 15, "java": 15, "csharp": 10}
_WANTED_CONTROL = {"python": 100, "typescript": 25, "javascript": 15, "rust": 15, "go": 5, "java": 5, "csharp": 5}

#: Of one file, so that no file decides a figure.
_MOST_PER_FILE = 2

_FILE_CHARACTERS = range(1_500, 120_000)
_LINE_CHARACTERS = range(8, 121)

#: Where the line is cut: just before the name, before an earlier token, at the line's first character.
_CUTS = ("name", "name", "token", "line")

Row = dict[str, Any]


def _sources(home: Path) -> list[Source]:
    """Every file of the project that can be read, in a fixed order."""
    found = []
    for path in sorted(home.rglob("*")):
        language = LANGUAGES.get(path.suffix)
        if language is None or not path.is_file():
            continue
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue
        longest = max(map(len, text.split("\n")))
        if longest < 2_000:  # nobody wrote longer lines by hand
            found.append(read_source(path.relative_to(home).as_posix(), language, text))
    return found


def _task(project: Project, source: Source, at: int, end: int, more: Row) -> Row:
    return {
        "id": f"{project.name}/{source.path}:{at}",
        "language": source.language,
        "path": source.path,
        "prefix": source.text[:at],
        "suffix": source.text[end:],
        "groundtruth": source.text[at:end],
        "crossfile": [],
        "project": project.folder,
        "offset": at,
        **more,
    }


def _is_asked(project: Project, source: Source, line: tuple[int, int]) -> bool:
    right_size = len(source.text) in _FILE_CHARACTERS and line[1] - line[0] in _LINE_CHARACTERS
    is_own = not {"vendor", "_vendor", "vendored"} & set(source.path.split("/"))
    return right_size and is_own and source.language in project.languages


def _cross_tasks(project: Project, sources: Sequence[Source], dice: random.Random) -> list[Row]:
    """Every line of the project that can be a task, at most a few of a file, in random order."""
    by_file: dict[str, list[tuple[Source, Use]]] = defaultdict(list)
    for source, use in foreign_uses(sources):
        if _is_asked(project, source, line_around(source.text, use.name.start)):
            by_file[source.path].append((source, use))
    rows, seen = [], set()
    for uses in by_file.values():
        lines: set[int] = set()
        for source, use in dice.sample(uses, len(uses)):
            start, end = line_around(source.text, use.name.start)
            cut = dice.choice(_CUTS)
            places = cut_places(source.text, start, use.name.start)
            at = {"name": places[-1], "line": places[0], "token": dice.choice(places)}[cut]
            written = source.text[start:end].strip()
            if start in lines or written in seen or len(lines) == _MOST_PER_FILE:
                continue
            lines.add(start)
            seen.add(written)
            definition = use.definition
            more: Row = {"name": use.name.text, "defined_in": definition.path, "cut": cut}
            more["definition"] = [definition.start, definition.end]
            rows.append(_task(project, source, at, end, more))
    dice.shuffle(rows)
    return rows


def _control_tasks(project: Project, sources: Sequence[Source], dice: random.Random) -> list[Row]:
    """Lines of function bodies all of whose names stood in the file before, one of a file; cut as the others."""
    rows = []
    for source in sources:
        first = first_places(source)
        lines: dict[tuple[int, int], list[Name]] = defaultdict(list)
        for name in source.names:
            lines[line_around(source.text, name.start)].append(name)
        known = [
            line
            for line, names in lines.items()
            if all(first.get(name.text, line[0]) < line[0] for name in names) and _is_asked(project, source, line)
        ]
        if known:
            start, end = dice.choice(known)
            at = dice.choice(cut_places(source.text, start, lines[start, end][-1].start))
            rows.append(_task(project, source, at, end, {"cut": "control"}))
    dice.shuffle(rows)
    return rows


def _in_turn(by_project: Sequence[Sequence[Row]], wanted: int) -> list[Row]:
    """From every project one after the other, so that no project decides a figure."""
    return [row for rows in zip_longest(*by_project) for row in rows if row is not None][:wanted]


def _chosen(rows: Sequence[Sequence[Row]], wanted: dict[str, int]) -> Iterator[Row]:
    for language, count in wanted.items():
        yield from _in_turn([[row for row in each if row["language"] == language] for each in rows], count)


def _cut(name: str, folder: Path, console: Console) -> dict[str, Counter[str]]:
    """Write the two files of a set; returns how many tasks of which language each has."""
    cross, control = [], []
    for project in track(SETS[name], f"Cutting {name}", console=console, disable=not console.is_terminal):
        sources = _sources(project_folder(project, folder))
        dice = random.Random(f"{_SEED}/{project.folder}")
        cross.append(_cross_tasks(project, sources, dice))
        control.append(_control_tasks(project, sources, dice))
    counts = {}
    for file, rows, wanted in ((name, cross, _WANTED), (f"{name}-control", control, _WANTED_CONTROL)):
        chosen = list(_chosen(rows, wanted))
        text = "".join(json.dumps(row) + "\n" for row in chosen)
        (folder / f"{file}.jsonl").write_text(text, "utf-8")
        counts[file] = Counter(row["language"] for row in chosen)
    return counts


def main(arguments: list[str]) -> int:
    """Cut what was asked for; returns the exit status."""
    options = parse(arguments)
    folder = Path(options.folder).resolve()
    console = Console(stderr=True)
    counts: dict[str, Counter[str]] = {}
    try:
        for name in SETS if options.set == "both" else (options.set,):
            counts |= _cut(name, folder, console)
    except (ProjectFailed, OSError) as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. What was fetched is kept; run the command again.", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps(counts, indent=1))
        return 0
    for file, languages in counts.items():
        each = ", ".join(f"{language} {count}" for language, count in languages.items())
        print(f"{folder / file}.jsonl: {languages.total()} tasks ({each})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
