"""scripts/scores.py: the scores mean what they say, and differences are paired."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import scores


def test_exact_similar_and_silent() -> None:
    """Compared are as many lines as the truth has, without blanks at their ends; silence is a miss."""
    task = {"groundtruth": "  a = 1\n  b = 2\n"}

    def judged(completion: str, **more: Any) -> dict[str, float]:
        return {name: pair[0] for name, pair in scores.judge(task, {"completion": completion, **more}).items()}

    right = {"exact": 100.0, "similarity": 100.0, "first line": 100.0, "shown": 100.0}
    assert judged("a = 1  \n  b = 2\nc = 3") == right
    assert judged("a = 1\nb = 3")["exact"] == 0.0
    assert judged("a = 1\nb = 3")["first line"] == 100.0
    silence = {"exact": 0.0, "similarity": 0.0, "first line": 0.0, "shown": 0.0}
    assert judged("a = 1\n  b = 2", shown=False) == judged("") == silence
    assert scores.similarity("abcd", "bd") == pytest.approx(100 * 2 * 2 / 6)


def test_pairs_make_a_difference_certain_that_intervals_alone_hide() -> None:
    """Always one bit less: the difference has no width, however much tasks differ; a task in one file only is out."""
    asked = [{"id": str(number), "groundtruth": "x", "language": "py" if number % 2 else "c"} for number in range(40)]
    dear = [{"id": str(number), "bits": number + 1.0, "bytes": 1} for number in range(40)]
    cheap = [{"id": str(number), "bits": float(number), "bytes": 1} for number in range(39)]
    files = {"dear": scores.measure(asked, dear), "cheap": scores.measure(asked, cheap)}
    found = {(one.who, one.language): one for one in scores.score(asked, files, ["dear"])}
    difference = found["cheap - dear", "all"]
    assert (difference.value, difference.low, difference.high, difference.tasks) == (-1.0, -1.0, -1.0, 39)
    assert found["dear", "all"].low < 20.5 < found["dear", "all"].high
    assert found["dear", "py"].tasks == 20
    assert found["dear", "py"].value == 21.0
    assert "| c | cheap - dear | 20 | -1.000 (-1.000 to -1.000) |" in scores.table(list(found.values()), True)


def test_predictions_of_other_tasks_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody mixed files up: that is said, and no table is printed."""
    asked, predictions = tmp_path / "tasks.jsonl", tmp_path / "predictions.jsonl"
    asked.write_text('{"id": "a", "groundtruth": "x"}\n', "utf-8")
    predictions.write_text('{"id": "b", "completion": "x"}\n', "utf-8")
    assert scores.main([str(asked), f"model={predictions}"]) == 1
    said = capsys.readouterr()
    assert "name no task" in said.err
    assert not said.out
