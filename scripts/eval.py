#!/usr/bin/env python3
"""How good are the suggestions?  Ask for one at every task of a file, and write them where score.py can read them.

    python3 scripts/eval.py TASKS.jsonl --out both.jsonl                    as in an editor: echo first, then the model
    python3 scripts/eval.py TASKS.jsonl --out echo.jsonl --mode echo        copies only, without any model
    python3 scripts/eval.py TASKS.jsonl --out model.jsonl --mode model      the model only
    python3 scripts/eval.py TASKS.jsonl --out bits.jsonl --mode logprob     how surprised is the model by the true text?

A task is one JSON object a line: id, path, prefix, suffix, groundtruth; language and crossfile may be there, too.

The first three modes start the real `fimble lsp` in a folder of its own, without your settings and with nothing
cached.  For each task a document is opened, a suggestion is asked for once at the end of the prefix, as after a key,
and the document is closed.  A line of the output: {"id", "completion", "latency_ms", "shown", "source"}.

The fourth asks the model directly: {"id", "bits", "bytes"}, the bits that the true text costs when every token of
it is foretold from the true ones before.  It still tells models apart that never get a whole line right.
"""

from __future__ import annotations

import argparse
import sys

import environment

#: What the setting suggest.deadline_ms takes.
_DEADLINES_MS = range(50, 60_001)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", metavar="TASKS.jsonl", help="the tasks")
    parser.add_argument("--out", required=True, metavar="PREDICTIONS.jsonl", help="where the answers go; overwritten")
    modes = ("both", "echo", "model", "logprob")
    parser.add_argument("--mode", choices=modes, default="both", help="who is asked; default: both, as in an editor")
    parser.add_argument("--model", default="", metavar="NAME|PATH", help="use this model; default: the bundled one")
    parser.add_argument(
        "--typing",
        action="store_true",
        help="ask as after a key: what is not likely enough (suggest.eagerness) is not shown",
    )
    parser.add_argument("--limit", type=_count, metavar="N", help="only the first N tasks")
    parser.add_argument(
        "--context",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="have the pieces of other files that a task brings (crossfile) open beside it; default: yes",
    )
    parser.add_argument(
        "--layout",
        choices=("product", "unhealed", "plain"),
        default="product",
        help="of the prompt in mode logprob: as Fimble asks; without token healing; with the prefix up to the cursor",
    )
    parser.add_argument(
        "--deadline-ms",
        type=_deadline_ms,
        metavar="N",
        help="give up on the model after this long, 50 to 60000; default: the product's own deadline",
    )
    parser.add_argument(
        "--scorer",
        default="",
        metavar="SCORE.PY",
        help="named in the command line that is printed at the end; default: score.py beside the tasks",
    )
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _deadline_ms(text: str) -> int:
    if not text.isdecimal() or int(text) not in _DEADLINES_MS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {_DEADLINES_MS[0]} to {_DEADLINES_MS[-1]}")
    return int(text)


if __name__ == "__main__":
    parse(sys.argv[1:])  # what is wrong with them is said before minutes are spent on an environment
    environment.become([str(environment.ROOT / "scripts" / "eval_run.py"), *sys.argv[1:]])
