"""From projects to tasks to shares: the two commands on a small project, and which packages are refused."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

import context_eval_run
import context_projects
import context_tasks_run
from context_projects import SETS, Project, ProjectFailed

_FILLER = "".join(f"def filler_{number}(value):\n    return value + {number}\n\n\n" for number in range(50))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of one project that is here already."""
    project = Project("pypi", "acme", "1.0", ("python",))
    monkeypatch.setitem(SETS, "tune", (project,))
    home = tmp_path / "projects" / project.folder
    (home / "acme").mkdir(parents=True)
    (home / "acme/shapes.py").write_text(f"{_FILLER}def draw_circle(radius: float) -> str:\n    return 'o'\n")
    (home / "acme/main.py").write_text(
        f"from acme.shapes import draw_circle\n\n\n{_FILLER}def run():\n    print(draw_circle(1.0))\n"
    )
    return tmp_path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def test_a_project_becomes_tasks(folder: Path) -> None:
    """The task is whole: what stands before, the rest of the line, what follows, and who decides it."""
    assert context_tasks_run.main([str(folder), "--set", "tune"]) == 0
    (task,) = rows(folder / "tune.jsonl")
    text = (folder / "projects/acme-1.0/acme/main.py").read_text("utf-8")
    assert task["prefix"] + task["groundtruth"] + task["suffix"] == text
    assert len(task["prefix"]) == task["offset"]
    assert "draw_circle" in task["groundtruth"]
    assert (task["name"], task["defined_in"], task["language"]) == ("draw_circle", "acme/shapes.py", "python")
    control = rows(folder / "tune-control.jsonl")
    assert control
    assert all("defined_in" not in one and one["groundtruth"] for one in control)


def test_the_same_tasks_are_cut_again(folder: Path) -> None:
    """Nothing depends on when or where it runs."""
    context_tasks_run.main([str(folder), "--set", "tune"])
    first = (folder / "tune.jsonl").read_text("utf-8"), (folder / "tune-control.jsonl").read_text("utf-8")
    context_tasks_run.main([str(folder), "--set", "tune"])
    assert ((folder / "tune.jsonl").read_text("utf-8"), (folder / "tune-control.jsonl").read_text("utf-8")) == first


def test_what_is_found_is_counted_and_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shares, and the variants of the tasks with the snippets in them."""
    context_tasks_run.main([str(folder), "--set", "tune"])
    capsys.readouterr()
    assert context_eval_run.main([str(folder), "--write", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["figures"][0]
    assert (figures["group"], figures["tasks"]) == ("all", 1)
    assert figures["found_file"] == figures["found_itself"] == 1.0
    (ours,), (none,), (oracle,) = (rows(folder / f"tune-{name}.jsonl") for name in ("ours", "none", "oracle"))
    assert "def draw_circle(radius: float) -> str:\n" in ours["crossfile"][0]["text"]
    assert none["crossfile"] == []
    assert oracle["crossfile"][0]["text"].startswith("def draw_circle(radius: float) -> str:\n    return 'o'\n")
    assert len(rows(folder / "tune-control-ours.jsonl")) == len(rows(folder / "tune-control.jsonl"))


def test_projects_can_be_asked_together(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One index holds all that was fetched, and finds the same."""
    context_tasks_run.main([str(folder), "--set", "tune"])
    capsys.readouterr()
    assert context_eval_run.main([str(folder), "--together", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"][0]["found_itself"] == 1.0


def test_without_tasks_the_fix_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence, not a traceback."""
    assert context_eval_run.main([str(tmp_path)]) == 1
    assert "scripts/context_tasks.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("metadata", "is_welcome"),
    [
        ("Name: acme\nLicense-Expression: MIT\n", True),
        ("Name: acme\nLicense: Apache 2.0\n", True),
        ("Name: acme\nClassifier: License :: OSI Approved :: BSD License\n", True),
        ("Name: acme\nLicense-Expression: GPL-3.0-or-later\n", False),
        ("Name: acme\nLicense-Expression: MIT AND MPL-2.0\n", False),
        ("Name: acme\nLicense-File: LICENSE\n", False),
        ("Name: acme\n\nLicense: MIT says the description\n", False),
    ],
)
def test_only_permissive_packages_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: str, is_welcome: bool
) -> None:
    """What a package's own metadata says decides; of what is refused nothing stays."""

    def download(_project: Project, into: Path, _work: Path) -> Path:
        with tarfile.open(into / "acme-1.0.tar.gz", "w:gz") as archive:
            for name, text in (
                ("PKG-INFO", metadata),
                ("src/a.py", "a = 1\n"),
                ("src/a.d.ts", "x"),
                ("docs/b.py", "b"),
            ):
                member = tarfile.TarInfo(f"acme-1.0/{name}")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
        return into / "acme-1.0.tar.gz"

    monkeypatch.setattr(context_projects, "_download", download)
    project = Project("pypi", "acme", "1.0", ("python",), ("src/",))
    if is_welcome:
        home = context_projects.project_folder(project, tmp_path)
        assert [path.name for path in home.rglob("*") if path.is_file()] == ["a.py"]
    else:
        with pytest.raises(ProjectFailed, match="licence"):
            context_projects.project_folder(project, tmp_path)
        assert not list((tmp_path / "projects").iterdir())
