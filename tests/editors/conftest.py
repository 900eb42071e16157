"""What every editor's tests need: the editor itself, the `fimble` under test, and a home of its own for both."""

from __future__ import annotations

import contextlib
import os
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from nvim_window import NEOVIM_FILES, Neovim, running

from editor_neovim import NEOVIM_SUITES, install_neovim
from editor_setup import EditorError


@pytest.fixture(scope="session", params=sorted(NEOVIM_SUITES, reverse=True), ids=lambda v: f"{v[0]}.{v[1]}")
def neovim(request: pytest.FixtureRequest) -> Path:
    """The path of each Neovim that the plugin is for; it is installed beside the system's own when there is none."""
    try:
        return install_neovim(request.param)
    except EditorError as problem:  # a missing editor must not look like a passed test
        pytest.fail(f"no Neovim to test in (`--ignore tests/editors` leaves these tests out): {problem}")


@pytest.fixture
def nvim(neovim: Path, editor_environment: dict[str, str], tmp_path: Path) -> Iterator[Neovim]:
    """A Neovim that is set up by init.example.lua and nothing else."""
    # What one test has seen and learned is nothing that another knows; the engine they share.
    environment = editor_environment | {f"XDG_{name}_HOME": str(tmp_path / name) for name in ("CACHE", "STATE", "DATA")}
    setup = ["--cmd", f"set runtimepath^={NEOVIM_FILES}", "-u", str(NEOVIM_FILES / "init.example.lua")]
    with running([str(neovim), "--headless", "--embed", "--clean", "-n", *setup], environment) as editor:
        yield editor


@pytest.fixture(scope="session")
def editor_environment() -> Iterator[dict[str, str]]:
    """The environment of the editors under test: this virtual environment's `fimble`, nobody's settings or caches.

    It is one for the whole session, so that the model is loaded once.  The folder is made here and not by pytest
    because the engine's Unix socket lives in it, and a socket's path may hold no more than about 100 characters.
    """
    scripts = Path(sysconfig.get_path("scripts"))
    if not (scripts / "fimble").exists():
        pytest.fail("the `fimble` command is missing from this virtual environment: `pip install -e .[dev]`")
    home = Path(tempfile.mkdtemp(prefix="fimble-"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FIMBLE_", "XDG_"))}
    environment["PATH"] = os.pathsep.join([str(scripts), os.environ.get("PATH", os.defpath)])
    for name in ("CONFIG_HOME", "DATA_HOME", "STATE_HOME", "CACHE_HOME", "RUNTIME_DIR"):
        folder = home / name.lower()
        folder.mkdir(mode=0o700)
        environment[f"XDG_{name}"] = str(folder)
    # How likely a suggestion must be is another test's business.
    environment["FIMBLE_SUGGEST_EAGERNESS"] = "eager"
    yield environment
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
