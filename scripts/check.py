#!/usr/bin/env python3
"""Everything that must hold before a change is handed in: format, lint, types, generated files, tests.

    python3 scripts/check.py               look at everything; a step's output is shown when it fails
    python3 scripts/check.py --fix         first format, mend what the linter can mend, rewrite generated files
    python3 scripts/check.py --no-tests    leave the tests out: a matter of seconds

The exit status is 0 when every step is well, else 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import environment


@dataclass(frozen=True)
class Step:
    """One thing to check, as arguments for the environment's Python; *mend* is what makes it well."""

    name: str
    check: tuple[str, ...]
    mend: tuple[str, ...] = ()


STEPS = (
    Step("format", ("-m", "ruff", "format", "--check", "."), ("-m", "ruff", "format", ".")),
    Step("lint", ("-m", "ruff", "check", "."), ("-m", "ruff", "check", "--fix", ".")),
    Step("types", ("-m", "mypy")),
    Step("generated files", ("scripts/generate.py", "--check"), ("scripts/generate.py",)),
    Step("tests", ("-m", "pytest", "-q")),
)


def mend(python: Path) -> None:
    """Make well what can be made well without a person.  What cannot is found by the checks that follow."""
    fixes = {step.name: step.mend for step in STEPS if step.mend}
    # The linter's fixes and the generator's files may want formatting, so that comes last.
    for name in ("generated files", "lint", "format"):
        _run(python, fixes[name])


def check(python: Path, step: Step) -> bool:
    """Run one step and say how it went."""
    is_live = sys.stdout.isatty()
    if is_live:
        print(f"...    {step.name}", end="\r", flush=True)
    started = time.monotonic()
    done = _run(python, step.check)
    is_well = done.returncode == 0
    print(f"{_mark(is_well)}  {step.name:<16} {time.monotonic() - started:6.1f} s", flush=True)
    if not is_well:
        print("".join(f"         {line}\n" for line in done.stdout.rstrip().splitlines()), flush=True)
    return is_well


def _run(python: Path, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments],
        cwd=environment.ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def _mark(is_well: bool) -> str:
    word = "ok   " if is_well else "wrong"
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return word
    return f"\x1b[{'32' if is_well else '1;31'}m{word}\x1b[0m"


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fix", action="store_true", help="mend first what can be mended")
    parser.add_argument("--no-tests", action="store_true", help="leave the tests out")
    options = parser.parse_args(arguments)
    python = environment.ensure_or_exit()
    if options.fix:
        mend(python)
    steps = [step for step in STEPS if not (options.no_tests and step.name == "tests")]
    wrong = [step for step in steps if not check(python, step)]
    if not wrong:
        return 0
    advice = (
        " `python3 scripts/check.py --fix` may help." if any(step.mend for step in wrong) and not options.fix else ""
    )
    print(f"Wrong: {', '.join(step.name for step in wrong)}.{advice}")
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
