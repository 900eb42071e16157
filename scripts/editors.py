#!/usr/bin/env python3
"""Get the editors that Fimble is tested in, beside the ones of this machine, and test in them.

    python3 scripts/editors.py install neovim     set up a recent enough Neovim and print where it is
    python3 scripts/editors.py path neovim        print where it is, or say how to get it
    python3 scripts/editors.py test vscode        run its end-to-end tests
    python3 scripts/editors.py test               run those of every editor

An editor that is too old here comes from a newer Debian suite or from npm, and is unpacked into a folder of its own
in the cache (``~/.cache/fimble-dev/editors``).  Deleting that folder takes it away again.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import environment
from editor_neovim import install_neovim, neovim_path
from editor_setup import EditorError, say
from editor_vscode import install_vscode, vscode_path


@dataclass(frozen=True)
class Editor:
    """What this script can do about one editor; *tests* is a pattern in tests/editors."""

    install: Callable[[], Path]
    path: Callable[[], Path]
    tests: str


EDITORS = {
    "neovim": Editor(install_neovim, neovim_path, "test_neovim*.py"),
    "neovim-0.10": Editor(lambda: install_neovim((0, 10)), lambda: neovim_path((0, 10)), "test_neovim*.py"),
    "vscode": Editor(lambda: install_vscode().code_server, vscode_path, "test_vscode*.py"),
}


def test(names: list[str]) -> int:
    """Run the tests of these editors; return the exit status of pytest."""
    folder = environment.ROOT / "tests" / "editors"
    patterns = dict.fromkeys(EDITORS[name].tests for name in names)  # those of all versions of an editor are the same
    files = [str(file) for pattern in patterns for file in sorted(folder.glob(pattern))]
    return subprocess.run([sys.executable, "-m", "pytest", "--durations=0", *files], cwd=environment.ROOT).returncode


def main(argv: list[str]) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("install", "path", "test"))
    parser.add_argument("editors", nargs="*", metavar="EDITOR", help=f"{' or '.join(EDITORS)}; none: all of them")
    arguments = parser.parse_args(argv)
    names = arguments.editors or list(EDITORS)
    if unknown := set(names) - set(EDITORS):
        parser.error(f"there is no editor called {unknown.pop()}: choose from {', '.join(EDITORS)}")
    if importlib.util.find_spec("fimble") is None:
        environment.become([__file__, *argv])
    if arguments.action == "test":
        return test(names)
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
