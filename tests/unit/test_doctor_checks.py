"""The doctor's checks one by one: GPUs by their traces in the system, commands that fit, failures that are findings."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimble import builds, paths
from fimble.cli.doctor import folders, llama, packages
from fimble.cli.doctor.finding import Finding, look
from fimble.errors import EngineUnreachable


def nothing(_name: str) -> None:
    """No program is on PATH."""


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """The traces that are looked at are Linux's."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")


def card(root: Path, vendor: str) -> None:
    folder = root / "sys/class/drm/renderD128/device"
    folder.mkdir(parents=True)
    (folder / "vendor").write_text(vendor + "\n")


@pytest.mark.usefixtures("linux")
@pytest.mark.parametrize(
    ("vendor", "has_kfd", "backend"),
    [("0x10de", False, "cuda"), ("0x1002", True, "rocm"), ("0x1002", False, "vulkan"), ("0x8086", False, "")],
)
def test_a_card_is_known_by_its_maker(tmp_path: Path, vendor: str, has_kfd: bool, backend: str) -> None:
    """NVIDIA's, AMD's with ROCm's driver, AMD's without it, and Intel's, which hardly pays."""
    card(tmp_path, vendor)
    if has_kfd:
        (tmp_path / "dev").mkdir()
        (tmp_path / "dev/kfd").write_text("")
    assert llama.gpu_backend(tmp_path, nothing) == backend


@pytest.mark.usefixtures("linux")
def test_nvidias_driver_is_a_trace_of_a_gpu(tmp_path: Path) -> None:
    """Its file in /proc, or its program: containers have one without the other."""
    assert llama.gpu_backend(tmp_path, nothing) == ""
    assert llama.gpu_backend(tmp_path, lambda name: name if name == "nvidia-smi" else None) == "cuda"
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text("")
    assert llama.gpu_backend(tmp_path, nothing) == "cuda"


def test_a_gpu_that_is_not_used_is_a_hint_and_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is well without it; the command that would use it is named, with and without a compiler."""
    monkeypatch.setattr(llama, "gpu_backend", lambda: "cuda")
    monkeypatch.setattr(llama, "_loaded", lambda: ({"gpu": False}, 0, ""))
    (finding,) = llama.gpus()
    assert finding.ok
    assert 'CMAKE_ARGS="-DGGML_CUDA=on"' in finding.fix
    assert "whl/cu124" in finding.fix
    monkeypatch.setattr(llama, "_loaded", lambda: ({"gpu": True}, 0, ""))
    (finding,) = llama.gpus()
    assert not finding.fix


@pytest.mark.parametrize(
    ("missing", "cause"),
    [
        ("libc.musl-x86_64.so.1", "musl"),
        ("libgomp.so.1", "OpenMP"),
        ("libcudart.so.12", "CUDA"),
        ("libvulkan.so.1", "Vulkan"),
        ("libamdhip64.so.7", "ROCm"),
        ("libsomething.so.1", "does not load"),
    ],
)
def test_a_library_that_llama_cpp_needs_is_named(missing: str, cause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system's loader says is put into words, with what brings the library or does without it."""
    said = f"RuntimeError: Failed to load shared library: {missing}: cannot open shared object file"
    monkeypatch.setattr(llama, "_loaded", lambda: ({}, 1, said))
    (finding,) = llama.library()
    assert not finding.ok
    assert cause in finding.found
    assert finding.fix


@pytest.mark.parametrize("backend", builds.BACKENDS)
def test_commands_put_another_build_in_place(backend: str) -> None:
    """pip would take what it built before, so both commands insist; neither touches the other packages."""
    for command in (builds.build_command(backend), builds.wheel_command(backend)):
        assert f"{sys.executable} -m pip install --force-reinstall --no-deps" in command
        assert command.endswith("llama-cpp-python")
    assert "--no-cache-dir" in builds.build_command(backend)
    assert builds.BACKENDS[backend].cmake_args in builds.build_command(backend)


@pytest.mark.parametrize(
    ("status", "is_illegal"), [(-4, True), (132, True), (0xC000001D, True), (-6, False), (0, False), (None, False)]
)
def test_how_a_process_ends_on_an_unknown_instruction(status: int | None, is_illegal: bool) -> None:
    """By the signal, as a shell tells it, and as Windows does."""
    assert builds.is_illegal_instruction(status) == is_illegal


def test_a_python_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version that is needed is named."""
    monkeypatch.setattr(packages, "MIN_PYTHON", (99, 0))
    (finding,) = packages.fimble()
    assert not finding.ok
    assert "Python 99.0" in finding.fix


def test_the_doctor_and_the_package_ask_for_the_same_python() -> None:
    """What pip refuses to install on, the doctor finds wrong."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    assert f'requires-python = ">={".".join(map(str, packages.MIN_PYTHON))}"' in text


def test_a_missing_socket_folder_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Fimble foresees keeps its fix."""

    def missing() -> Path:
        raise EngineUnreachable("There is no folder.", "Set XDG_RUNTIME_DIR.")

    monkeypatch.setattr(paths, "runtime_dir", missing)
    (finding,) = look("Socket folder", folders.sockets)
    assert finding == Finding(what="Socket folder", ok=False, found="There is no folder.", fix="Set XDG_RUNTIME_DIR.")


@pytest.mark.parametrize("error", [ImportError("x"), OSError("y"), ValueError("z"), AssertionError(), RecursionError()])
def test_a_check_that_fails_is_a_finding(error: Exception) -> None:
    """Whatever a check meets, what it found before counts, and something to do is named."""

    def check() -> Iterator[Finding]:
        yield Finding(what="first", ok=True, found="")
        raise error

    first, second = look("Check", check)
    assert first.ok
    assert (second.what, second.ok) == ("Check", False)
    assert second.fix
