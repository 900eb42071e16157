"""The client: an engine that crashes is started again, but not for ever."""

from __future__ import annotations

import asyncio
import sys

import pytest

from fimble.engine import client as client_module
from fimble.engine.client import EngineClient
from fimble.engine.launch import Launcher
from fimble.engine.wire import EngineSettings
from fimble.errors import EngineCrashed, ModelError

pytestmark = pytest.mark.usefixtures("home")

SETTINGS = EngineSettings(
    model_path="/m.gguf", model_digest="d", context_tokens=512, threads=1, idle_minutes=1.0, transport="unix"
)

#: Long enough that no test lives to see its end.
PAUSE_S = 3600.0


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same steps as in real life, without the waiting between them; only the pause stays."""
    monkeypatch.setattr(client_module, "_BACKOFF_S", (0.0, 0.0, PAUSE_S))
    monkeypatch.setattr(client_module, "_POLL_S", 0.001)


class Crashing(Launcher):
    """Starts a real process that ends with a status at once, and counts."""

    def __init__(self, status: int = 9, said: str = "") -> None:
        super().__init__(SETTINGS)
        self.spawned = 0
        self._code = f"import sys; sys.stderr.write({said!r}); sys.exit({status})"

    def command(self) -> tuple[str, ...]:
        return (sys.executable, "-c", self._code)

    def spawn(self) -> None:
        self.spawned += 1
        super().spawn()


async def test_three_crashes_in_a_row_are_enough() -> None:
    """An engine that does not live is started three times; then there is an error with the cause and a fix."""
    launcher = Crashing(said="first line\nGGML_ASSERT(no) failed\n")
    client = EngineClient(launcher)
    with pytest.raises(EngineCrashed) as caught:
        await client.ensure()
    assert launcher.spawned == 3
    assert "3 times" in caught.value.message
    assert "GGML_ASSERT(no) failed" in caught.value.message
    assert "fimble doctor" in caught.value.fix
    await client.close()


async def test_during_the_pause_nothing_is_started() -> None:
    """While the engine is left alone, every request fails at once and no process is started."""
    launcher = Crashing()
    client = EngineClient(launcher)
    for _ in range(3):
        with pytest.raises(EngineCrashed):
            await client.ensure()
    assert launcher.spawned == 3
    await client.close()


async def test_after_the_pause_it_is_tried_again() -> None:
    """When the pause is over, the engine gets another chance."""
    launcher = Crashing()
    client = EngineClient(launcher)
    with pytest.raises(EngineCrashed):
        await client.ensure()
    client._not_before = 0.0
    with pytest.raises(EngineCrashed):
        await client.ensure()
    assert launcher.spawned > 3
    await client.close()


async def test_callers_share_one_attempt() -> None:
    """Many requests at once start one engine, and one that stops waiting does not stop the others' start."""
    launcher = Crashing()
    client = EngineClient(launcher)
    waiting = [asyncio.ensure_future(client.ensure()) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, *[EngineCrashed] * 4]
    assert launcher.spawned == 3
    await client.close()


class Choosing:
    """A watch that goes on to the next launcher when the one in use is refused or has crashed twice."""

    def __init__(self, *launchers: Crashing) -> None:
        self.launchers = list(launchers)
        self.heard: list[str] = []
        self._crashes = 0

    async def choose(self) -> Launcher:
        return self.launchers[0]

    async def crashed(self, launcher: Launcher, pid: int, *, is_loading: bool) -> None:
        assert launcher is self.launchers[0]
        assert pid == launcher.child_pid
        self.heard.append("loading" if is_loading else "answering")
        self._crashes += 1
        if self._crashes == 2 and len(self.launchers) > 1:
            del self.launchers[0]
            self._crashes = 0

    async def refused(self, launcher: Launcher, failure: ModelError) -> None:
        assert launcher is self.launchers[0]
        self.heard.append(type(failure).__name__)

    async def works(self, launcher: Launcher) -> None:
        raise AssertionError("nothing works here")


async def test_a_watch_chooses_what_is_started_next() -> None:
    """It hears of each crash, and the model that it chooses after the second begins with a clean slate."""
    bad, also_bad = Crashing(), Crashing(said="last words\n")
    watch = Choosing(bad, also_bad)
    client = EngineClient(bad, watch=watch)
    with pytest.raises(EngineCrashed, match="last words"):
        await client.ensure()
    assert (bad.spawned, also_bad.spawned) == (2, 3)
    assert watch.heard == ["loading"] * 5
    assert client.launcher is also_bad
    await client.close()
