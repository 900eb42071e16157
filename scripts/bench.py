#!/usr/bin/env python3
"""How fast is Fimble?  Everything that is compared runs side by side, turn by turn, in one run; read the ratios.

    python3 scripts/bench.py models FOLDER                   first: models of random weights, 45 M, 0.5 B and 1.5 B
    python3 scripts/bench.py llama-server FOLDER             build a llama-server to compare with (minutes)
    python3 scripts/bench.py engine --model GGUF             our engine against a bare llama.cpp loop, and under load
    python3 scripts/bench.py typing --model GGUF --traces FOLDER --llama-server PROGRAM
                                                             typing sessions, key by key, against llama-server
    python3 scripts/bench.py typing ... --paced              the same at a person's pace
    python3 scripts/bench.py context --repository FOLDER --traces FOLDER
                                                             what looking into a repository costs
    python3 scripts/bench.py fit FOLDER                      what `fimble models fit` predicts, and what is true
    python3 scripts/bench.py keys --traces FOLDER            how many keys suggestions save, and how many are wrong

`engine` measures, unless --parts names fewer:

    decode     tokens/s against a loop of llama.cpp calls in a process of its own, same threads, same spinning
    overhead   call to first token, less what llama.cpp took
    cancel     going away in the middle of a long prompt: milliseconds and tokens until the engine stands still
    windows    four at once against one at a time; memory against an engine that served one
    busy       a key with one process computing on every core against a quiet machine
    threads    the product's choice of threads and spinning against every other

`typing` plays recorded sessions (FOLDER holds NAME.jsonl.gz) into the product's own window and engine, on prompts of
about 2,000 tokens with constant snippets; echo, memory and disk cache are off, so that every key asks the engine.
It counts the tokens evaluated anew at each key, those that were warmed while the person paused, and the times to the
first token and to the finished line.  With --llama-server two more play the same keys: llama.vim's requests, and a
plain window that slides.  Both write greedily, as ours does, on as many threads as our engine is seen to use.
Who waits for its turn is suspended.

`context` types in a file of a repository while that is read for the first time, and afterwards: the window's own work
at a key, the time of a look into the repository at a pause, files read in a second, memory, a restart; then the tokens
evaluated anew at each key with what is found in pauses, against constant snippets of the same size.

`keys` types recorded sessions into the real `fimble lsp`, key by key, and accepts what is right: as a whole, up to a
word's edge, or never.  It counts the keys that were saved, what was accepted of all that was shown, and the answers for
which nobody had to ask the engine, for every setting of `suggest.eagerness` and with each source alone.  With --idle-ms
they pause after each key, as people do, and the server works ahead meanwhile.

`fit` predicts each of the models that `models` has made in FOLDER from its architecture alone, as `fimble models fit`
does, and then measures the file: writing in a bare loop of llama.cpp calls, reading and a key in the product's engine.

Weights do not matter for speed.  Random ones never end a line, so a finished line is --n-predict tokens; the
tokens that were written are counted beside.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

import environment

EAGERNESS = ("eager", "balanced", "quiet")
SOURCES = ("all", "echo", "model")
TYPISTS = ("whole", "word", "never")
PARTS = ("decode", "overhead", "cancel", "windows", "busy", "threads")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    engine = commands.add_parser("engine", help="our engine against a bare llama.cpp loop, and under load")
    _add_common(engine, keys=100, least=5)
    engine.add_argument(
        "--parts",
        type=_some_of(PARTS),
        default=PARTS,
        metavar="A,B",
        help=f"only these of {', '.join(PARTS)}; default: all",
    )
    typing = commands.add_parser("typing", help="typing sessions, key by key")
    _add_common(typing, keys=400, least=1)
    typing.add_argument("--traces", required=True, metavar="FOLDER", help="recorded sessions, NAME.jsonl.gz")
    typing.add_argument("--trace", metavar="NAME", help="only this one of them")
    typing.add_argument("--llama-server", metavar="PROGRAM", help="compare with it")
    typing.add_argument("--paced", action="store_true", help="at a person's pace, instead of waiting for each answer")
    context = commands.add_parser("context", help="what looking into a repository costs")
    _add_common(context, keys=200, least=20)
    context.add_argument(
        "--repository", required=True, type=os.path.realpath, metavar="FOLDER", help="the files that are looked into"
    )
    context.add_argument("--traces", required=True, metavar="FOLDER", help="recorded sessions, NAME.jsonl.gz")
    context.add_argument("--trace", metavar="NAME", help="only this one of them")
    keys = commands.add_parser("keys", help="keys that suggestions save")
    keys.add_argument("--traces", required=True, metavar="FOLDER", help="recorded sessions, NAME.jsonl.gz")
    keys.add_argument("--trace", metavar="NAME", help="only this one of them")
    keys.add_argument("--model", default="", metavar="NAME|PATH", help="suggest with this; default: the bundled one")
    keys.add_argument("--start", type=_count(0), default=0, metavar="N", help="change to begin with; default: 0")
    keys.add_argument("--changes", type=_count(1), default=2000, metavar="N", help="changes typed; default: 2000")
    for name, choices in (("eagerness", EAGERNESS), ("sources", SOURCES), ("typists", TYPISTS)):
        keys.add_argument(
            f"--{name}",
            type=_some_of(choices),
            default=choices,
            metavar="A,B",
            help=f"of {', '.join(choices)}; default: all",
        )
    keys.add_argument(
        "--idle-ms", type=_count(0), default=0, metavar="MS", help="the pause after each key; default: 0, none"
    )
    keys.add_argument("--json", action="store_true", help="the figures as JSON on stdout; the tables go to stderr")
    fit = commands.add_parser("fit", help="what `fimble models fit` predicts, and what is true")
    fit.add_argument("folder", metavar="FOLDER", help="the models that `models` made")
    fit.add_argument("--only", default="", metavar="FILE", help="only this one of them")
    fit.add_argument("--json", action="store_true", help="the figures as JSON on stdout; the tables go to stderr")
    models = commands.add_parser("models", help="make models of random weights")
    models.add_argument("folder", metavar="FOLDER", help="where they go; what is there already is kept")
    server = commands.add_parser("llama-server", help="build llama-server from the source that our llama.cpp came with")
    server.add_argument("folder", metavar="FOLDER", help="where it goes")
    server.add_argument("--jobs", type=_count(1), default=2, metavar="N", help="compilers at a time; default: 2")
    return parser.parse_args(arguments)


def _add_common(parser: argparse.ArgumentParser, keys: int, least: int) -> None:
    parser.add_argument("--model", default="", metavar="NAME|PATH", help="measure with this; default: the bundled one")
    parser.add_argument("--keys", type=_count(least), default=keys, metavar="N", help=f"keys; default: {keys}")
    parser.add_argument("--n-predict", type=_count(2), default=16, metavar="N", help="tokens of an answer; default: 16")
    parser.add_argument(
        "--prompt-tokens", type=_count(16), default=2000, metavar="N", help="of a long prompt; default: 2000"
    )
    parser.add_argument(
        "--threads", type=_count(0), default=0, metavar="N", help="default: 0, what the product chooses"
    )
    parser.add_argument("--json", action="store_true", help="the figures as JSON on stdout; the tables go to stderr")


def _some_of(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def choose(text: str) -> tuple[str, ...]:
        wanted = tuple(text.split(","))
        if unknown := set(wanted) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is none of {', '.join(known)}")
        return wanted

    return choose


class _count:  # noqa: N801 - argparse shows a type's name
    """A number from *least* on."""

    def __init__(self, least: int) -> None:
        self._least = least

    def __call__(self, text: str) -> int:
        if not text.isdecimal() or int(text) < self._least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {self._least} on")
        return int(text)


if __name__ == "__main__":
    parse(sys.argv[1:])  # what is wrong with them is said before minutes are spent on an environment
    environment.become([str(environment.ROOT / "scripts" / "bench_run.py"), *sys.argv[1:]])
