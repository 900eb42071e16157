"""scripts/bench.py: that it runs from end to end, and that its counts agree with each other."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from models import BUNDLED_MODEL

from random_model import Shape, write_random_model

ROOT = Path(__file__).resolve().parents[2]

#: What bench.py becomes; the environment is the one that the tests run in.
BENCH = ROOT / "scripts" / "bench_run.py"

_START = "def area(width, height):\n    return width * height\n\n\n"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A session of ten keys at the end of a small file, with a paste and a correction between them."""
    rows = [{"txn": 0, "pos": 0, "del": 0, "ins": _START}]
    rows.append({"txn": 1, "pos": 0, "del": 0, "ins": "# a pasted line\n"})
    end = len(_START) + len("# a pasted line\n")
    rows += [{"txn": 2 + n, "pos": end + n, "del": 0, "ins": key} for n, key in enumerate("def pe")]
    rows.append({"txn": 8, "pos": end + 5, "del": 1, "ins": ""})
    rows += [{"txn": 9 + n, "pos": end + 5 + n, "del": 0, "ins": key} for n, key in enumerate("erim")]
    path = tmp_path / "short.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"t": None, **row}) + "\n" for row in rows)
    return path


def _run(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(BENCH), *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _rows(part: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row[""]: row for row in part["rows"]}


def test_typing_counts_every_key_and_every_token(trace: Path) -> None:
    """Each key asks the engine once; the tokens of the user's path and of warming are all that it evaluated."""
    part = _run("typing", "--traces", str(trace.parent), "--prompt-tokens", "300", "--n-predict", "4")["parts"]["short"]
    answers = part["answers"]["fimble"]
    assert part["facts"]["keys"] == len(answers) == 10
    assert part["facts"]["keys_kept_silent"] == 0
    on_path = sum(prompt_n for _first, _done, prompt_n, _cache_n, _predicted_n in answers)
    assert part["facts"]["on_the_users_path"] == on_path
    assert part["facts"]["evaluated_tokens"] == on_path + part["facts"]["warming_tokens"]
    assert part["facts"]["warming_tokens"] >= 0
    for first_ms, done_ms, prompt_n, cache_n, predicted_n in answers:
        assert 0 < first_ms <= done_ms
        assert prompt_n >= 0
        assert prompt_n + cache_n > 256  # the snippets stand in every prompt
        assert predicted_n <= 4
    assert _rows(part)["fimble: tokens recomputed a key"]["p50"] <= 2


def test_paced_typing_answers_or_is_late(trace: Path) -> None:
    """At a person's pace every key is answered in time or late, and what was answered has a time."""
    arguments = ("--traces", str(trace.parent), "--trace", "short", "--paced", "--prompt-tokens", "300")
    part = _run("typing", *arguments)["parts"]["short"]
    share = part["facts"]["fimble: answered before the next key"]
    assert _rows(part)["fimble: answered keys"]["count"] == round(share * 10)


def test_engine_parts_measure_side_by_side(tmp_path: Path) -> None:
    """Decoding, overhead and cancelling: all have counts, ratios belong to their figures, cancelled work stops."""
    model = tmp_path / "tiny.gguf"
    write_random_model(BUNDLED_MODEL, model, Shape(layers=2, width=256, feed_forward=512, heads=4))
    sizes = ("--keys", "5", "--n-predict", "8", "--prompt-tokens", "400")
    arguments = ("--model", str(model), *sizes, "--parts", "decode,overhead,cancel,windows")
    parts = _run("engine", *arguments)["parts"]
    decode = _rows(parts["decode"])
    assert decode["engine, by its timings"]["count"] == decode["bare llama.cpp, 1 threads"]["count"] == 3
    assert 0.05 < parts["decode"]["facts"]["engine_to_bare_wall"] < 5
    overhead = _rows(parts["overhead"])["call to first text, less prompt"]
    assert overhead["count"] == 5
    assert 0 < overhead["p50"] <= overhead["p95"] <= overhead["max"]
    assert parts["windows"]["facts"]["memory_four_to_one"] > 0.5
    for name in ("streamed", "not streamed"):
        assert _rows(parts["cancel"])[f"{name}: evaluated after that"]["max"] in (0, None)


def test_what_is_no_trace_is_said_in_a_sentence(tmp_path: Path) -> None:
    """A folder without traces is named, and no traceback is shown."""
    command = [sys.executable, str(BENCH), "typing", "--traces", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr
