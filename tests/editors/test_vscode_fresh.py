"""A newcomer's path: the package goes into a fresh profile, and there is no Fimble on the machine, nor a network."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from code_server import CodeServer
from editor_home import home_of_its_own
from vscode_window import Workbench
from waiting import until

import vsix
from editor_setup import editors_folder, only_one_installer
from editor_vscode import VSCode

SETUP_DEADLINE_S = 150.0

BASE_PYTHON = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"

TEXT = (
    "def first(path):\n    table = read_table_of_contents(path, depth=3)\n    return table\n\n\ndef second(path):\n    "
)


@pytest.fixture(scope="module")
def wheels(extension: Path) -> Path:
    """Every wheel that the server needs, as somebody without a network would bring them; kept between runs.

    They come out of pip's cache where it has them, so llama.cpp is not compiled once more.
    """
    (server,) = (vsix.EXTENSION / "server").glob("*.whl")
    wanted = (vsix.EXTENSION.parents[1] / "pyproject.toml").read_bytes() + sys.version.encode()
    final = editors_folder().parent / "wheels" / hashlib.sha256(wanted).hexdigest()[:16]
    with only_one_installer(final.parent):
        if not final.is_dir():
            partial = final.with_suffix(".part")
            shutil.rmtree(partial, ignore_errors=True)
            # An environment that uv made has no pip of its own.
            python = sys.executable if importlib.util.find_spec("pip") else str(BASE_PYTHON)
            command = [python, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(partial), str(server)]
            subprocess.run(command, check=True, timeout=1500)
            (partial / server.name).unlink()  # the one that the extension brings is to be installed
            partial.rename(final)
    return final


@pytest.fixture
def newcomer() -> Iterator[dict[str, str]]:
    """A machine on which nobody finds a `fimble`."""
    with home_of_its_own() as environment:
        folders = environment["PATH"].split(os.pathsep)
        environment["PATH"] = os.pathsep.join(each for each in folders if not (Path(each) / "fimble").exists())
        yield environment


@pytest.mark.timeout(1800)  # the first time, the editor and the wheels have to be fetched
def test_from_the_package_to_the_first_suggestion(
    vscode: VSCode, extension: Path, newcomer: dict[str, str], wheels: Path, tmp_path: Path
) -> None:
    """One click makes the environment; what goes wrong is said with its fix; and all of it can be taken away again."""
    empty, project, home = tmp_path / "empty", tmp_path / "project", tmp_path / "profile"
    for folder in (empty, project, home):
        folder.mkdir()
    server = CodeServer(vscode, home, newcomer)
    offline: dict[str, object] = {"fimble.python.path": str(BASE_PYTHON), "fimble.server.wheels": str(empty)}
    server.write_settings(offline)
    started = time.monotonic()
    server.install(extension)
    try:
        server.start()
        workbench = Workbench(vscode, server, project)
        try:
            workbench.open()
            until(lambda: "The server is not set up yet" in workbench.status(), "the status to say what is missing")

            workbench.press_button("Set Up Fimble")
            until(lambda: "no fitting wheel of" in workbench.notifications(), lambda: said(workbench), SETUP_DEADLINE_S)
            until(lambda: "Fimble: set up." in workbench.status(), "the status to say that it is still missing")

            server.write_settings(offline | {"fimble.server.wheels": str(wheels)})
            begun = time.monotonic()
            until(lambda: is_set_up_after_trying_again(workbench), lambda: said(workbench), SETUP_DEADLINE_S)
            set_up_s = time.monotonic() - begun

            workbench.edit(project / "new.py", TEXT)
            workbench.type("table = read_table_of_con")
            workbench.ghost("tents(path, depth=3)")
            print(f"set up in {set_up_s:.0f} s; first suggestion {time.monotonic() - started:.0f} s after the package")
            (environment,) = home.glob("data/User/globalStorage/fimble.fimble/environment")

            workbench.command("Fimble: Remove the Server's Environment")
            workbench.press_button("Remove")
            until(lambda: "Fimble: set up." in workbench.status(), "the environment to be gone")
            assert not environment.exists()
        finally:
            workbench.close()
    finally:
        server.stop()


def is_set_up_after_trying_again(workbench: Workbench) -> bool:
    """Press the button whenever it is there: the editor takes a moment to notice that its settings have changed."""
    workbench.press_if_there("Try Again")
    return workbench.status() == "Fimble: ready. Ready"


def said(workbench: Workbench) -> str:
    """What the editor says instead of what is waited for."""
    return f"a step of the set-up; status: {workbench.status()!r}, notifications: {workbench.notifications()!r}"
