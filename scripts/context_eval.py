#!/usr/bin/env python3
"""Does retrieval find what decides a line?  Asks the real one for every task that context_tasks.py has cut.

    python3 scripts/context_tasks.py FOLDER                        first: cut the tasks
    python3 scripts/context_eval.py FOLDER --set tune              while something is being changed
    python3 scripts/context_eval.py FOLDER --set heldout --write   once, for the figures that are reported

Builds the index of each project as `fimble` does (kept in FOLDER/index; --anew makes it again), asks it at each cursor
with the text as it stands there, and says, by language, beside plain BM25 chunks:

- file    the file that defines the name is among the first five snippets' files
- itself  the first line of the definition is in the snippets, within the budget
- ms      how long retrieval computed, median and 95th percentile; what else the machine does is not counted

--together asks one large repository instead, which holds every project: for times, not for shares.

--write puts the snippets into copies of the task files: SET-none, SET-bm25, SET-ours and SET-oracle (the definition
itself) .jsonl, and for the control tasks SET-control-none and SET-control-ours.  Then:

    python3 scripts/eval.py FOLDER/SET-ours.jsonl --mode logprob --out ours.jsonl         (and so on for each)
    python3 scripts/scores.py FOLDER/SET.jsonl none=none.jsonl bm25=bm25.jsonl ours=ours.jsonl --minus none

--product asks the real `fimble lsp` by hand for a suggestion at each task, in the project itself, with the index on and
off, and writes SET.on.jsonl, SET.off.jsonl and the same of the control tasks:

    python3 scripts/scores.py FOLDER/SET.jsonl off=FOLDER/SET.off.jsonl on=FOLDER/SET.on.jsonl --minus off
"""

from __future__ import annotations

import argparse
import sys

import environment
from context_projects import SETS

#: What 3/10 of a prompt hold with the bundled model: 225 of 1,024 tokens, of 3.4 characters each.
DEFAULT_BUDGET_CHARS = 760


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", help="where context_tasks.py has put its tasks")
    parser.add_argument("--set", choices=list(SETS), default="tune", help="which projects; default: tune")
    parser.add_argument(
        "--budget-chars", type=_chars, default=DEFAULT_BUDGET_CHARS, metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--anew", action="store_true", help="build the indexes again")
    parser.add_argument(
        "--together", action="store_true", help="ask one index of all the projects that were fetched, of both sets"
    )
    parser.add_argument(
        "--product", action="store_true", help="ask for suggestions instead, with the index and without"
    )
    parser.add_argument("--write", action="store_true", help="write the tasks with their snippets")
    parser.add_argument(
        "--misses", type=int, default=0, metavar="N", help="show N tasks whose definition was not found"
    )
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    return parser.parse_args(arguments)


def _chars(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of characters from 1 on")
    return int(text)


if __name__ == "__main__":
    parse(sys.argv[1:])  # what is wrong with them is said before minutes are spent on an environment
    environment.become([str(environment.ROOT / "scripts" / "context_eval_run.py"), *sys.argv[1:]])
