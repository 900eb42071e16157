"""Which model is used where the settings' one cannot be, and what a window makes of an engine's end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fimble import catalog, memory, paths
from fimble.engine.launch import Launcher, quick_digest, settings_for
from fimble.errors import ModelCorrupt, ModelNotFound, ModelTooLarge
from fimble.models import history
from fimble.models.choice import choose
from fimble.models.fallback import Fallback
from fimble.models.history import Aside, Worked
from fimble.settings import EngineConfig

pytestmark = pytest.mark.usefixtures("home")

BUNDLED = catalog.resolve("")


@pytest.fixture
def mine(home: Path) -> Path:
    path = home / "mine.gguf"
    path.write_bytes(b"GGUF mine")
    return path


def put_aside(path: Path, message: str = "It is broken.") -> None:
    assert history.set_aside(Aside.of(str(path), path, quick_digest(path), ModelCorrupt(message, "Mend it.")))


def test_what_the_settings_say_is_chosen(mine: Path) -> None:
    for setting, path in (("", BUNDLED), ("fimble-45m", BUNDLED), (str(BUNDLED), BUNDLED), (str(mine), mine)):
        found = choose(setting)
        assert (found.path, found.digest, found.failure, found.sentence) == (path, quick_digest(path), None, "")
        assert found.is_bundled is (path == BUNDLED)


def test_another_one_stands_in(mine: Path) -> None:
    """In one sentence: what is wrong, what is used, what to do."""
    put_aside(mine, "It is\n  broken.")
    found = choose(str(mine))
    assert (found.path, found.wanted, found.is_bundled) == (BUNDLED, str(mine), True)
    assert found.sentence == "It is broken. fimble-45m is used instead. Mend it."


def test_the_bundled_model_is_the_last_resort() -> None:
    """Nothing puts it aside, by whatever name it is called; nor does a copy of it that was put aside."""
    put_aside(BUNDLED)
    for setting in ("", "fimble-45m", str(BUNDLED)):
        assert choose(setting).failure is None
    history.note_worked(Worked(setting="fimble-45m", path=str(BUNDLED), digest=quick_digest(BUNDLED)))
    assert choose("no-such-model").is_bundled


def test_an_older_one_that_worked_stands_in(mine: Path, home: Path) -> None:
    """Under the name that it had, also where that means another file now."""
    good = home / "good.gguf"
    good.write_bytes(b"GGUF good")
    for setting in (str(good), "no-longer-known"):
        history.note_worked(Worked(setting=setting, path=str(good), digest=quick_digest(good)))
        put_aside(mine)
        found = choose(str(mine))
        assert (found.path, found.setting) == (good, setting)
        assert not found.is_bundled


@pytest.mark.parametrize("setting", ["no-such-model", "/nowhere/a.gguf", "x" * 5000 + ".gguf", "~nobody/a.gguf"])
def test_a_model_that_is_not_there(setting: str) -> None:
    found = choose(setting)
    assert found.is_bundled
    assert isinstance(found.failure, ModelNotFound)
    assert found.failure.fix


def test_a_path_that_cannot_be_written_down(home: Path) -> None:
    """Names that are no UTF-8 exist on Linux; they are said to be the problem."""
    path = os.fsdecode(os.fsencode(home / "m") + b"\xff.gguf")
    Path(path).write_bytes(b"GGUF")
    found = choose(path)
    assert found.is_bundled
    assert "not UTF-8" in found.sentence


def test_without_any_model_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with the settings' one, not with what would stand in for it."""

    def gone(model: str) -> Path:
        raise ModelNotFound(f"There is no {model!r}.", "Reinstall Fimble.")

    monkeypatch.setattr(catalog, "resolve", gone)
    with pytest.raises(ModelNotFound, match="There is no 'wanted'"):
        choose("wanted")


class Ended(Launcher):
    """Of engines that ended as it is told; the process 7 was started from here."""

    status: int | None = -11
    said = ""
    crashed = True

    def has_crashed(self, pid: int, timeout_s: float = 1.0) -> bool:
        return self.crashed

    def exit_status(self) -> int | None:
        return self.status

    @property
    def child_pid(self) -> int:
        return 7

    def last_words(self) -> str:
        return self.said


class Window:
    """A window's fallback whose engines end as the tests like."""

    def __init__(self, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        self.kills = 0
        monkeypatch.setattr("fimble.models.fallback.Launcher", Ended)
        monkeypatch.setattr(memory, "oom_kills", lambda: self.kills)
        self.fallback = Fallback(str(model), lambda path: settings_for(path, EngineConfig()), self.told.append)

    async def start(self) -> Ended:
        launcher = await self.fallback.choose()
        assert isinstance(launcher, Ended)
        return launcher


@pytest.fixture
def window(mine: Path, monkeypatch: pytest.MonkeyPatch) -> Window:
    return Window(mine, monkeypatch)


async def test_twice_is_too_often(window: Window, mine: Path) -> None:
    """Each process counts once, whoever tells of it; the next choice is another model, with a reason."""
    launcher = await window.start()
    launcher.said = "GGML_ASSERT(x) failed"
    for pid in (7, 7):
        await window.fallback.crashed(launcher, pid, is_loading=True)
        assert await window.start() is launcher
    await window.fallback.crashed(launcher, 8, is_loading=False)
    other = await window.start()
    assert other.settings.model_path == str(BUNDLED)
    (sentence,) = set(window.told)
    assert sentence.startswith(
        "mine.gguf is put aside: the engine ended 2 times, the last time while it answered (GGML_ASSERT(x) failed)."
    )
    assert list(history.put_aside()) == [str(mine)]
    await window.fallback.crashed(launcher, 9, is_loading=False)
    await window.fallback.refused(launcher, ModelCorrupt("Late news.", "Nothing."))
    assert set(window.told) == {sentence}, "what is known of a model that is not used any more changes nothing"


async def test_an_engine_that_took_its_leave_does_not_count(window: Window) -> None:
    launcher = await window.start()
    launcher.crashed = False
    for pid in range(5):
        await window.fallback.crashed(launcher, pid, is_loading=False)
    assert await window.start() is launcher
    assert window.told == []


async def test_killed_for_memory_while_it_loads_is_enough(window: Window) -> None:
    """It would be again.  While it answers, others may be at fault: that counts like any crash."""
    launcher = await window.start()
    launcher.status = -9
    window.kills = 1
    await window.fallback.crashed(launcher, 7, is_loading=False)
    assert await window.start() is launcher
    window.kills = 2
    await window.fallback.crashed(launcher, 7, is_loading=True)
    await window.start()
    (sentence,) = window.told
    assert sentence.startswith("Memory ran out for mine.gguf. fimble-45m is used instead. Choose a smaller model.")


async def test_a_kill_that_was_not_for_memory_is_a_crash(window: Window) -> None:
    launcher = await window.start()
    launcher.status = -9
    await window.fallback.crashed(launcher, 7, is_loading=True)
    assert await window.start() is launcher


async def test_two_windows_agree(window: Window, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One crash in each is two; whoever asks next is told the same."""
    other = Window(mine, monkeypatch)
    first, second = await window.start(), await other.start()
    await window.fallback.crashed(first, 7, is_loading=False)
    await other.fallback.crashed(second, 8, is_loading=False)
    await window.start()
    await other.start()
    assert window.told == other.told
    assert len(window.told) == 1


async def test_what_was_cleared_is_tried_again(window: Window, mine: Path) -> None:
    """`fimble models use` in a terminal: the next start of an engine is with it, and old crashes count for nothing."""
    launcher = await window.start()
    for pid in (7, 8):
        await window.fallback.crashed(launcher, pid, is_loading=False)
    await window.start()
    history.try_again(mine, quick_digest(mine))
    again = await window.start()
    assert again is not launcher
    assert again.settings.model_path == str(mine)
    await window.fallback.crashed(again, 9, is_loading=False)
    assert await window.start() is again


async def test_a_refusal_for_memory_is_not_asked_again_at_once(window: Window, mine: Path) -> None:
    """This window's limits may be others than its engine's: it would go round in circles."""
    launcher = await window.start()
    await window.fallback.refused(launcher, ModelTooLarge("It needs 1 B.", "Buy some.", needed_bytes=1))
    assert (await window.start()).settings.model_path == str(BUNDLED)
    assert history.aside(quick_digest(mine)) is None, "the next window may try"


async def test_what_works_is_noted_once(window: Window, mine: Path) -> None:
    """It is the one to go back to, with what its canary measured."""
    measured = Worked(setting=str(mine), path=str(mine), digest=quick_digest(mine), decode_tokens_per_s=5.0)
    history.note_worked(measured)
    history.note_worked(Worked(setting="", path=str(BUNDLED), digest=quick_digest(BUNDLED)))
    launcher = await window.start()
    await window.fallback.works(launcher)
    newest = history.load().worked[-1]
    assert (newest.path, newest.decode_tokens_per_s) == (str(mine), 5.0)
    before = (paths.data_dir() / "history.json").stat().st_mtime_ns
    await window.fallback.works(launcher)
    assert (paths.data_dir() / "history.json").stat().st_mtime_ns == before
