#!/usr/bin/env python3
"""See Fimble at work: real suggestions in a small project, typed before your eyes.

    python3 scripts/demo.py                  watch it
    python3 scripts/demo.py --json           only the suggestions, for scripts
    python3 scripts/demo.py --model NAME     with another model: a name from `fimble models list`, or a GGUF file

It starts the real language server and the real engine, in a folder of their own, and ends them afterwards.  The
first time, Fimble's environment (.venv) is made.
"""

from __future__ import annotations

import argparse
import sys

import environment


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the suggestions as JSON, and nothing else")
    parser.add_argument("--model", default="", metavar="NAME|PATH", help="use this model; default: the bundled one")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    parse(sys.argv[1:])  # what is wrong with them is said before minutes are spent on an environment
    environment.become([str(environment.ROOT / "scripts" / "demonstration.py"), *sys.argv[1:]])
