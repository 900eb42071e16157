"""The wheel and the source archive: installed into an empty environment, away from the checkout, Fimble works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fimble import __version__, catalog

ROOT = Path(__file__).resolve().parents[2]

#: What an installation cannot do without, besides the code.
DATA = (
    "fimble/py.typed",
    "fimble/suggest/confidence.json",
    "fimble/_models/catalog.toml",
    "fimble/_models/fimble-45m-q8_0.gguf",
    "fimble/_models/fimble-45m.md",
    "fimble/_editors/neovim/lua/fimble/init.lua",
    f"fimble-{__version__}.dist-info/licenses/LICENSE",
    f"fimble-{__version__}.dist-info/entry_points.txt",
    *(f"fimble/syntax/queries/{path.name}" for path in (ROOT / "server/fimble/syntax/queries").glob("*.scm")),
)


def build(target: str, folder: Path, into: Path) -> Path:
    """Build a ``wheel`` or an ``sdist`` from the sources in *folder*."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    (made,) = into.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive: what a packager of Linux would make."""
    folder = tmp_path_factory.mktemp("sources")
    with tarfile.open(build("sdist", ROOT, folder / "sdist")) as archive:
        archive.extractall(folder, filter="data")
    return build("wheel", folder / f"fimble-{__version__}", folder / "wheel")


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing in it but the wheel and what pip brings along; the folder of its programs."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=120)
    programs = folder / "bin"
    # The installer that made our own environment has llama.cpp in its cache; the other one would compile it.
    own = ["uv", "pip", "install", "--python", str(programs / "python")]
    pip = [str(programs / "python"), "-m", "pip", "install", "--no-input", "--no-compile", "-q"]
    install = [*(own if shutil.which("uv") else pip), str(wheel)]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return programs


Run = Callable[..., Any]


@pytest.fixture
def installed(environment: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the installed program in a folder and a home of its own; gives what it printed as JSON."""
    for name in list(os.environ):
        if name.startswith(("PYTHON", "VIRTUAL_ENV")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{environment}{os.pathsep}{os.environ['PATH']}")

    def run(*arguments: str) -> Any:
        command = [str(environment / "fimble"), *arguments]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


def test_the_wheel_carries_everything(wheel: Path, tmp_path: Path) -> None:
    """The model, its catalog and card, the queries, the plugin and the licence; and it is the checkout's wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert set(DATA) <= names
        licence = archive.read(f"fimble-{__version__}.dist-info/licenses/LICENSE").decode()
        assert "Apache License" in licence
        assert not [name for name in names if name.startswith(("tests/", "scripts/")) or name.endswith(".pyc")]
    with zipfile.ZipFile(build("wheel", ROOT, tmp_path)) as archive:
        assert set(archive.namelist()) == names


@pytest.mark.timeout(1800)
def test_the_doctor_finds_an_empty_environment_well(installed: Run, environment: Path) -> None:
    """With what pip brought along and nothing else, every finding is ok; the model is the one of the wheel."""
    found = installed("doctor", "--json")
    assert found["ok"], found
    findings = {finding["what"]: finding["found"] for finding in found["findings"]}
    assert {"Fimble", "Packages", "llama.cpp", "Cache", "Index", "Model", "Engine"} <= set(findings)
    assert findings["Model"].startswith(str(environment.parent))
    assert findings["Command"] == str(environment / "fimble")


@pytest.mark.timeout(1800)
def test_a_file_is_completed_by_what_is_installed(installed: Run, home: Path) -> None:
    """`fimble complete` answers with the wheel's own model, and with what its grammars and queries know."""
    file = home / "prices.py"
    file.write_text(
        "def total(prices):\n    result = 0\n    for price in prices:\n        result += price\n    return "
    )
    answer = installed("complete", f"{file}:5:12", "--json")
    assert answer["suggestions"][0]["text"].strip()
    explained = installed("complete", f"{file}:5:12", "--explain", "--json")
    assert explained["told"]


@pytest.mark.timeout(1800)
def test_an_editor_is_set_up_with_the_files_of_the_wheel(installed: Run, environment: Path) -> None:
    """`fimble setup neovim` points to the plugin inside the installation, and would start this very program."""
    told = json.dumps(installed("setup", "neovim", "--print", "--json"))
    assert str(environment.parent) in told
    assert "_editors/neovim" in told


@pytest.mark.timeout(1800)
def test_models_are_those_of_the_wheel(installed: Run, environment: Path) -> None:
    """The catalog has come along, and the bundled model is a file of the installation."""
    bundled = installed("models", "list", "--json")["models"][0]
    assert Path(bundled["path"]).is_relative_to(environment.parent)
    assert Path(bundled["path"]).is_file()


def test_a_checkout_finds_its_models() -> None:
    """In a checkout the models are those at its top."""
    assert catalog.bundled_models_dir() == ROOT / "models"
