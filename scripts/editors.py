#!/usr/bin/env python3
"""Get the editors that Fimble is tested in, beside the ones of this machine, and test in them.

    python3 scripts/editors.py install neovim     set up a recent enough Neovim and print where it is
    python3 scripts/editors.py path neovim        print where it is, or say how to get it
    python3 scripts/editors.py test vscode        run its end-to-end tests and print a table
    python3 scripts/editors.py test               run those of every editor
    python3 scripts/editors.py test neovim --plugins FOLDER ...
                                                  also beside real completion menus: checkouts of nvim-cmp and blink.cmp

An editor that is too old here comes from a newer Debian suite or from npm, and is unpacked into a folder of its own
in the cache (``~/.cache/fimble-dev/editors``).  Deleting that folder takes it away again.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import environment
from editor_neovim import NEOVIM_VERSIONS, Version, install_neovim, neovim_name, neovim_path
from editor_setup import EditorError, say
from editor_vscode import install_vscode, vscode_path


@dataclass(frozen=True)
class Editor:
    """What this script can do about one editor; *tests* is a pattern in tests/editors, *variables* narrow it down."""

    install: Callable[[], Path]
    path: Callable[[], Path]
    tests: str
    variables: dict[str, str] = field(default_factory=dict)


def _neovim(version: Version) -> Editor:
    """One version of Neovim: the same files test each."""
    wanted = {"FIMBLE_TEST_NEOVIM": f"{version[0]}.{version[1]}"}
    return Editor(partial(install_neovim, version), partial(neovim_path, version), "test_neovim*.py", wanted)


EDITORS = {neovim_name(version): _neovim(version) for version in NEOVIM_VERSIONS} | {
    "vscode": Editor(lambda: install_vscode().code_server, vscode_path, "test_vscode*.py"),
}


def test(names: list[str], plugins: list[Path]) -> int:
    """Run the tests of these editors and print a table; return 0 if all of them passed."""
    given = {"FIMBLE_TEST_NEOVIM_PLUGINS": os.pathsep.join(map(str, plugins))} if plugins else {}
    rows = [_test(name, given) for name in names]
    print(f"\n{'editor':<12} {'tests':>6} {'passed':>7} {'seconds':>8}")
    for name, (tests, passed, seconds) in zip(names, rows, strict=True):
        print(f"{name:<12} {tests:>6} {passed:>7} {seconds:>8.0f}")
    return int(any(tests == 0 or passed < tests for tests, passed, _seconds in rows))


def _test(name: str, given: dict[str, str]) -> tuple[int, int, float]:
    """Run the tests of one editor; return how many there are, how many passed, and the seconds that they took."""
    files = [str(file) for file in sorted((environment.ROOT / "tests" / "editors").glob(EDITORS[name].tests))]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *files]
        subprocess.run(command, cwd=environment.ROOT, env={**os.environ, **given, **EDITORS[name].variables})
        suite = ElementTree.parse(report).getroot().find("testsuite") if report.is_file() else None
    if suite is None:
        return 0, 0, 0.0
    tests, *others = (int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped"))
    return tests, tests - sum(others), float(suite.get("time", "0"))


def main(argv: list[str]) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("install", "path", "test"))
    parser.add_argument("editors", nargs="*", metavar="EDITOR", help=f"{' or '.join(EDITORS)}; none: all of them")
    parser.add_argument("--plugins", nargs="+", type=Path, default=[], metavar="FOLDER", help="for `test` of Neovim")
    arguments = parser.parse_args(argv)
    names = arguments.editors or list(EDITORS)
    if unknown := set(names) - set(EDITORS):
        parser.error(f"there is no editor called {unknown.pop()}: choose from {', '.join(EDITORS)}")
    if importlib.util.find_spec("fimble") is None:
        environment.become([__file__, *argv])
    if arguments.action == "test":
        return test(names, [folder.resolve() for folder in arguments.plugins])
    status = 0
    for name in names:
        try:
            print(EDITORS[name].install() if arguments.action == "install" else EDITORS[name].path())
        except EditorError as problem:
            say(f"{name}: {problem}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
