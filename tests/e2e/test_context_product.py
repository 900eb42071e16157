"""What users get of other files, measured by `context_eval.py --product`: on a project of three files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "context_eval.py"

LINE = "    connection = open_database_connection(settings.database_url, timeout=30)\n"
CUT = "    connection = open_database_connec"


def test_the_index_makes_the_difference(tmp_path: Path) -> None:
    """A line that only another file says is suggested with the index and not without; every task gets an answer."""
    project = tmp_path / "projects" / "shop"
    (project / ".git").mkdir(parents=True)
    (project / "first.py").write_text(f"def first(settings):\n{LINE}    return connection\n")
    task = {
        "id": "one",
        "project": "shop",
        "path": "second.py",
        "language": "python",
        "prefix": "def second(settings):\n" + CUT,
        "suffix": "\n",
        "groundtruth": LINE.removeprefix(CUT).rstrip(),
    }
    for name in ("heldout", "heldout-control"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(task) + "\n")
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--set", "heldout", "--product"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    answers = {way: json.loads((tmp_path / f"heldout.{way}.jsonl").read_text()) for way in ("off", "on")}
    assert answers["on"]["completion"] == task["groundtruth"]
    assert answers["off"]["completion"] != task["groundtruth"]
    assert {answer["id"] for answer in answers.values()} == {"one"}
