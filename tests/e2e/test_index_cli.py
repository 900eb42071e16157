"""``fimble index``, as people and scripts run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_cli import fimble


@pytest.fixture
def project(home: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "shop.py").write_text("def total(prices):\n    return sum(prices)\n")
    (folder / "data.bin").write_bytes(b"\0" * 10)
    return folder


def as_json(*args: str, cwd: Path) -> Any:
    done = fimble(*args, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_rebuild_status_stop(project: Path) -> None:
    """An index is built, seen by the next command, and stopped."""
    built = as_json("index", "rebuild", cwd=project)
    assert (built["root"], built["definitions"], built["progress"]["state"]) == (str(project), 1, "ready")
    seen = as_json("index", "status", str(project), cwd=project.parent)
    assert (seen["pid"], seen["progress"]["skipped"]) == (built["pid"], {"binary": 1})
    assert as_json("index", "stop", cwd=project) == {"running": 1, "stopped": 1}
    assert as_json("index", "stop", cwd=project) == {"running": 0, "stopped": 0}


def test_people_get_sentences(project: Path) -> None:
    """Without --json the same is told in words, with what was left out and why."""
    fimble("index", "rebuild", cwd=project)
    said = fimble("index", "status", cwd=project).stdout
    assert f"{project}: ready" in said
    assert "2 of 2 files, 1 definitions" in said
    assert "left out: 1 (binary)" in said
    assert fimble("index", "stop", cwd=project).stdout == "Stopped 1 of 1.\n"
    assert fimble("index", "stop", cwd=project).stdout == "No index was running.\n"


def test_what_is_wrong_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No project, and an index that is switched off, are one sentence and status 1."""
    done = fimble("index", "status", "/", cwd=project)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no project" in done.stderr
    assert "Fix:" in done.stderr
    (project / ".fimble.toml").write_text("[index]\nenabled = false\n")
    done = fimble("index", "status", cwd=project)
    assert done.returncode == 1
    assert "index.enabled" in done.stderr


def test_doctor_looks_at_the_index(project: Path) -> None:
    """The doctor tells of the index of the folder it is in."""
    findings = {one["what"]: one for one in json.loads(fimble("doctor", "--json", cwd=project).stdout)["findings"]}
    assert findings["Index"]["ok"]
    assert str(project) in findings["Index"]["found"]
    (project / ".fimble.toml").write_text("[index]\nenabled = false\n")
    findings = {one["what"]: one for one in json.loads(fimble("doctor", "--json", cwd=project).stdout)["findings"]}
    assert "switched off" in findings["Index"]["found"]
