"""scripts/eval.py: what it writes for score.py, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import until

ROOT = Path(__file__).resolve().parents[2]

#: What eval.py becomes; the environment is the one that the tests run in.
EVAL = ROOT / "scripts" / "eval_run.py"

_AREA = "def area(width, height):\n    surface_in_metres = width * height\n    return surface_in_metres\n\n\n"

_TASKS: list[dict[str, Any]] = [
    {
        "id": "repeated",
        "language": "python",
        "path": "area.py",
        "prefix": _AREA + "def volume(width, height, depth):\n    surface_in_metres = ",
        "suffix": "\n    return surface_in_metres * depth\n",
        "groundtruth": "width * height",
    },
    {
        "id": "elsewhere",
        "language": "python",
        "path": "area.py",  # the same path twice: these are two documents
        "prefix": "def check(config):\n    assert_settings_are(",
        "suffix": "\n",
        "groundtruth": "config, strict=True)",
        "crossfile": [{"path": "other/é.py", "text": "\n\ndef run():\n    assert_settings_are(config, strict=True)\n"}],
    },
    {
        "id": "random",
        "language": "python",
        "path": "noise.py",
        "prefix": "# 😀 of no use\nx = ",
        "suffix": "\n",
        "groundtruth": "qZ7#xk!VW@0pj~Gy",
    },
]

#: A copy that is surely likely enough.
_AGAIN = {**_TASKS[0], "prefix": _AREA + _AREA + "def area(width, height):\n    surface_in_metres = "}


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Three tasks: one repeats its own file, one another file, one is noise."""
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(task) + "\n" for task in _TASKS), "utf-8")
    return path


def _evaluate(tasks: Path, *options: str) -> tuple[dict[str, dict[str, Any]], str]:
    """Run it; returns the predictions by id, and what was printed."""
    out = tasks.with_name("out.jsonl")
    command = [sys.executable, str(EVAL), str(tasks), "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == [task["id"] for task in _TASKS]
    return {row["id"]: row for row in rows}, done.stdout


def _check_format(row: dict[str, Any]) -> None:
    assert set(row) == {"id", "completion", "latency_ms", "shown", "source"}
    assert row["latency_ms"] > 0
    assert row["shown"] == bool(row["completion"]) == bool(row["source"])


def test_echo_mode_copies_from_the_file_and_from_its_context(tasks: Path) -> None:
    """Echo answers exactly what was written before, here or in another file, and nothing else answers."""
    rows, said = _evaluate(tasks, "--mode", "echo")
    for row in rows.values():
        _check_format(row)
        assert row["source"] in ("echo", "")
    assert rows["repeated"]["completion"] == "width * height"
    assert rows["elsewhere"]["completion"] == "config, strict=True)"
    assert not rows["random"]["shown"]
    assert "score.py" in said
    assert "66.7%" in said


def test_without_context_the_other_files_are_not_open(tasks: Path) -> None:
    """--no-context takes away what a task brings of other files, and only that."""
    rows, _said = _evaluate(tasks, "--mode", "echo", "--no-context")
    assert rows["repeated"]["completion"] == "width * height"
    assert not rows["elsewhere"]["shown"]


def test_model_mode_shows_only_what_the_model_wrote(tasks: Path) -> None:
    """With echo switched off every suggestion is the model's."""
    rows, _said = _evaluate(tasks, "--mode", "model", "--deadline-ms", "20000")
    for row in rows.values():
        _check_format(row)
    assert {row["source"] for row in rows.values()} - {""} == {"model"}


def test_as_after_a_key_less_is_shown(tasks: Path) -> None:
    """With --typing, what is not likely enough is not shown: what follows another " = " is not."""
    by_chance = {**_TASKS[-1], "prefix": "first = one\nsecond = "}
    tasks.write_text("".join(json.dumps(task) + "\n" for task in (_AGAIN, _TASKS[1], by_chance)), "utf-8")
    rows, _said = _evaluate(tasks, "--mode", "echo", "--typing")
    asked, _said = _evaluate(tasks, "--mode", "echo")
    assert (rows["repeated"]["shown"], rows["random"]["shown"]) == (True, False)
    assert (asked["repeated"]["shown"], asked["random"]["shown"]) == (True, True)


def test_both_is_the_likelier_of_copy_and_model(tasks: Path) -> None:
    """The default is the product: what is repeated comes, whoever is surer of it, the rest is the model's."""
    rows, said = _evaluate(tasks, "--deadline-ms", "20000")
    for row in rows.values():
        _check_format(row)
    assert rows["repeated"]["completion"] == "width * height"
    assert rows["random"]["source"] in ("model", "")
    assert "score.py" in said


def test_logprob_mode_finds_code_likelier_than_noise(tasks: Path) -> None:
    """Bits and bytes of the true text; a byte of code costs fewer bits than one of noise."""
    rows, said = _evaluate(tasks, "--mode", "logprob")
    for row, task in zip(rows.values(), _TASKS, strict=True):
        assert set(row) == {"id", "bits", "bytes"}
        assert row["bytes"] == len(task["groundtruth"].encode())
    per_byte = {name: row["bits"] / row["bytes"] for name, row in rows.items()}
    assert per_byte["repeated"] < per_byte["random"] / 2
    assert "bits per byte" in said


def test_what_is_no_task_is_said_in_a_sentence(tmp_path: Path) -> None:
    """A broken tasks file is named with its line, and no traceback is shown."""
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"id": "x"}\n', "utf-8")
    command = [sys.executable, str(EVAL), str(path), "--out", str(tmp_path / "out.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Line 1" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_nothing_running_and_keeps_what_was_answered(tasks: Path) -> None:
    """Interrupted in the middle, the server and the engine end, and the answers so far are in the file."""
    many = [{**_TASKS[2], "id": str(number), "prefix": f"# {number}\nx = "} for number in range(3000)]
    tasks.write_text("".join(json.dumps(task) + "\n" for task in many), "utf-8")
    out = tasks.with_name("out.jsonl")
    mark = f"eval-{os.getpid()}-{time.monotonic_ns()}"
    command = [sys.executable, str(EVAL), str(tasks), "--out", str(out), "--mode", "model"]
    process = subprocess.Popen(command, env={**os.environ, "EVAL_TEST": mark}, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: out.exists() and out.stat().st_size, "the first answer", 60)
        assert len(_marked(mark)) >= 3  # the evaluation, the server, the engine
    finally:
        process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert json.loads(out.read_text("utf-8").splitlines()[0])["id"] == "0"
    assert not _marked(mark)


def _marked(mark: str) -> list[psutil.Process]:
    """The processes that were started under *mark*."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("EVAL_TEST") == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found
