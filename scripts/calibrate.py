#!/usr/bin/env python3
"""Fit the weights by which Fimble tells how likely a suggestion is to be accepted, and draw how well they do.

    .venv/bin/python scripts/calibrate.py collect SESSION.jsonl.gz --start 20000 --keys 8000 --out rows.jsonl
    .venv/bin/python scripts/calibrate.py collect SOURCE ... --keys 100 --out rows2.jsonl
    .venv/bin/python scripts/calibrate.py fit ROWS.jsonl ... --out server/fimble/suggest/confidence.json
    .venv/bin/python scripts/calibrate.py draw ROWS.jsonl ... --out server/confidence.svg

`collect` types a recorded session, or the middle of source files anew, and asks the real recipe, with a real engine,
for everything it could show after every key: a row per suggestion with its evidence and whether its first word was
typed next.  `fit` is a logistic regression per source.  `draw` compares what was said with what came, on rows that
were not fitted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from bench_trace import LANGUAGES, trace_name
from fimble import catalog
from fimble.core import Ask, Document, Source
from fimble.engine.client import EngineClient
from fimble.engine.launch import Launcher, settings_for
from fimble.languages import language_of
from fimble.settings import Config, SuggestConfig
from fimble.suggest.confidence import Confidence
from fimble.suggest.recipe import Suggester
from fimble.text import Text
from private_home import end_orderly_on_signals, private_home
from typists import Event, SessionFailed, Typist, read_session, retyped, taken

#: Of the square of a weight, for evidence of unit variance: little, there are thousands of rows.
_PENALTY = 1.0

#: What the model itself says.  Two of these say nearly the same, and one of them would be fitted to take back what the
#: other says too much: then a less likely word can seem likelier.  What would count against is left out instead.
_NEVER_AGAINST = frozenset({"first word", "first word, odds", "least likely token of it", "all tokens, mean"})

_BINS = 10

Row = dict[str, Any]
Array = npt.NDArray[np.float64]


async def collect(options: argparse.Namespace, model: Path, folder: Path) -> list[Row]:
    """The rows of every file."""
    end_orderly_on_signals()
    engine = EngineClient(Launcher(settings_for(model, Config().engine), folder))
    rows: list[Row] = []
    try:
        for path in track(options.files, "Typing", console=Console(stderr=True)):
            if path.name.endswith(".gz"):
                _before, events = read_session(path, options.start, options.keys)
            else:
                _before, events = retyped(path.read_text("utf-8", "replace"), options.keys)
            rows += await _type(path, events, engine)
    finally:
        await engine.close()
    return rows


async def _type(path: Path, events: Sequence[Event], engine: EngineClient) -> list[Row]:
    """A row for everything that the recipe could show after each key."""
    file, language = LANGUAGES.get(trace_name(path), (path.name, language_of(path.name)))
    suggester = Suggester(Config(suggest=SuggestConfig(deadline_ms=20_000)), engine)
    rows: list[Row] = []
    for number, event in enumerate(events):
        if not event.is_key:
            continue
        document = Document(f"file:///{file}", file, language, number, Text(event.text))
        for suggestion in await suggester.candidates(Ask(document, event.offset)):
            right = taken(suggestion.text, event.next, Typist.WORD)
            row = {"source": suggestion.source, "accepted": bool(right), "evidence": suggestion.evidence}
            rows.append({**row, "session": path.name, "chars": len(right)})
    return rows


def read_rows(paths: Iterable[Path]) -> list[Row]:
    """The rows of several files."""
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]


def fit(rows: Sequence[Row]) -> dict[str, float]:
    """Weights by name of the evidence, by Newton's method on the penalised likelihood of a logistic regression.

    Names that stand in few rows are left out: nothing can be told of them.  Of `_NEVER_AGAINST` what would be negative
    is left out, too.
    """
    counts: dict[str, int] = {}
    for row in rows:
        for name, value in row["evidence"].items():
            counts[name] = counts.get(name, 0) + bool(value)
    names = sorted(name for name, count in counts.items() if count >= max(20, len(rows) // 500))
    weights = _fit_named(rows, names)
    while against := {name for name in _NEVER_AGAINST.intersection(names) if weights[name] < 0}:
        names.remove(min(against, key=lambda name: weights[name]))
        weights = _fit_named(rows, names)
    return weights


def _fit_named(rows: Sequence[Row], names: Sequence[str]) -> dict[str, float]:
    evidence = np.array([[row["evidence"].get(name, 0.0) for name in names] for row in rows], np.float64)
    accepted = np.array([row["accepted"] for row in rows], np.float64)
    scale = np.maximum(evidence.std(axis=0), 1e-6)
    scale[names.index("one")] = 1.0
    weights = _newton(evidence / scale, accepted) / scale
    return {name: round(float(weight), 4) for name, weight in zip(names, weights, strict=True)}


def _newton(evidence: Array, accepted: Array) -> Array:
    weights = np.zeros(evidence.shape[1])
    for _ in range(50):
        likely = 1 / (1 + np.exp(-evidence @ weights))
        slope = evidence.T @ (accepted - likely) - _PENALTY * weights
        bend = (evidence * (likely * (1 - likely))[:, None]).T @ evidence + _PENALTY * np.eye(len(weights))
        step = np.linalg.solve(bend, slope)
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def reliability(rows: Sequence[Row], confidence: Confidence) -> list[dict[str, float]]:
    """For each tenth of the confidence: how many suggestions, what was said of them on average, and what came."""
    said = np.array([confidence.of(Source(row["source"]), row["evidence"]) for row in rows])
    came = np.array([row["accepted"] for row in rows], np.float64)
    bins = np.minimum((said * _BINS).astype(int), _BINS - 1)
    return [
        {"count": int(among.sum()), "said": float(said[among].mean()), "came": float(came[among].mean())}
        for among in (bins == number for number in range(_BINS))
        if among.any()
    ]


def expected_error(bins: Sequence[dict[str, float]]) -> float:
    """The expected calibration error: how far off what was said is, on average (Naeini et al. 2015)."""
    total = sum(each["count"] for each in bins)
    return sum(each["count"] * abs(each["said"] - each["came"]) for each in bins) / total


def draw(by_source: dict[str, list[dict[str, float]]], picture: Path) -> None:
    """A reliability diagram per source.  Raises ImportError without matplotlib."""
    import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]

    mpl.use("Agg")
    from matplotlib import pyplot  # type: ignore[import-not-found,unused-ignore]

    figure, panels = pyplot.subplots(1, len(by_source), figsize=(4 * len(by_source), 3.6), dpi=100, squeeze=False)
    for axes, (source, bins) in zip(panels[0], by_source.items(), strict=True):
        most = max(each["count"] for each in bins)
        axes.bar(
            [each["said"] for each in bins],
            [each["count"] / most * 0.25 for each in bins],
            width=0.06,
            color="#cbd5e0",
            label="how often it was said",
        )
        axes.plot([0, 1], [0, 1], "--", color="#718096", lw=1, label="perfect")
        axes.plot([e["said"] for e in bins], [e["came"] for e in bins], "o-", color="#2b6cb0", label="measured")
        axes.set_title(f"{source}: off by {expected_error(bins):.3f} on average", fontsize=10)
        axes.set_xlabel("confidence", fontsize=9)
        axes.set_ylabel("first word was typed", fontsize=9)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(picture)
    pyplot.close(figure)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("collect", help="type sessions, and keep what was suggested")
    one.add_argument("files", type=Path, nargs="+", metavar="FILE", help="NAME.jsonl.gz, or source code")
    one.add_argument("--start", type=int, default=0, metavar="N", help="change to begin with; default: 0")
    one.add_argument("--keys", type=int, default=2000, metavar="N", help="changes to type; default: 2000")
    one.add_argument("--model", default="", metavar="NAME|PATH", help="default: the bundled one")
    for name, say in (("fit", "make weights of rows"), ("draw", "draw a reliability diagram")):
        commands.add_parser(name, help=say).add_argument("rows", type=Path, nargs="+")
    for each in commands.choices.values():
        each.add_argument("--out", type=Path, required=True, metavar="FILE")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run one command."""
    options = parse(arguments)
    if options.command == "collect":
        with private_home(("CONFIG_HOME", "CACHE_HOME", "STATE_HOME", "DATA_HOME")) as (_home, environ):
            folder = Path(environ["XDG_RUNTIME_DIR"]) / "engines"
            folder.mkdir(mode=0o700)
            try:
                rows = asyncio.run(collect(options, catalog.resolve(options.model), folder))
            except SessionFailed as failure:
                print(failure, file=sys.stderr)
                return 1
        options.out.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return 0
    rows = read_rows(options.rows)
    by_source = {str(s): [row for row in rows if row["source"] == s] for s in (Source.ECHO, Source.MODEL)}
    if options.command == "fit":
        weights = {source: fit(some) for source, some in by_source.items()}
        options.out.write_text(json.dumps(weights, indent=2) + "\n", "utf-8")
        return 0
    bins = {source: reliability(some, Confidence()) for source, some in by_source.items()}
    draw(bins, options.out)
    print(
        json.dumps({source: {"off by": round(expected_error(b), 4), "bins": b} for source, b in bins.items()}, indent=2)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
