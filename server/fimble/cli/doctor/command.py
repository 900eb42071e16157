"""The checks in their order, and how they are told."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache

from fimble.cli.doctor import answers, folders, llama, packages
from fimble.cli.doctor.finding import Check, Finding, look

_GREEN, _RED, _BOLD, _OFF = "\x1b[32m", "\x1b[1;31m", "\x1b[1m", "\x1b[0m"

#: In this order, because what comes first is often why what comes later fails.
_FIRST: tuple[tuple[str, Check], ...] = (
    ("Fimble", packages.fimble),
    ("Packages", packages.packages),
    ("llama.cpp", llama.library),
    ("GPU", llama.gpus),
    ("Compiler", llama.compiler),
    ("Command", folders.command),
)

#: These use the packages.
_REST: tuple[tuple[str, Check], ...] = (
    ("Machine", packages.machine),
    ("Settings", folders.settings),
    ("Socket folder", folders.sockets),
    ("Log folder", folders.logs),
    ("Cache", folders.cache),
    ("Index", answers.index),
    ("Model", answers.model),
    ("Best model", answers.best_model),
)


def run(as_json: bool) -> int:
    """Print every finding; returns the exit status: 0 if all is well, else 1."""
    findings = []
    for finding in _findings():
        findings.append(finding)
        if not as_json:
            _show(finding)
    well = all(finding.ok for finding in findings)
    if as_json:
        print(json.dumps({"ok": well, "findings": [asdict(one) for one in findings]}, indent=2))
    else:
        print("\nAll is well." if well else "\nSomething is wrong; see the fixes above.")
    return 0 if well else 1


def _findings() -> Iterator[Finding]:
    are_whole = True
    for what, check in _FIRST:
        for finding in look(what, check):
            are_whole = are_whole and (finding.ok or finding.what != "Packages")
            yield finding
    if are_whole:
        for what, check in _REST:
            yield from look(what, check)
        return
    names = ", ".join(what for what, _ in _REST)
    fix = "Mend the packages first, then run `fimble doctor` again."
    yield Finding(what="Not looked at", ok=False, found=f"{names}: they need what is broken", fix=fix)


def _show(finding: Finding) -> None:
    colour = _GREEN if finding.ok else _RED
    mark = "ok   " if finding.ok else "wrong"
    print(_painted(colour, mark), _painted(_BOLD, finding.what), f" {finding.found}", flush=True)
    if finding.fix:
        print(f"        {'Better' if finding.ok else 'Fix'}: {finding.fix}", flush=True)


def _painted(code: str, text: str) -> str:
    return f"{code}{text}{_OFF}" if _has_colour() else text


@cache
def _has_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
