"""Finding and judging engine processes, and trying models in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest
from models import read_gguf

from fimble import digests
from fimble.engine import launch
from fimble.engine.endpoint import Endpoint
from fimble.errors import ModelCorrupt, ModelCrashes, ModelNotFound
from fimble.settings import EngineConfig

MIB = 1 << 20


def digest_of(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return digests.quick_digest(path)


@pytest.mark.parametrize("size", [0, 1, 1000, MIB, MIB + 1, 3 * MIB])
def test_a_digest_sees_both_ends_and_the_size(tmp_path: Path, size: int) -> None:
    """A change of the first or last byte or of the length gives another digest; no change gives the same."""
    path, data = tmp_path / "m.gguf", bytes(size)
    digest = digest_of(path, data)
    assert len(digest) == 32
    assert digest_of(path, data) == digest
    changed = {digest_of(path, data + b"\0")}
    if size:
        changed |= {digest_of(path, b"\1" + data[1:]), digest_of(path, data[:-1] + b"\2")}
    assert digest not in changed
    assert len(changed) == (3 if size > 1 else 1 + size * 2)


def test_the_digest_of_a_missing_model_is_an_oserror(tmp_path: Path) -> None:
    """Who asks for the settings of a model that is gone is told so."""
    with pytest.raises(OSError, match="No such file"):
        launch.settings_for(tmp_path / "gone.gguf", EngineConfig())


def test_settings_say_everything_about_an_engine(tmp_path: Path) -> None:
    """What the engine is told comes from the model and from the user's engine settings."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"x")
    config = EngineConfig(
        context_tokens=300,
        threads=3,
        power="saving",
        flash_attention="off",
        kv_type="q8_0",
        mmap=False,
        mlock=True,
        gpu_layers=7,
        cache_mb=9,
        idle_minutes=2,
        transport="tcp",
    )
    default = msgspec.structs.asdict(EngineConfig())
    said = msgspec.structs.asdict(config)
    assert [name for name in said if said[name] == default[name]] == [], "a setting is not tried"
    made = msgspec.structs.asdict(launch.settings_for(path, config))
    assert made == {
        **said,
        "model_path": str(path),
        "model_digest": digests.quick_digest(path),
        "model_sha256": "",
        "adapter": None,
    }


def found(pid: int) -> Endpoint:
    return Endpoint(key="k", model_path="/m.gguf", pid=pid, command=psutil.Process(pid).cmdline())


def test_a_running_process_is_alive() -> None:
    """The process that wrote an endpoint is alive."""
    assert launch.is_alive(found(os.getpid()))


def test_an_ended_process_is_not_alive() -> None:
    """An engine that was killed is gone, also while its endpoint file is still there."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        written = found(child.pid)
        assert launch.is_alive(written)
    assert not launch.is_alive(written)


def test_a_recycled_number_is_not_alive() -> None:
    """Another process that got the old engine's number is not taken for it."""
    written = found(os.getpid())
    written.command = [*written.command, "{}"]
    assert not launch.is_alive(written)


def test_a_clock_that_was_set_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of the clock, forwards or backwards, hides no engine and brings none back."""
    written, now = found(os.getpid()), time.time()
    for step in (-86_400, 86_400):
        monkeypatch.setattr(time, "time", lambda step=step: now + step)
        monkeypatch.setattr(psutil.Process, "create_time", lambda _self, step=step: time.time() + step)
        assert launch.is_alive(written)


def test_a_zombie_is_not_alive() -> None:
    """A process that ended and that nobody has waited for answers no request."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    written = found(child.pid)
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not launch.is_alive(written)
    child.wait(30)


def test_only_living_engines_are_listed(tmp_path: Path) -> None:
    """The endpoint of a killed engine and a file that is none are left out."""
    found(os.getpid()).write(tmp_path / "a.json")
    Endpoint(key="b", model_path="/b.gguf", pid=2**22 + 1).write(tmp_path / "b.json")
    (tmp_path / "c.json").write_text("{")
    assert [engine.pid for engine in launch.running_engines(tmp_path)] == [os.getpid()]


def test_an_engine_that_ignores_the_polite_signal_is_killed() -> None:
    """Stopping an engine ends it, also one that does not listen; stopping one that is gone succeeds."""
    code = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read(1)
        engine = found(child.pid)
        assert launch.stop(engine, timeout_s=0.1)
        assert not launch.is_alive(engine)
        assert child.wait(30) == -9
    assert launch.stop(engine)


def test_the_environment_bounds_spinning(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An engine's OpenMP threads spin only for a while, unless the user's environment says otherwise."""
    script = "import os, sys; open(sys.argv[1], 'w').write(os.environ['GOMP_SPINCOUNT'])"
    said = tmp_path / "said"

    class Recorder(launch.Launcher):
        def command(self) -> tuple[str, ...]:
            return (sys.executable, "-c", script, str(said))

    def spawned(settings_path: Path) -> str:
        recorder = Recorder(launch.settings_for(settings_path, EngineConfig()))
        recorder.spawn()
        child = recorder._child
        assert child is not None
        assert child.wait(30) == 0
        assert recorder.exit_status() == 0
        return said.read_text()

    model = tmp_path / "m.gguf"
    model.write_bytes(b"x")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert spawned(model) == "10000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert spawned(model) == "7"


def test_a_good_model_is_described(bundled: Path) -> None:
    """Trying the bundled model tells its name, its size and its fill-in-the-middle tokens."""
    probe = launch.probe(bundled)
    file = read_gguf(bundled)
    assert probe.description == f"{file.fields['general.name'].contents()}, llama, Q8_0"
    assert probe.n_params == sum(int(tensor.n_elements) for tensor in file.tensors)
    assert (probe.fim_tokens, probe.licence) == ([1, 2, 3], "apache-2.0")


def test_what_is_wrong_with_a_model_comes_back_as_its_class(tmp_path: Path) -> None:
    """The error that the trying process met is raised here, with its fix."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    for path, kind in ((broken, ModelCorrupt), (tmp_path / "gone.gguf", ModelNotFound)):
        with pytest.raises(kind) as caught:
            launch.probe(path)
        assert caught.value.fix


def test_a_model_that_ends_the_process_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When llama.cpp aborts on a file, that is told about the file, and this process lives on."""
    dying = tmp_path / "dying"
    dying.write_text("#!/bin/sh\necho 'GGML_ASSERT failed' >&2\nkill -ABRT $$\n")
    dying.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(dying))
    with pytest.raises(ModelCrashes, match="GGML_ASSERT failed"):
        launch.probe(tmp_path / "m.gguf")
