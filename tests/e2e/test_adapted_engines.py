"""Adapters in real engines: one for each workspace, and a wrong one costs a line and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from lora import write_adapter
from models import BUNDLED_MODEL
from test_cli import as_json, fimble
from window import NewWindow

from fimble.engine.client import EngineClient
from fimble.engine.launch import Launcher, settings_for
from fimble.engine.wire import Adapter, InfillRequest
from fimble.models import adapters
from fimble.settings import EngineConfig


async def written(client: EngineClient) -> str:
    """What the engine writes at a place."""
    request = InfillRequest(input_prefix="def total(prices):\n", prompt="    return ", input_suffix="\n", n_predict=12)
    return "".join([chunk.content async for chunk in client.infill(request)])


async def test_each_workspace_has_its_own(home: Path, tmp_path: Path) -> None:
    """Two repositories ask two engines, and each answers as its adapter has it; without one as the bare model."""
    for number, name in enumerate(("one", "two"), 1):
        (tmp_path / name / ".git").mkdir(parents=True)
        path = write_adapter(tmp_path / f"{name}.gguf", seed=number, factor=6.0)
        assert as_json("adapters", "add", str(path))["name"] == name
        assert as_json("adapters", "use", name, "--folder", str(tmp_path / name))["chosen"] == name
    found = {}
    for name in ("one", "two", "three"):
        adapter = adapters.for_engine(tmp_path / name, BUNDLED_MODEL)
        client = EngineClient(Launcher(settings_for(BUNDLED_MODEL, EngineConfig(), adapter)))
        try:
            text = await written(client)
            props = await client.props()
        finally:
            await client.close()
        found[name] = (props.pid, text)
        assert (props.settings.adapter is None) == (name == "three")
    assert len({pid for pid, _ in found.values()}) == 3
    assert len({text for _, text in found.values()}) == 3


async def test_a_wrong_adapter_is_told_once_and_left_out(home: Path, tmp_path: Path) -> None:
    """The engine answers what the bare model answers, and says why."""
    notices: list[str] = []
    path = write_adapter(tmp_path / "other.gguf", architecture="qwen2")
    wrong = Adapter(path=str(path), digest="x")
    texts = []
    for adapter in (wrong, None):
        launcher = Launcher(settings_for(BUNDLED_MODEL, EngineConfig(), adapter))
        client = EngineClient(launcher, on_notice=notices.append)
        try:
            texts.append(await written(client))
        finally:
            await client.close()
    assert texts[0] == texts[1] != ""
    (notice,) = notices
    assert "other.gguf" in notice
    assert "without it" in notice


@pytest.mark.parametrize("problem", ["changed", "gone"])
async def test_a_window_goes_on_without_it(new_window: NewWindow, tmp_path: Path, problem: str) -> None:
    """One message says what is wrong with the workspace's adapter; suggestions come all the same."""
    path = write_adapter(tmp_path / "mine.gguf")
    adapters.add(path, BUNDLED_MODEL)
    adapters.use("mine", tmp_path / "project")
    if problem == "gone":
        path.unlink()
    else:
        write_adapter(path, seed=2)
    window = await new_window(settings={"suggest": {"deadline_ms": 20_000}})
    text = "def total(prices):\n    return \n"
    uri = window.open("a.py", text)
    async with asyncio.timeout(60):  # the first question may come before the settings were read
        while not await window.ask(uri, len(text) - 1, invoked=True):
            await asyncio.sleep(0.2)
    told = [message for message in window.messages if "mine" in message]
    assert len(told) == 1


def test_the_commands(home: Path, tmp_path: Path) -> None:
    """Add, list, use, none, rm; what is wrong has its fix."""
    (tmp_path / ".git").mkdir()
    assert "`fimble personalise` makes one" in fimble("adapters", "list", cwd=tmp_path).stdout
    path = write_adapter(tmp_path / "mine.gguf")
    assert fimble("adapters", "add", str(path), "--name", "small", "--scale", "0.5").returncode == 0
    assert "small" in fimble("adapters", "use", "small", cwd=tmp_path).stdout
    listed = fimble("adapters", "list", cwd=tmp_path).stdout
    assert "*" in listed
    assert "small" in listed
    assert "as it is" in fimble("adapters", "use", "none", cwd=tmp_path).stdout
    assert fimble("adapters", "rm", "small").returncode == 0
    assert path.exists()
    missing = fimble("adapters", "use", "small", cwd=tmp_path)
    assert missing.returncode == 1
    assert "adapters list" in missing.stderr
    refused = fimble("adapters", "add", str(BUNDLED_MODEL))
    assert refused.returncode == 1
    assert "does not fit" in refused.stderr
    made = as_json("models", "quantize", "fimble-45m", "--to", "q5_k_m", "--output", str(tmp_path / "small.gguf"))
    assert made["name"] == "small"
    assert (tmp_path / "small.gguf").stat().st_size == pytest.approx(made["target_bytes"], rel=0.02)
    assert "There is no kind" in fimble("models", "quantize", "fimble-45m", "--to", "Q9").stderr
