"""The command line, as people and scripts run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from models import BUNDLED_MODEL

from fimble import __version__

SOURCE = "def total(prices):\n    return sum(prices)\n\n\ndef average(prices):\n    return \n"


def fimble(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``fimble`` to its end."""
    command = [sys.executable, "-m", "fimble", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


def as_json(*args: str) -> Any:
    """Run ``fimble ... --json`` and parse what it printed."""
    done = fimble(*args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_version(home: Path) -> None:
    """`fimble --version` prints the version and nothing else."""
    assert fimble("--version").stdout == f"fimble {__version__}\n"


def test_help_of_every_command(home: Path) -> None:
    """Every command explains itself."""
    for command in (
        "",
        "lsp",
        "engine start",
        "engine stop",
        "engine status",
        "complete",
        "doctor",
        "models list",
        "models fit",
        "stats",
        "index status",
    ):
        done = fimble(*command.split(), "--help")
        assert done.returncode == 0
        assert "Usage" in done.stdout


def test_explain_says_what_the_model_is_told_and_why(home: Path, tmp_path: Path) -> None:
    """Another file of the repository is in the prompt, with the reason; for people and as JSON."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "taxes.py").write_text("def value_added(prices, rate):\n    return [p * rate for p in prices]\n")
    file = tmp_path / "prices.py"
    file.write_text("from taxes import value_added\n\n\ndef gross(prices):\n    return \n")
    done = fimble("complete", f"{file}:5:12", "--explain", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "taxes.py" in done.stdout
    assert "likely to be taken" in done.stdout
    told = as_json("complete", f"{file}:5:12", "--explain")["told"]
    (snippet,) = (part for part in told if part["part"] == "snippet")
    assert snippet["name"] == "taxes.py"
    assert "value_added(prices, rate)" in snippet["text"]
    assert snippet["tokens"] > 5
    assert snippet["why"]


def test_complete_prints_what_an_editor_would_show(home: Path, tmp_path: Path) -> None:
    """A place in a file is completed by the recipe, and --json says where the text came from."""
    file = tmp_path / "prices.py"
    file.write_text(SOURCE)
    found = as_json("complete", f"{file}:6:12")
    assert found["line"] == 6
    assert {s["source"] for s in found["suggestions"]} & {"model", "echo"}
    plain = fimble("complete", f"{file}:6:12")
    assert plain.stdout.rstrip("\n") == found["suggestions"][0]["text"]


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("nonsense", "FILE:LINE:COLUMN"),
        ("missing.py:1:1", "cannot be read"),
        ("a.py:99:1", "only"),
        ("a.py:0:1", "FILE:LINE:COLUMN"),
        ("data.bin:1:1", "UTF-8"),
    ],
)
def test_complete_says_what_is_wrong(home: Path, tmp_path: Path, place: str, says: str) -> None:
    """A place that cannot be completed is one sentence with its fix, and status 1."""
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "data.bin").write_bytes(b"\xff\xfe\x00")
    done = fimble("complete", place, cwd=tmp_path)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Fix:" in done.stderr
    assert "Traceback" not in done.stderr


def test_engine_start_status_stop(home: Path) -> None:
    """An engine is started, seen, shared by a second start, and stopped."""
    assert as_json("engine", "status") == []
    started = as_json("engine", "start")
    assert started["model_path"] == str(BUNDLED_MODEL)
    assert as_json("engine", "start")["pid"] == started["pid"]
    (status,) = as_json("engine", "status")
    assert status["pid"] == started["pid"]
    assert status["state"] == "running"
    (stopped,) = as_json("engine", "stop")
    assert stopped["stopped"]
    assert as_json("engine", "status") == []


def test_models_list_shows_what_is_in_use(home: Path) -> None:
    """The bundled model is listed with its file, and those of the catalog with where they come from."""
    found = as_json("models", "list")
    bundled, *others = found["models"]
    assert found["chosen"] == bundled["name"]
    assert Path(bundled["path"]).is_file()
    assert all(other["repository"] and other["licence"] for other in others)


def test_models_import_and_use(home: Path, tmp_path: Path) -> None:
    """A GGUF of the user's gets a name, is chosen by it, and the user's settings keep their comments."""
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(BUNDLED_MODEL.read_bytes())
    settings = home / "config" / "fimble" / "fimble.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("# mine\n[suggest]\nmax_tokens = 32\n")
    assert as_json("models", "import", str(mine))["name"] == "mine"
    assert fimble("models", "use", "mine").returncode == 0
    text = settings.read_text()
    assert "# mine" in text
    assert 'model = "mine"' in text
    assert as_json("models", "list")["chosen"] == "mine"
    assert as_json("engine", "start")["model_path"] == str(mine)


def test_models_refuse_what_does_not_work(home: Path, tmp_path: Path) -> None:
    """A file that is no model, and a name that nobody knows, change nothing and say what to do."""
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(os.urandom(5000))
    for command in (("import", str(bad)), ("use", str(bad)), ("use", "nobody-knows"), ("use", "qwen2.5-coder-7b")):
        done = fimble("models", *command)
        assert done.returncode == 1, command
        assert "Fix:" in done.stderr
    assert not (home / "config" / "fimble" / "fimble.toml").exists()


def test_doctor_when_all_is_well(home: Path) -> None:
    """On a good installation every finding is ok, the engine really answers, and the status is 0."""
    env_path = os.environ["PATH"]
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env_path}"
    try:
        found = as_json("doctor")
    finally:
        os.environ["PATH"] = env_path
    assert found["ok"]
    assert {"Model", "Engine", "llama.cpp", "Cache"} <= {finding["what"] for finding in found["findings"]}


def test_doctor_names_what_is_wrong(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing model, a broken settings file and an unusable cache are each named with a fix."""
    (home / "config" / "fimble").mkdir(parents=True)
    (home / "config" / "fimble" / "fimble.toml").write_text("model = [broken")
    (home / "cache").write_text("not a folder")
    monkeypatch.setenv("FIMBLE_MODEL", str(home / "missing.gguf"))
    done = fimble("doctor", "--json")
    assert done.returncode == 1
    wrong = {finding["what"]: finding for finding in json.loads(done.stdout)["findings"] if not finding["ok"]}
    assert {"Settings", "Cache", "Model"} <= set(wrong)
    assert all(finding["fix"] for finding in wrong.values())
