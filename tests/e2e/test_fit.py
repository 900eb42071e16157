"""``fimble models fit`` and ``fimble stats`` as people run them: a real measurement, a real window."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from waiting import until
from window import NewWindow

from fimble import days, paths
from fimble.engine.launch import running_engines
from fimble.models.fitting import note_measured
from fimble.models.prediction import WRITTEN_TOKENS


def as_json(*arguments: str) -> Any:
    """Run ``fimble ... --json``."""
    command = [sys.executable, "-m", "fimble", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_fit_measures_once_and_then_knows(home: Path) -> None:
    """The first time it measures; the second is at once and says the same; what was measured of a file counts."""
    names = ("fimble-45m", "qwen2.5-coder-0.5b")
    first = as_json("models", "fit", *names)
    assert [one["name"] for one in first["fits"]] == list(names)
    small, large = (one["cost"] for one in first["fits"])
    assert 0 < small["token_ms"] < large["token_ms"]
    for cost in (small, large):
        assert cost["keystroke_ms"] > (WRITTEN_TOKENS - 1) * cost["token_ms"]
        assert cost["prompt_tokens_s"] > 0
        assert len(cost["arithmetic"]) == 4
    assert first["room_bytes"] > 0
    began = time.monotonic()
    second = as_json("models", "fit", *names)
    assert time.monotonic() - began < 30
    assert [one["cost"] for one in second["fits"]] == [small, large]
    note_measured(Path("somewhere/fimble-45m-q8_0.gguf"), 1000.0, small["decode_tokens_s"] / 1.25)
    (corrected, _) = as_json("models", "fit", *names)["fits"]
    assert corrected["measured"]["prompt_tokens_s"] == 1000.0
    assert corrected["cost"]["decode_tokens_s"] == pytest.approx(small["decode_tokens_s"] / 1.25)


def test_fit_for_people(home: Path) -> None:
    """A table, the arithmetic when it is asked for, and what to do; a goal of one's own."""
    command = [sys.executable, "-m", "fimble", "models", "fit", "fimble-45m", "--goal", "5000", "--explain"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    assert "Recommended: fimble-45m.  `fimble models use fimble-45m`" in done.stdout
    assert "the goal is 5,000 ms" in done.stdout
    assert "a slice of 12 of 12 layers" in done.stdout


def test_a_model_that_is_used_is_measured(home: Path) -> None:
    """What `use` measures when it tries a model stands beside what was predicted, and corrects it."""
    used = as_json("models", "use", "fimble-45m")
    (one,) = as_json("models", "fit", "fimble-45m")["fits"]
    assert one["measured"]["decode_tokens_s"] == pytest.approx(used["trial"]["decode_tokens_per_s"])
    assert one["measured"]["prompt_tokens_s"] == pytest.approx(used["trial"]["prompt_tokens_per_s"])


def test_the_doctor_measures_nothing(home: Path) -> None:
    """It tells what is known, and how more would be."""
    command = [sys.executable, "-m", "fimble", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    (best,) = [one for one in json.loads(done.stdout)["findings"] if one["what"] == "Best model"]
    assert best["ok"]
    assert "`fimble models fit` finds it" in best["found"]


LINE = "connection = open_database_connection(settings.database_url, timeout=30)"
SOURCE = f"import os\n\n\ndef first(settings):\n    {LINE}\n    return connection\n\n\ndef second(settings):\n    \n"


async def test_what_a_window_did_is_in_the_stats(new_window: NewWindow, all_likely: None) -> None:
    """A suggestion is accepted, the window closes: the day has it, its keys, and the engine's energy and memory."""
    window = await new_window()
    uri = window.open("a.py", SOURCE)
    offset = window.type(uri, len(SOURCE) - 1, "connection = open_data")
    (item,) = await window.ask(uri, offset)
    assert item.command
    chars = len(str(item.insert_text))
    params = types.ExecuteCommandParams(command=item.command.command, arguments=item.command.arguments)
    await window.client.workspace_execute_command_async(params)
    await asyncio.to_thread(until, lambda: running_engines(paths.runtime_dir()), "an engine")
    await window.stop()
    found = await asyncio.to_thread(as_json, "stats")
    (day,) = found["days"]
    assert day["accepted"] == 1
    assert day["keys_saved"] == chars - 1
    assert sum(source.get("shown", 0) for source in day["by_source"].values()) >= 1
    assert day["engine_cpu_s"] > 0
    assert sum(day["energy_j"].values()) > 0
    assert day["engine_memory_mb"] > 20
    assert "connection" not in days.file_of_days().read_text()
