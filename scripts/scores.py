#!/usr/bin/env python3
"""What eval.py wrote, as scores with intervals, by language, and one mode against another.

    python3 scripts/scores.py TASKS.jsonl echo=echo.jsonl both=both.jsonl --minus echo
    python3 scripts/scores.py TASKS.jsonl model=bits.jsonl 5-gram=ngram.jsonl --minus 5-gram --markdown

Predictions {"id", "completion", "shown"} are scored in percent over all tasks; one that is missing counts as silence:

- exact       the true text, as many lines of the suggestion as it has, blanks at line ends and around not counted
- similarity  of the same two texts: 100 * 2 * (longest common subsequence) / (sum of both lengths), in characters
- first line  the first line with something on it is right, blanks around it not counted
- shown       something was suggested

Rows {"id", "bits", "bytes"} give bits per byte: all bits by all bytes of the tasks that have a row.

Intervals are 95 % bootstrap percentiles over tasks (B. Efron, "Bootstrap methods: another look at the jackknife", The
Annals of Statistics 7, 1979), 2,000 resamples.  ``--minus NAME`` adds the others' differences to NAME, resampled in
pairs: the same tasks for both.  A share of 0 has an empty interval; up to 3 in the number of tasks is possible then.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_RESAMPLES = 2000
_SEED = 7

ALL = "all"
BITS = "bits per byte"

#: A quantity over some tasks is a sum of numerators by a sum of denominators, one pair for each task.
Pair = tuple[float, float]


@dataclass(frozen=True)
class Score:
    """One figure: *who* may be a difference ("both - echo"); the unit is percent, or bits per byte."""

    who: str
    language: str
    metric: str
    value: float
    low: float
    high: float
    tasks: int


class ScoresFailed(Exception):
    """The files cannot be scored; the text says why."""


# --- one task -----------------------------------------------------------------------------------------------


def trimmed(text: str) -> str:
    """Without blanks at the ends of lines and around all of it."""
    return "\n".join(line.rstrip() for line in text.split("\n")).strip()


def first_line(text: str) -> str:
    """The first line with something on it, without the blanks around it."""
    return next((line.strip() for line in text.split("\n") if line.strip()), "")


def similarity(left: str, right: str) -> float:
    """Twice the longest common subsequence by the sum of both lengths, in percent; 100 for two empty texts."""
    if not left and not right:
        return 100.0
    row = [0] * (len(right) + 1)
    for character in left:
        diagonal = 0
        for place, other in enumerate(right, 1):
            above = row[place]
            row[place] = diagonal + 1 if character == other else max(above, row[place - 1])
            diagonal = above
    return 200.0 * row[-1] / (len(left) + len(right))


def judge(task: Mapping[str, Any], prediction: Mapping[str, Any]) -> dict[str, Pair]:
    """Every metric of one prediction, over a denominator of 1."""
    is_silent = prediction.get("shown") is False
    completion = "" if is_silent else prediction.get("completion") or ""
    wanted = trimmed(task["groundtruth"])
    got = "\n".join(trimmed(completion).split("\n")[: wanted.count("\n") + 1])
    first = first_line(task["groundtruth"])
    return {
        "exact": (100.0 * (trimmed(got) == wanted), 1.0),
        "similarity": (similarity(trimmed(got), wanted), 1.0),
        "first line": (100.0 * (first != "" and first_line(completion) == first), 1.0),
        "shown": (100.0 * bool(completion.strip()), 1.0),
    }


# --- all tasks ----------------------------------------------------------------------------------------------


def interval(pairs: Sequence[tuple[Pair, Pair]]) -> tuple[float, float, float]:
    """The difference of two quantities over the same tasks, and its bootstrap interval."""

    def difference(chosen: Sequence[tuple[Pair, Pair]]) -> float:
        a, b, c, d = (sum(column) for column in zip(*((*left, *right) for left, right in chosen), strict=True))
        return float(a / max(b, 1e-9) - c / max(d, 1e-9))

    return (difference(pairs), *_resampled(pairs, difference))


def interval_of(pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """A quantity and its bootstrap interval."""

    def ratio(chosen: Sequence[Pair]) -> float:
        return sum(above for above, _ in chosen) / max(sum(below for _, below in chosen), 1e-9)

    return (ratio(pairs), *_resampled(pairs, ratio))


def _resampled(pairs: Sequence[Any], quantity: Callable[[Sequence[Any]], float]) -> tuple[float, float]:
    dice = random.Random(_SEED)
    again = sorted(quantity(dice.choices(pairs, k=len(pairs))) for _ in range(_RESAMPLES))
    return again[int(0.025 * _RESAMPLES)], again[int(0.975 * _RESAMPLES)]


Rows = Mapping[str, Mapping[str, Pair]]


def measure(tasks: Sequence[Mapping[str, Any]], predictions: Sequence[Mapping[str, Any]]) -> Rows:
    """Metric, then the id of a task: what *predictions* have for it.  Raises ScoresFailed."""
    by_id: dict[str, Mapping[str, Any]] = {}
    for prediction in predictions:
        by_id.setdefault(str(prediction["id"]), prediction)
    if stray := set(by_id) - {str(task["id"]) for task in tasks}:
        raise ScoresFailed(f"{len(stray)} predictions name no task, {min(stray)} for one.")
    if any("bits" in row for row in by_id.values()):
        return {BITS: {name: (float(row["bits"]), float(row["bytes"])) for name, row in by_id.items()}}
    rows: dict[str, dict[str, Pair]] = {}
    for task in tasks:
        name = str(task["id"])
        for metric, pair in judge(task, by_id.get(name, {})).items():
            rows.setdefault(metric, {})[name] = pair
    return rows


def score(
    tasks: Sequence[Mapping[str, Any]], files: Mapping[str, Rows], minus: Sequence[str] = (), by_language: bool = True
) -> list[Score]:
    """All figures: for all tasks and those of each language, each file and each difference."""
    groups: dict[str, list[str]] = {ALL: [str(task["id"]) for task in tasks]}
    languages = sorted({str(task.get("language") or "") for task in tasks} - {""})
    for language in languages if by_language and len(languages) > 1 else ():
        groups[language] = [str(task["id"]) for task in tasks if task.get("language") == language]
    scores = []
    for language, ids in groups.items():
        for who, rows in files.items():
            for metric, pairs in rows.items():
                chosen = [pairs[name] for name in ids if name in pairs]
                if chosen:
                    scores.append(Score(who, language, metric, *interval_of(chosen), len(chosen)))
        for base in minus:
            for who, rows in files.items():
                for metric in rows if who != base else ():
                    left, right = rows[metric], files[base].get(metric, {})
                    both = [(left[name], right[name]) for name in ids if name in left and name in right]
                    if both:
                        scores.append(Score(f"{who} - {base}", language, metric, *interval(both), len(both)))
    return scores


# --- tables -------------------------------------------------------------------------------------------------


def table(scores: Sequence[Score], is_markdown: bool) -> str:
    """A line for each language and file, a column for each metric."""
    metrics = list(dict.fromkeys(one.metric for one in scores))
    has_languages = len({one.language for one in scores}) > 1
    lines = [["language"] * has_languages + ["what", "tasks", *metrics]]
    cells: dict[tuple[str, str], dict[str, Score]] = {}
    for one in scores:
        cells.setdefault((one.language, one.who), {})[one.metric] = one
    for (language, who), found in cells.items():
        count = max(one.tasks for one in found.values())
        figures = [_figure(found[metric]) if metric in found else "" for metric in metrics]
        lines.append([language] * has_languages + [who, str(count), *figures])
    if is_markdown:
        lines.insert(1, ["---"] * len(lines[0]))
        return "".join("| " + " | ".join(line) + " |\n" for line in lines)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "".join("  ".join(map(str.ljust, line, widths)).rstrip() + "\n" for line in lines)


def _figure(one: Score) -> str:
    digits = 3 if one.metric == BITS else 1
    sign = "+" if " - " in one.who else ""
    return f"{one.value:{sign}.{digits}f} ({one.low:{sign}.{digits}f} to {one.high:{sign}.{digits}f})"


# --- the command --------------------------------------------------------------------------------------------


def _read(path: str, limit: int | None = None) -> list[dict[str, Any]]:
    try:
        lines = [line for line in Path(path).read_text("utf-8").split("\n") if line.strip()]
        return [json.loads(line) for line in lines[:limit]]
    except (OSError, ValueError) as error:
        raise ScoresFailed(f"{path} cannot be read: {error}.") from None


def _named(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    if not name or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PREDICTIONS.jsonl")
    return name, path


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", metavar="TASKS.jsonl")
    parser.add_argument("predictions", nargs="+", type=_named, metavar="NAME=PREDICTIONS.jsonl")
    parser.add_argument("--minus", action="append", default=[], metavar="NAME", help="the differences to this one")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N tasks, as in eval.py")
    parser.add_argument("--no-languages", action="store_true", help="all languages together only")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a list of figures instead of a table")
    form.add_argument("--markdown", action="store_true", help="a table for a page")
    options = parser.parse_args(arguments)
    try:
        tasks = _read(options.tasks, options.limit)
        files = {name: measure(tasks, _read(path)) for name, path in options.predictions}
        if unknown := set(options.minus) - set(files):
            raise ScoresFailed(f"--minus names {min(unknown)}, which is none of the predictions.")
        scores = score(tasks, files, options.minus, not options.no_languages)
    except (ScoresFailed, KeyError) as problem:
        print(problem if isinstance(problem, ScoresFailed) else f"A line lacks {problem}.", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps([asdict(one) for one in scores], indent=1))
    else:
        print(table(scores, options.markdown), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
