"""Judge a finished model: every figure of its card with one command.

    python judge.py W/fimble-small-q8_0.gguf --store W/store --held-out W/heldout --out W/judged \\
        --tasks held-out=W/tasks.jsonl --tasks NAME=OTHER.jsonl

For each set of tasks it asks the product with the model alone, with copies alone (echo) and with both, takes bits per
byte of the model and of the 5-gram model (ngram.py), and where the tasks bring pieces of other files, does so with and
without them; then it looks for training text in what the model writes (regurgitation.py).  ``OUT/card.md`` gets the
tables (scripts/scores.py says what the figures mean), ``OUT/scores.json`` the same figures unrounded.

What is in OUT is not computed again; a run that was interrupted goes on with the same line.  OUT belongs to one model
and these sets: another model or set of the same name is refused.  The product is judged as it lies in the checkout; if
it was edited meanwhile, or a model failed or was too slow, the card says so at its end.  Suggestions get half a minute
each, so that a busy machine changes no figure; nothing here measures speed.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import regurgitation
from progress import Line

_HERE = Path(__file__).resolve().parent
_SCRIPTS = _HERE.parents[1] / "scripts"
_SERVER = _HERE.parents[1] / "server" / "fimble"
_DEADLINE_MS = 30_000

#: What each way to ask is called in the tables.
_MODES = ("echo", "model", "both", "logprob")
_BASELINE = "5-gram"


@dataclass(frozen=True, slots=True)
class Step:
    """A child process and the files that it leaves: each gets its own name only when the process is done."""

    what: str
    command: tuple[str, ...]
    moves: tuple[tuple[Path, Path], ...]


@dataclass(frozen=True, slots=True)
class TaskSet:
    """A set of tasks as it is asked: ``tasks`` is cut to the limit and lies in OUT."""

    name: str
    tasks: Path
    count: int
    has_pieces: bool

    @property
    def contexts(self) -> tuple[bool, ...]:
        """With pieces of other files, and without; for a set that has none, that is the same."""
        return (True, False) if self.has_pieces else (True,)


@dataclass(slots=True)
class Judgement:
    """What is judged, and where everything goes."""

    model: Path
    store: Path
    held_out: Path
    out: Path
    sets: list[TaskSet] = field(default_factory=list)

    @property
    def views(self) -> list[tuple[TaskSet, bool]]:
        """Every set with pieces of other files, and where it has some without them."""
        return [(one, with_pieces) for one in self.sets for with_pieces in one.contexts]

    def answers(self, one: TaskSet, mode: str, with_pieces: bool) -> Path:
        """The file with the answers of one mode."""
        # Only what a mode can see makes it differ: the 5-gram model sees no pieces at all.
        alone = ".alone" if one.has_pieces and not with_pieces and mode != _BASELINE else ""
        return self.out / f"{one.name}.{mode}{alone}.jsonl"


def prepare(judgement: Judgement, named: Sequence[tuple[str, Path]], limit: int | None) -> None:
    """Cut the sets to the limit; raises ValueError if OUT belongs to something else."""
    judgement.out.mkdir(parents=True, exist_ok=True)
    identity = {"model": _digest(judgement.model.read_bytes())}
    for name, path in named:
        with path.open(encoding="utf-8") as file:
            lines = list(itertools.islice((line for line in file if line.strip()), limit))
        text = "".join(line if line.endswith("\n") else line + "\n" for line in lines)
        identity[name] = _digest(text.encode())
        tasks = judgement.out / f"{name}.tasks.jsonl"
        tasks.write_text(text, "utf-8")
        has_pieces = any(json.loads(line).get("crossfile") for line in lines)
        judgement.sets.append(TaskSet(name, tasks, len(lines), has_pieces))
    stamp = judgement.out / "judged.json"
    known = json.loads(stamp.read_text("utf-8")) if stamp.exists() else {}
    if other := sorted(name for name in identity if known.get(name, identity[name]) != identity[name]):
        raise ValueError(f"{judgement.out} has answers for another {', '.join(other)}: name another folder with --out")
    stamp.write_text(json.dumps({"product": [], **known, **identity}, indent=1) + "\n", "utf-8")


def note_product(judgement: Judgement) -> None:
    """Remember which code of Fimble is judged; `complaints` tells if it did not stay the same."""
    sources = sorted([*_SERVER.rglob("*.py"), *_SCRIPTS.glob("eval*.py")])
    product = _digest(b"".join(path.read_bytes() for path in sources))
    stamp = judgement.out / "judged.json"
    known = json.loads(stamp.read_text("utf-8"))
    known["product"] = sorted({product, *known["product"]})
    stamp.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def steps(judgement: Judgement) -> list[Step]:
    """Everything that is left to do.  The 5-gram model is fitted once for all sets, takes long and comes first."""
    found = [_ngram_step(judgement)]
    for (one, with_pieces), mode in itertools.product(judgement.views, _MODES):
        found.append(_eval_step(judgement, one, mode, with_pieces))
    out = judgement.out / "regurgitation.json"
    paths = (judgement.model, judgement.store, judgement.held_out, "--out", out.with_suffix(".part"))
    command = (str(_HERE / "regurgitation.py"), *map(str, paths))
    found.append(Step("regurgitation", command, ((out.with_suffix(".part"), out),)))
    return [step for step in found if not all(out.exists() for _, out in step.moves)]


def _ngram_step(judgement: Judgement) -> Step:
    folder = judgement.out / "ngram.part"
    outs = {one: judgement.answers(one, _BASELINE, True) for one in judgement.sets}
    left = [one for one, out in outs.items() if not out.exists()]
    command = [str(_HERE / "ngram.py"), str(judgement.store), "--out", str(folder)]
    command += ["--tasks", *(str(one.tasks) for one in left)]
    return Step(_BASELINE, tuple(command), tuple((folder / one.tasks.name, outs[one]) for one in left))


def _eval_step(judgement: Judgement, one: TaskSet, mode: str, with_pieces: bool) -> Step:
    out = judgement.answers(one, mode, with_pieces)
    part = out.with_suffix(".part")
    command = [str(_SCRIPTS / "eval.py"), str(one.tasks), "--out", str(part), "--mode", mode]
    command += ["--deadline-ms", str(_DEADLINE_MS), "--context" if with_pieces else "--no-context"]
    command += [] if mode == "echo" else ["--model", str(judgement.model)]
    alone = "" if with_pieces else ", this file only"
    return Step(f"{one.name}, {mode}{alone}, {one.count} tasks", tuple(command), ((part, out),))


def run(step: Step) -> str:
    """Run a step, return what it was; raises RuntimeError with the end of what it said if it failed."""
    done = subprocess.run([sys.executable, *step.command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{step.what} failed:\n{(done.stdout + done.stderr)[-1500:]}")
    for written, out in step.moves:
        written.replace(out)
        out.with_suffix(".said.txt").write_text(done.stdout + done.stderr, "utf-8")
    return step.what


def run_all(left: Sequence[Step], jobs: int, line: Line) -> None:
    """Run *jobs* steps at a time; the first failure ends it when those that run have ended."""
    began = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for number, future in enumerate(as_completed([pool.submit(run, step) for step in left]), 1):
                minutes = (time.monotonic() - began) / 60
                line.show(number / len(left), f"{number} of {len(left)}, {minutes:.1f} minutes, last {future.result()}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


# --- the tables ---------------------------------------------------------------------------------------------

#: Who is put into one table, and against whom.
_TABLES = ((("echo", "model", "both"), "echo"), (("logprob", _BASELINE), _BASELINE))


def scores(judgement: Judgement, one: TaskSet, which: int, with_pieces: bool, form: str) -> str:
    """What scripts/scores.py says about one set; by language only where everything is in sight."""
    modes, minus = _TABLES[which]
    command = [sys.executable, str(_SCRIPTS / "scores.py"), str(one.tasks), "--minus", minus, f"--{form}"]
    command += [f"{'model' if m == 'logprob' else m}={judgement.answers(one, m, with_pieces)}" for m in modes]
    command += [] if with_pieces else ["--no-languages"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"scores.py failed on {one.name}: {done.stderr[-800:]}")
    return done.stdout


def card(judgement: Judgement) -> str:
    """All tables, and what went wrong on the way."""
    parts = [f"## Scores of {judgement.model.name}\n"]
    parts.append("In percent of all tasks, or bits per byte of the true text; 95 % bootstrap intervals over tasks.\n")
    for one, with_pieces in judgement.views:
        seen = "" if not one.has_pieces else ", with other files" if with_pieces else ", without other files"
        parts.append(f"### {one.name}: {one.count} tasks{seen}\n")
        parts += [scores(judgement, one, which, with_pieces, "markdown") for which in range(len(_TABLES))]
    parts.append("### Training text in what it writes\n")
    rows = json.loads((judgement.out / "regurgitation.json").read_text("utf-8"))
    parts.append(regurgitation.markdown([regurgitation.Found(**row) for row in rows]))
    if notes := complaints(judgement):
        parts.append("### What went wrong\n\n" + "".join(f"- {note}\n" for note in notes))
    return "\n".join(parts)


def complaints(judgement: Judgement) -> list[str]:
    """Why the figures may be those of something else: a model that failed, a product that was edited meanwhile."""
    stamp = json.loads((judgement.out / "judged.json").read_text("utf-8"))
    changed = len(stamp["product"]) > 1
    notes = ["Fimble's own code changed while this was measured; remove OUT and judge a copy."] if changed else []
    for said in sorted(judgement.out.glob("*.said.txt")):
        lines = said.read_text("utf-8").splitlines()
        notes += [f"{said.name.removesuffix('.said.txt')}: {line}" for line in lines if line.startswith("The model ")]
    return notes


def figures(judgement: Judgement) -> dict[str, object]:
    """The same tables, for programs."""
    return {
        f"{one.name}{'' if with_pieces else '.alone'}": [
            row
            for which in range(len(_TABLES))
            for row in json.loads(scores(judgement, one, which, with_pieces, "json"))
        ]
        for one, with_pieces in judgement.views
    }


def _named(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not name or "/" in name or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TASKS.jsonl")
    return name, Path(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL.gguf")
    parser.add_argument("--store", type=Path, required=True, help="what the model was trained on")
    parser.add_argument("--held-out", type=Path, required=True, metavar="STORE", help="held-out text, to be continued")
    parser.add_argument("--tasks", type=_named, action="append", required=True, metavar="NAME=TASKS.jsonl")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N tasks of each set")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    args = parser.parse_args(arguments)
    judgement = Judgement(args.model.resolve(), args.store, args.held_out, args.out)
    line = Line()
    try:
        prepare(judgement, args.tasks, args.limit)
        note_product(judgement)
        run_all(steps(judgement), args.jobs, line)
        note_product(judgement)
        (args.out / "scores.json").write_text(json.dumps(figures(judgement), indent=1) + "\n", "utf-8")
        (args.out / "card.md").write_text(card(judgement), "utf-8")
    except (ValueError, RuntimeError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same line goes on.", file=sys.stderr)
        return 130
    line.note(f"{args.out / 'card.md'} is written.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
