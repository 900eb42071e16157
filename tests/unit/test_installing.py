"""The commands that fill an environment: which llama.cpp they take, and what is said when they fail."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import environment
from fimble import builds
from install_failure import likely_fix
from installer import Installer

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["pip", "uv"])
def commands(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    """Gives what is run to make a new environment with some llama.cpp, and the CMAKE_ARGS that it is run with."""
    monkeypatch.setattr(shutil, "which", lambda name: name if name == request.param else None)
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_NATIVE=off")

    def made(*llama: str) -> tuple[list[str], str]:
        made = Installer(ROOT, tmp_path, Path(sys.executable), llama)
        assert made.name == request.param
        return [" ".join(command) for command in made._commands(["dev"], True)], made._environ()["CMAKE_ARGS"]

    return made


def test_without_a_choice_pip_decides(commands: object) -> None:
    """An environment is made and filled; what was built before is taken from the cache."""
    assert callable(commands)
    run, cmake_args = commands()
    assert len(run) == 2
    assert run[-1].endswith(f"--editable {ROOT}[dev]")
    assert "no-cache" not in run[-1]
    assert cmake_args == "-DGGML_NATIVE=off -DLLAVA_BUILD=OFF"


@pytest.mark.parametrize("backend", ["cuda", "metal", "vulkan", "rocm"])
def test_a_backend_is_built_before_the_rest(backend: str, commands: object) -> None:
    """llama.cpp comes first and is not taken from a cache, where a build for another backend may be."""
    assert callable(commands)
    run, cmake_args = commands(backend)
    assert len(run) == 3
    assert run[1].endswith("llama-cpp-python>=0.3.36")
    assert "--no-cache" in run[1]
    assert "reinstall" in run[1]
    assert builds.BACKENDS[backend].cmake_args in cmake_args
    assert "-DGGML_NATIVE=off" in cmake_args  # what the user has set stays


def test_a_wheel_needs_no_compiler(commands: object) -> None:
    """Nothing is built: the only index that is asked besides the usual one has wheels for this backend."""
    assert callable(commands)
    run, _ = commands("vulkan", "wheel")
    assert "--only-binary llama-cpp-python --extra-index-url" in run[1]
    assert "whl/vulkan" in run[1]


def test_every_backend_can_be_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The script offers what the table has, and hands the choice on."""
    asked: list[object] = []
    monkeypatch.setattr(environment, "ensure_or_exit", lambda llama: asked.append(llama))
    for arguments in ([], ["--prebuilt"], *(["--backend", name] for name in builds.BACKENDS)):
        monkeypatch.setattr(sys, "argv", ["environment.py", *arguments])
        environment._main()
    assert asked == [None, ["cpu", "wheel"], *([name] for name in builds.BACKENDS)]


def test_a_choice_stays_until_another_one_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The scripts that call `ensure` without one neither put llama.cpp in place again nor forget what was chosen."""
    made: list[tuple[list[str], bool]] = []

    class Recorded(Installer):
        def install(self, extras: object, anew: bool) -> str:
            made.append((list(self._llama), self._is_new))
            tmp_path.mkdir(exist_ok=True)
            return "0:01"

    monkeypatch.setattr(environment, "Installer", Recorded)
    for name in ("VENV", "STAMP", "CHOICE"):
        monkeypatch.setattr(environment, name, tmp_path / getattr(environment, name).name)
    monkeypatch.setattr(environment, "_look", lambda: ((3, 11), str(ROOT / "server/fimble/__init__.py")))
    monkeypatch.setattr(environment, "_explain", lambda *_: None)
    environment.ensure(llama=["cuda"])
    environment.ensure()
    environment.ensure(("dev", "train"))
    environment.ensure(("dev", "train"), llama=["cpu", "wheel"])
    environment.ensure(("dev", "train"))
    assert made == [(["cuda"], True), (["cuda"], False), (["cpu", "wheel"], True)]


@pytest.mark.parametrize(
    ("printed", "fix"),
    [
        ("CMake Error: No CMAKE_CXX_COMPILER could be found.", "--prebuilt"),
        ("CMake Error at CMakeLists.txt:9 (message): CUDA Toolkit not found", "nvidia-cuda-toolkit"),
        ("No CMAKE_CUDA_COMPILER could be found.", "nvidia-cuda-toolkit"),
        ("Could NOT find Vulkan (missing: Vulkan_LIBRARY Vulkan_INCLUDE_DIR glslc)", "glslc"),
        ('Could not find a package configuration file provided by "hip" with any', "ROCm"),
    ],
)
def test_what_is_missing_for_a_build_is_named(printed: str, fix: str) -> None:
    """CMake's words for it are long; the fix is one line."""
    assert fix in likely_fix(printed)


def test_the_page_says_what_is_built(pytestconfig: pytest.Config) -> None:
    """server/INSTALLING.md has the setting and the index of each backend."""
    text = (ROOT / "server" / "INSTALLING.md").read_text("utf-8")
    for backend in builds.BACKENDS.values():
        assert backend.cmake_args in text
        assert backend.index_url in text
