"""The wheel carries everything that an installation needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from fimble import catalog

ROOT = Path(__file__).resolve().parents[2]


def test_an_installed_wheel_finds_its_models(home: Path, tmp_path: Path) -> None:
    """Installed from a wheel, away from the checkout, Fimble finds its catalog and completes with the bundled model."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    file = tmp_path / "a.py"
    file.write_text("for index in ")
    env = {**os.environ, "PYTHONPATH": str(site)}
    fimble = [sys.executable, "-m", "fimble"]
    listed = subprocess.run(
        [*fimble, "models", "list", "--json"], env=env, cwd=tmp_path, capture_output=True, check=True
    )
    path = json.loads(listed.stdout)["models"][0]["path"]
    assert Path(path).is_relative_to(site)
    assert Path(path).is_file()
    done = subprocess.run(
        [*fimble, "engine", "start", "--json"], env=env, cwd=tmp_path, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["model_path"] == path
    printed = subprocess.run(
        [*fimble, "setup", "neovim", "--print"], env=env, cwd=tmp_path, capture_output=True, check=True, text=True
    )
    assert str(site / "fimble" / "_editors" / "neovim") in printed.stdout
    assert (site / "fimble" / "_editors" / "neovim" / "lua" / "fimble" / "init.lua").is_file()
    code = "import fimble.syntax as s; print(s.__file__, len(s.outline('def f(): pass', 'python').definitions))"
    told = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, check=True, text=True
    )
    syntax, count = told.stdout.split()
    assert Path(syntax).is_relative_to(site)
    assert count == "1"  # the query files have come along


def test_a_checkout_finds_its_models() -> None:
    """In a checkout the models are those at its top."""
    assert catalog.bundled_models_dir() == ROOT / "models"
