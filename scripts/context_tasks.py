#!/usr/bin/env python3
"""Lines whose rest names something of another file, cut from real projects, and lines that need no other file.

    python3 scripts/context_tasks.py FOLDER                 both sets of projects: tune and heldout
    python3 scripts/context_tasks.py FOLDER --set heldout   one of them
    python3 scripts/context_tasks.py --projects             which projects they are

Fetches pinned packages through pip and npm (nothing of them runs; FOLDER keeps their sources, about 150 MB), reads them
with tree-sitter and writes into FOLDER, for each set:

- SET.jsonl           the tasks: the line's rest names what one other file of the project defines, and the cursor's own
                      file has not named it yet except where it imports it
- SET-control.jsonl   lines all of whose names stood in the file before: another file can only disturb there

A task is one JSON object a line, in the format of eval.py: id, language, path, prefix, suffix, groundtruth, crossfile
(empty here; context_eval.py fills it).  With it come project (a folder below FOLDER/projects), offset (in code points),
name, defined_in (the file) and definition ([start, end] in it), and cut: where the line was cut, "name" (just before
it), "token" (before an earlier token of the line) or "line" (at its first character).

The projects and the seed are fixed, so two machines cut the same tasks.  Tune on the one set, report the other.
"""

from __future__ import annotations

import argparse
import sys

import environment
from context_projects import SETS


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="where sources and tasks go; outside the checkout")
    parser.add_argument("--set", choices=[*SETS, "both"], default="both", help="which projects; default: both")
    parser.add_argument("--json", action="store_true", help="say what was cut as JSON")
    parser.add_argument("--projects", action="store_true", help="list the projects and end")
    options = parser.parse_args(arguments)
    if not options.folder and not options.projects:
        parser.error("FOLDER is missing: where should sources and tasks go?")
    return options


if __name__ == "__main__":
    asked = parse(sys.argv[1:])
    if asked.projects:
        for each, members in SETS.items():
            print(f"{each}: " + ", ".join(f"{one.name} {one.version}" for one in members))
        sys.exit(0)
    environment.become([str(environment.ROOT / "scripts" / "context_tasks_run.py"), *sys.argv[1:]])
