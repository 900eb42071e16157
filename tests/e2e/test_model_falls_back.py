"""A model that cannot be used: the user keeps getting suggestions from the last good one, and reads one clear line."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from models import BUNDLED_MODEL, write_broken_model, write_crashing_model, write_model_without_fim
from waiting import until
from window import NewWindow, Window, source_of

from fimble import paths
from fimble.engine import launch
from fimble.engine.client import ask_props
from fimble.engine.endpoint import Endpoint
from fimble.engine.wire import Probe
from fimble.models import history

pytestmark = [pytest.mark.usefixtures("all_likely"), pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]

CODE = "def first(settings):\n    return settings\n\n\ndef second(values):\n    total = "


def write_too_large(source: Path, target: Path) -> None:
    """More than any machine has: a file of four terabytes, of which the disk holds a few megabytes."""
    target.write_bytes(source.read_bytes())
    os.truncate(target, 4 << 40)


def choose(home: Path, model: Path) -> Path:
    """Write the model into the user's settings, as an editor of text does."""
    file = home / "config" / "fimble" / "fimble.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'# mine\nmodel = "{model}"\n[suggest]\ndeadline_ms = 20000\necho = false\n')
    return file


async def model_answers(window: Window, name: str) -> None:
    """Type until the model has suggested something."""
    code = CODE.replace("first", name.removesuffix(".py"))  # nothing that memory knows
    uri = window.open(name, code)
    offset = len(code)
    async with asyncio.timeout(60):
        while True:
            for item in await window.ask(uri, offset):
                if source_of(item) == "model":
                    return
            offset = window.type(uri, offset, "v" if offset % 8 else "\n    x = ")


def engines() -> list[str]:
    return [found.model_path for found in launch.running_engines(paths.runtime_dir())]


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (write_broken_model, "not finite"),
        (write_crashing_model, "ended 2 times"),
        (write_model_without_fim, "fill-in-the-middle"),
        (write_too_large, "of memory ("),
    ],
)
async def test_the_last_good_model_goes_on(
    new_window: NewWindow, home: Path, write: Callable[[Path, Path], None], says: str
) -> None:
    """NaN, a crash, no FIM tokens, too large: one line with the fix, suggestions all the same, settings untouched."""
    model = home / "mine.gguf"
    write(BUNDLED_MODEL, model)
    settings = choose(home, model)
    before = settings.read_bytes()
    window = await new_window(status=True)
    await model_answers(window, "a.py")
    (line,) = window.messages
    assert "mine.gguf" in line
    assert says in line
    assert "fimble-45m is used instead." in line
    assert f"`fimble models use {model}` tries it again." in line
    assert "\n" not in line
    assert settings.read_bytes() == before
    assert window.statuses[-1]["model"] == "fimble-45m"
    assert says in str(window.statuses[-1]["message"])
    assert list(history.put_aside()) == [str(model)]

    # A window that comes later knows, says so once, and does not try it.
    other = await new_window()
    await model_answers(other, "b.py")
    assert other.messages == window.messages
    assert str(BUNDLED_MODEL) in engines()


async def answering(window: Window, uri: str, offset: int) -> tuple[asyncio.Task[object], Endpoint]:
    """A question that the engine is working on now."""
    asked = asyncio.ensure_future(window.ask(uri, offset))
    async with asyncio.timeout(60):
        while True:
            for found in launch.running_engines(paths.runtime_dir()):
                if (await ask_props(found)).counters.requests:
                    return asked, found
            await asyncio.sleep(0.005)


async def crash(window: Window, uri: str, offset: int) -> None:
    """End the engine while it answers, as a fault in its code would."""
    asked, engine = await answering(window, uri, offset)
    os.kill(engine.pid, signal.SIGSEGV)
    await asked


async def test_a_model_that_crashes_twice_while_it_answers(new_window: NewWindow, home: Path, slow_model: Path) -> None:
    """Once may happen: it is started again.  Twice is its fault, and both windows that are open go on without it."""
    choose(home, slow_model)
    first, second = await new_window(), await new_window()
    long = "".join(f"value_{number} = compute({number})\n" for number in range(60))
    uri = first.open("a.py", long)
    offset = first.type(uri, len(long), "value")
    await crash(first, uri, offset)
    assert first.messages == []
    await crash(first, uri, first.type(uri, offset, "_"))
    await model_answers(first, "b.py")
    (line,) = first.messages
    assert f"{slow_model.name} is put aside: the engine ended 2 times" in line
    await model_answers(second, "c.py")
    assert len(second.messages) == 1
    assert "is put aside" in second.messages[0]
    assert engines() == [str(BUNDLED_MODEL)]


async def is_idle(engine: Endpoint) -> None:
    """Wait until the engine has done all that was asked, what the window prepares for the next keys included."""
    async with asyncio.timeout(60), aiohttp.ClientSession(connector=aiohttp.UnixConnector(engine.socket)) as http:
        idle_looks = 0
        while idle_looks < 10:  # longer than the window's pauses between one thing and the next
            async with http.get("http://engine/slots") as answer:
                idle_looks = 0 if any(slot["is_processing"] for slot in await answer.json()) else idle_looks + 1
            await asyncio.sleep(0.05)


def kill(engine: Endpoint) -> None:
    """End it as `kill -9` does."""
    os.kill(engine.pid, signal.SIGKILL)


async def test_engines_that_are_stopped_are_no_crashes(new_window: NewWindow, home: Path) -> None:
    """`fimble engine stop`, as often as one likes, and a kill while nothing is computed put no model aside."""
    model = home / "mine.gguf"
    model.write_bytes(BUNDLED_MODEL.read_bytes() + b"\0")
    choose(home, model)
    window = await new_window()
    endings: list[Callable[[Endpoint], object]] = [launch.stop, launch.stop, kill, kill]
    for number, ending in enumerate(endings):
        await model_answers(window, f"before{number}.py")
        (engine,) = launch.running_engines(paths.runtime_dir())
        await is_idle(engine)
        ending(engine)
        async with asyncio.timeout(60):
            while launch.is_alive(engine):
                await asyncio.sleep(0.02)
    await model_answers(window, "after.py")
    assert window.messages == []
    assert engines() == [str(model)]
    assert history.put_aside() == {}


async def test_a_file_that_is_another_one_is_tried(new_window: NewWindow, home: Path) -> None:
    """A model that was repaired is used by the next window, without a word."""
    model = home / "mine.gguf"
    write_model_without_fim(BUNDLED_MODEL, model)
    choose(home, model)
    await model_answers(await new_window(), "a.py")
    assert list(history.put_aside()) == [str(model)]
    model.write_bytes(BUNDLED_MODEL.read_bytes())
    window = await new_window()
    await model_answers(window, "b.py")
    assert window.messages == []
    assert str(model) in engines()
    assert history.put_aside() == {}


async def test_the_one_before_is_the_last_good_one(new_window: NewWindow, home: Path) -> None:
    """Not the bundled model stands in, but what was used before."""
    good, bad = home / "good.gguf", home / "bad.gguf"
    good.write_bytes(BUNDLED_MODEL.read_bytes() + b"\0")
    write_broken_model(BUNDLED_MODEL, bad)
    choose(home, good)
    window = await new_window()
    await model_answers(window, "a.py")
    await window.stop()
    choose(home, bad)
    window = await new_window()
    await model_answers(window, "a.py")
    (line,) = window.messages
    assert "good is used instead." in line
    assert str(good) in engines()


async def test_a_home_that_cannot_be_written_to(new_window: NewWindow, home: Path) -> None:
    """Nothing can be kept: each window finds out by itself, says it once, and goes on."""
    (home / "data").write_text("not a folder")
    model = home / "mine.gguf"
    write_crashing_model(BUNDLED_MODEL, model)
    choose(home, model)
    window = await new_window()
    await model_answers(window, "a.py")
    (line,) = window.messages
    assert "mine.gguf is put aside" in line


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces a limit of address space")
async def test_a_limit_of_address_space(
    new_window: NewWindow, home: Path, patch_processes: Callable[[str], None]
) -> None:
    """`ulimit -v` of the engine: a model that does not fit is refused with the numbers, and a small one runs."""
    patch_processes(
        "import sys, resource\n"
        "if 'fimble.engine.server' in sys.orig_argv:\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
    )
    model = home / "mine.gguf"
    model.write_bytes(BUNDLED_MODEL.read_bytes())
    os.truncate(model, 3 << 30)
    choose(home, model)
    window = await new_window()
    await model_answers(window, "a.py")
    (line,) = window.messages
    assert "mine.gguf needs 3.2 GB of memory (3.2 GB of weights, " in line
    assert "(ulimit -v) leaves " in line


GROUP = Path("/sys/fs/cgroup/memory/fimble-test")


@pytest.fixture
def small_group(home: Path) -> Iterator[Path]:
    """A memory cgroup (v1) of 140 MB, of which Python and llama.cpp take 90, in which nobody is yet."""
    GROUP.mkdir()
    (GROUP / "memory.limit_in_bytes").write_text(str(140_000_000))
    yield GROUP
    for found in launch.running_engines(paths.runtime_dir()):
        launch.stop(found)
    until(_is_taken_away, "the kernel to bury the last process of the group")


def _is_taken_away() -> bool:
    try:
        GROUP.rmdir()
    except OSError:
        return False
    return True


@pytest.mark.skipif(
    sys.platform != "linux" or not os.access(GROUP.parent, os.W_OK),
    reason="needs memory cgroups (v1) that can be written to",
)
async def test_the_systems_killer(
    new_window: NewWindow, home: Path, slow_model: Path, small_group: Path, patch_processes: Callable[[str], None]
) -> None:
    """Linux ends an engine for want of memory while it loads a model: once is enough, and memory is named."""
    patch_processes(
        "import sys, os\n"
        f"if 'fimble.engine.server' in sys.orig_argv and {str(slow_model)!r} in sys.orig_argv[-2]:\n"
        f"    open('{small_group}/cgroup.procs', 'w').write(str(os.getpid()))\n"
        "    from fimble import memory\n"
        "    memory.available = lambda: memory.Available(1 << 40, 'nothing')\n"
    )
    file = choose(home, slow_model)
    file.write_text(file.read_text() + "[engine]\nmmap = false\ncontext_tokens = 8192\n")
    window = await new_window()
    await model_answers(window, "a.py")
    (line,) = window.messages
    assert f"Memory ran out for {slow_model.name}." in line
    (aside,) = history.put_aside().values()
    assert aside.kind == "ModelTooLarge"


def test_llama_cpp_that_gets_no_memory_says_so(home: Path, slow_model: Path) -> None:
    """Where the numbers said that a model fits and it does not: llama.cpp's own failure is told as what it is."""
    script = (
        "import resource, sys\n"
        "import psutil\n"
        "from fimble.engine import probe\n"
        "limit = psutil.Process().memory_info().vms + 50_000_000\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        f"sys.exit(probe.main([{str(slow_model)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    found = msgspec.json.decode(done.stdout, type=Probe)
    assert found.error is not None
    assert found.error.type == "ModelTooLarge"
