"""``fimble doctor`` where something is broken: it says what, names what mends it, and never breaks itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Findings = dict[str, dict[str, Any]]
Doctor = Callable[..., Findings]

BROKEN = "raise ImportError('libbroken.so: cannot open shared object file')"
ILLEGAL = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)"


@pytest.fixture
def doctor(home: Path, tmp_path: Path) -> Doctor:
    """Runs it among packages of which some are replaced by *code*; returns its findings by name, all fixes checked."""

    def run(expected_status: int = 1, /, path: str | None = None, **replaced: str) -> Findings:
        packages = tmp_path / "packages"
        for name, code in replaced.items():
            (packages / name).mkdir(parents=True)
            (packages / name / "__init__.py").write_text(code)
        env = {**os.environ, "PYTHONPATH": str(packages), **({} if path is None else {"PATH": path})}
        command = [sys.executable, "-m", "fimble", "doctor", "--json"]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == expected_status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        answer = json.loads(done.stdout)
        assert answer["ok"] == (expected_status == 0)
        for finding in answer["findings"]:
            assert finding["ok"] or finding["fix"], finding
        return {finding["what"]: finding for finding in answer["findings"]}

    return run


@pytest.mark.parametrize(
    ("package", "code"),
    [("typer", BROKEN), ("tree_sitter", BROKEN), ("psutil", "1 / 0"), ("msgspec", ILLEGAL)],
    ids=["the command line's", "missing library", "raises", "ends the process"],
)
def test_a_broken_package_is_named(package: str, code: str, doctor: Doctor) -> None:
    """Also one that Fimble itself needs for its command line, and one that ends every process that imports it."""
    found = doctor(**{package: code})
    assert not found["Packages"]["ok"]
    name = package.replace("_", "-")
    assert name in found["Packages"]["found"]
    assert f"pip install --force-reinstall --no-deps {name}" in found["Packages"]["fix"]
    assert "Settings" in found["Not looked at"]["found"]


def test_other_commands_say_that_the_doctor_helps(home: Path, tmp_path: Path) -> None:
    """Where the command line cannot be made, one sentence says why, without a traceback."""
    (tmp_path / "packages" / "typer").mkdir(parents=True)
    (tmp_path / "packages" / "typer" / "__init__.py").write_text(BROKEN)
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "packages")}
    command = [sys.executable, "-m", "fimble", "models", "list"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: Fimble cannot start: libbroken.so: cannot open shared object file",
        "Fix: `fimble doctor` tells what is missing.",
    ]


def test_a_build_for_another_processor_is_recognised(doctor: Doctor) -> None:
    """The process that loads llama.cpp ends by SIGILL: that is said, with the command that builds it here."""
    found = doctor(llama_cpp=ILLEGAL)
    for what in ("llama.cpp", "Model"):
        assert "another processor" in found[what]["found"]
        assert "-m pip install --force-reinstall --no-deps --no-cache-dir llama-cpp-python" in found[what]["fix"]
    assert found["Packages"]["ok"]
    assert found["Cache"]["ok"]


def test_without_a_compiler_a_wheel_is_named(doctor: Doctor, tmp_path: Path) -> None:
    """Where llama.cpp cannot be loaded and not be built, the fix is a wheel that needs no compiler."""
    found = doctor(path=str(tmp_path), llama_cpp="raise ModuleNotFoundError(\"No module named 'llama_cpp'\")")
    for what in ("llama.cpp", "Compiler"):
        assert not found[what]["ok"]
        assert "--only-binary llama-cpp-python" in found[what]["fix"]


def test_a_compiler_that_nobody_needs_is_not_missed(doctor: Doctor, tmp_path: Path) -> None:
    """With a llama.cpp that works, a machine without a compiler is in order (but for PATH, which is empty here)."""
    found = doctor(path=str(tmp_path))
    assert [what for what, finding in found.items() if not finding["ok"]] == ["Command"]


def test_folders_that_cannot_be_written_to(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that is read-only costs the log and what is remembered; the doctor says so and goes on."""
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/none")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    found = doctor()
    assert not found["Log folder"]["ok"]
    assert not found["Cache"]["ok"]
    assert found["Model"]["ok"]
