"""What every editor's tests need: the editor itself, the `fimble` under test, and a home of its own for both."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from code_server import CodeServer
from editor_home import home_of_its_own
from neovims import neovim_or_fail, neovims_to_test
from nvim_window import NEOVIM_FILES, Neovim, running
from vscode_window import Workbench

import vsix
from editor_neovim import Version
from editor_setup import EditorError
from editor_vscode import VSCode, install_vscode


@pytest.fixture(scope="session", params=neovims_to_test(), ids=lambda v: f"{v[0]}.{v[1]}")
def neovim(request: pytest.FixtureRequest) -> Path:
    """The path of each Neovim that the plugin is tested in."""
    version: Version = request.param
    return neovim_or_fail(version)


@pytest.fixture
def nvim(neovim: Path, editor_environment: dict[str, str], tmp_path: Path) -> Iterator[Neovim]:
    """A Neovim that is set up by init.example.lua and nothing else."""
    # What one test has seen and learned is nothing that another knows; the engine they share.
    environment = editor_environment | {f"XDG_{name}_HOME": str(tmp_path / name) for name in ("CACHE", "STATE", "DATA")}
    setup = ["--cmd", f"set runtimepath^={NEOVIM_FILES}", "-u", str(NEOVIM_FILES / "init.example.lua")]
    with running([str(neovim), "--headless", "--embed", "--clean", "-n", *setup], environment) as editor:
        yield editor


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
    with home_of_its_own() as environment:
        environment["PATH"] = os.pathsep.join([str(scripts), os.environ.get("PATH", os.defpath)])
        yield environment
