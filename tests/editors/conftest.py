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
from vscode_window import CodeServer, Workbench

import vsix
from editor_neovim import install_neovim
from editor_setup import EditorError
from editor_vscode import VSCode, install_vscode


@pytest.fixture(scope="session")
def neovim() -> Path:
    """The path of a Neovim >= 0.12; it is installed beside the system's own when there is none."""
    try:
        return install_neovim()
    except EditorError as problem:  # a missing editor must not look like a passed test
        pytest.fail(f"no Neovim to test in (`--ignore tests/editors` leaves these tests out): {problem}")


@pytest.fixture(scope="session")
def vscode() -> VSCode:
    """code-server with its Node and its browser; what is missing is installed."""
    try:
        return install_vscode()
    except EditorError as problem:
        pytest.fail(f"no VS Code to test in (`--ignore tests/editors` leaves these tests out): {problem}")


@pytest.fixture(scope="session")
def extension() -> Path:
    """The extension's package, made anew; its own unit tests run meanwhile."""
    try:
        return vsix.build()
    except EditorError as problem:
        pytest.fail(f"the VS Code extension cannot be packaged: {problem}")


@pytest.fixture(scope="module")
def server(
    vscode: VSCode,
    extension: Path,
    editor_environment: dict[str, str],
    settings: dict[str, object],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[CodeServer]:
    """One code-server with a fresh profile for a whole module, with that module's *settings*."""
    server = CodeServer(vscode, tmp_path_factory.mktemp("vscode"), editor_environment)
    server.write_settings(settings)
    server.install(extension)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def workbench(vscode: VSCode, server: CodeServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """One browser window on a folder of its own for a whole module."""
    workbench = Workbench(vscode, server, tmp_path_factory.mktemp("project"))
    try:
        workbench.open()
        yield workbench
    finally:
        workbench.close()


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
    # VS Code would take the PATH of a login shell instead of this one.
    environment["VSCODE_CLI"] = "1"
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
