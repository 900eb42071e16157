#!/usr/bin/env python3
"""Make the VS Code extension, editors/vscode/dist/fimble-VERSION.vsix, with the server's wheel of that version in it.

    python3 scripts/vsix.py             check, test, bundle and package; print the path of the file
    python3 scripts/vsix.py --unchecked only bundle and package

The language client, the bundler and the packager come from npm, as package-lock.json says; Node comes with the ``dev``
extra.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import environment
from editor_setup import EditorError, only_one_installer, run, say
from editor_vscode import node, npm

EXTENSION = environment.ROOT / "editors" / "vscode"
_TYPESCRIPT = "node_modules/typescript/bin/tsc"
_VSCE = "node_modules/@vscode/vsce/vsce"


def build(*, checked: bool = True) -> Path:
    """Make the package and return its path.  Raises EditorError with what a tool said."""
    from fimble import __version__

    with only_one_installer(EXTENSION / "dist"):
        install_packages()
        if checked:
            _node(_TYPESCRIPT, "--project", ".")
            _node(
                "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
                "--test",
                *sorted(str(test) for test in (EXTENSION / "test").glob("*.test.ts")),
            )
        _node("esbuild.mjs")
        _put_wheel()
        shutil.copy(environment.ROOT / "LICENSE", EXTENSION / "LICENSE")
        package = EXTENSION / "dist" / f"fimble-{__version__}.vsix"
        # The links of its README stay what they are: it has no public address to which they could be turned.
        _node(_VSCE, "package", "--no-dependencies", "--no-rewrite-relative-links", "--out", str(package))
    return package


def install_packages() -> None:
    """Fetch what package-lock.json names, unless that is there already."""
    lock, installed = EXTENSION / "package-lock.json", EXTENSION / "node_modules" / "fimble.lock"
    if installed.is_file() and installed.read_bytes() == lock.read_bytes():
        return
    say("Getting the extension's packages from npm ...")
    npm("ci", folder=EXTENSION)
    shutil.copy(lock, installed)


def _put_wheel() -> None:
    folder = EXTENSION / "server"
    shutil.rmtree(folder, ignore_errors=True)
    hatch = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(hatch, cwd=environment.ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise EditorError(f"the server's wheel could not be built:\n{done.stderr}")


def _node(*arguments: str) -> None:
    run([str(node()), *arguments], folder=EXTENSION)


def main(argv: list[str]) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unchecked", action="store_true", help="neither check types nor run unit tests")
    options = parser.parse_args(argv)
    if importlib.util.find_spec("fimble") is None:
        environment.become([__file__, *argv])
    try:
        print(build(checked=not options.unchecked))
    except EditorError as problem:
        say(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
