"""A home for editors under test, and for all that they start."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil


@contextlib.contextmanager
def home_of_its_own() -> Iterator[dict[str, str]]:
    """An environment with nobody's settings and caches; what was started in it ends with it."""
    home = Path(tempfile.mkdtemp(prefix="fimble-"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FIMBLE_", "XDG_"))}
    for name in ("CONFIG_HOME", "DATA_HOME", "STATE_HOME", "CACHE_HOME", "RUNTIME_DIR"):
        folder = home / name.lower()
        folder.mkdir(mode=0o700)
        environment[f"XDG_{name}"] = str(folder)
    # How likely a suggestion must be is another test's business.
    environment["FIMBLE_SUGGEST_EAGERNESS"] = "eager"
    # VS Code would take the PATH of a login shell instead of this one.
    environment["VSCODE_CLI"] = "1"
    try:
        yield environment
    finally:
        end_processes_of(environment)
        shutil.rmtree(home, ignore_errors=True)


def end_processes_of(environment: dict[str, str]) -> None:
    """End what is still running in this environment: the engine outlives the editors by design."""
    ours = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("XDG_RUNTIME_DIR") == environment["XDG_RUNTIME_DIR"]:
                process.terminate()
                ours.append(process)
    _, still_alive = psutil.wait_procs(ours, timeout=10)
    for process in still_alive:
        process.kill()
