"""How llama.cpp is built for this machine: its backends, and the commands that put another build in place.

Only the standard library, and no other module of Fimble: scripts/environment.py uses this page before there is an
environment, and `fimble doctor` where it is broken.  The settings and the index of wheels are those of
llama-cpp-python's read-me (0.3.36); server/INSTALLING.md says more about each.
"""

from __future__ import annotations

import shlex
import signal
import sys
from dataclasses import dataclass

PACKAGE = "llama-cpp-python"

#: Where its makers publish wheels that need no compiler, a folder for each backend.
_WHEELS = "https://abetlen.github.io/llama-cpp-python/whl/"

#: How a process ends on an instruction that this processor does not have: by SIGILL, as a shell says it, on Windows.
_ILLEGAL_INSTRUCTION = (-int(signal.SIGILL), 128 + int(signal.SIGILL), 0xC000001D)

OTHER_PROCESSOR = "llama.cpp was built for another processor: it used an instruction that this one does not have"


@dataclass(frozen=True, slots=True)
class Backend:
    """What computes, and how llama.cpp is told."""

    name: str
    title: str
    cmake_args: str
    wheels: str
    """The folder of the wheels; of several (CUDA's versions) a usual one."""
    needs: str
    """What has to be installed for building it, besides a C++ compiler and CMake."""

    @property
    def index_url(self) -> str:
        """The index of wheels that are built for this backend."""
        return _WHEELS + self.wheels


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("cpu", "the processor alone", "", "cpu", ""),
        Backend("cuda", "NVIDIA's GPUs", "-DGGML_CUDA=on", "cu124", "the CUDA toolkit (nvcc)"),
        Backend("metal", "Apple's GPUs", "-DGGML_METAL=on", "metal", "Xcode's command line tools"),
        Backend("vulkan", "GPUs with a Vulkan driver", "-DGGML_VULKAN=on", "vulkan", "Vulkan's headers and glslc"),
        Backend("rocm", "AMD's GPUs", "-DGGML_HIP=on", "rocm72", "ROCm's HIP"),
    )
}


def is_illegal_instruction(status: int | None) -> bool:
    """Whether a process that ended with *status* was built for another processor."""
    return status in _ILLEGAL_INSTRUCTION


def build_command(backend: str, python: str = sys.executable) -> str:
    """The command for a shell that compiles llama.cpp anew with *backend* and puts it in place."""
    # pip keeps what it has built by version, not by what it was built with.
    words = [python, "-m", "pip", "install", "--force-reinstall", "--no-deps", "--no-cache-dir", PACKAGE]
    args = BACKENDS[backend].cmake_args
    return f'CMAKE_ARGS="{args}" {shlex.join(words)}' if args else shlex.join(words)


def wheel_command(backend: str, python: str = sys.executable) -> str:
    """The command for a shell that puts a wheel of its makers in place: no compiler is needed."""
    where = ["--extra-index-url", BACKENDS[backend].index_url]
    return shlex.join(
        [python, "-m", "pip", "install", "--force-reinstall", "--no-deps", "--only-binary", PACKAGE, *where, PACKAGE]
    )
