"""Why an install failed, guessed from what it printed, and what to do about it.

Runs before the virtual environment exists, so it uses the standard library only.
"""

from __future__ import annotations

import re


class EnvironmentProblem(Exception):
    """The environment cannot be made; the text says why and what to do about it."""


NO_VENV = (
    "This Python cannot make virtual environments (its ensurepip module is missing).\n"
    "Fix: on Debian and Ubuntu: apt install python3-venv"
)

_NO_COMPILER = (
    "llama.cpp is compiled for this machine, and there is no working C++ compiler. Install one:\n"
    "     Debian, Ubuntu: apt install build-essential cmake\n"
    "     Fedora:         dnf install gcc-c++ make cmake\n"
    "     macOS:          xcode-select --install\n"
    "     or do without:  python3 scripts/environment.py --prebuilt (server/INSTALLING.md)"
)
_NO_CUDA = "NVIDIA's CUDA toolkit is missing (nvcc). On Debian and Ubuntu: apt install nvidia-cuda-toolkit"
_NO_VULKAN = (
    "Vulkan's headers or its shader compiler are missing. On Debian and Ubuntu:\n"
    "     apt install libvulkan-dev glslc spirv-headers"
)
_NO_HIP = "ROCm's HIP is missing. Install AMD's ROCm, or build with --backend vulkan"
_NO_CMAKE = "CMake is missing. On Debian and Ubuntu: apt install cmake"
_NO_HEADERS = "The headers of Python are missing. On Debian and Ubuntu: apt install python3-dev"
_NO_SPACE = "The disk is full. The environment takes about a gigabyte while it is built; then run this again."
_NO_MEMORY = (
    "The compiler was ended, most likely for want of memory. Let it compile one file at a time:\n"
    "     CMAKE_BUILD_PARALLEL_LEVEL=1 and the same command again"
)
_NO_NETWORK = (
    "The package index cannot be reached. The first install needs the network (nothing later does): check the\n"
    "     connection, and the index and proxy settings of pip or uv; then run this again."
)
_WRONG_PYTHON = "A package does not support this version of Python. Use Python 3.11, 3.12 or 3.13."
_OTHER = "Read the lines above. When they are no help, remove .venv and run this again."

#: The first that matches is the likeliest: what comes later is often only a consequence of what comes first.
_SIGNS = (
    (r"No space left on device", _NO_SPACE),
    (r"Killed signal terminated program|fatal error: Killed|virtual memory exhausted", _NO_MEMORY),
    (r"CUDA Toolkit not found|No CMAKE_CUDA_COMPILER|Failed to find nvcc|CUDAToolkit_ROOT", _NO_CUDA),
    (r"Could NOT find Vulkan|Could not find a package configuration file provided by \"SPIRV", _NO_VULKAN),
    (r"Could not find a package configuration file provided by \"hip\"|hip-config\.cmake", _NO_HIP),
    (
        r"No CMAKE_C(XX)?_COMPILER could be found|CMAKE_C(XX)?_COMPILER[\w-]* not (set|found)|"
        r"is not able to compile a simple test program|(g\+\+|gcc|c\+\+|cc): (command )?not found",
        _NO_COMPILER,
    ),
    (r"CMake must be installed|Could not find CMake|No CMake executable", _NO_CMAKE),
    (r"Python\.h: No such file", _NO_HEADERS),
    (r"ensurepip is not available|No module named '?(ensurepip|venv)", NO_VENV.partition("Fix: ")[2]),
    (
        r"Failed to establish a new connection|Temporary failure in name resolution|Name or service not known|"
        r"Network is unreachable|ConnectTimeoutError|Read timed out|Connection refused|ProxyError|"
        r"dns error|error sending request|Failed to fetch",
        _NO_NETWORK,
    ),
    (r"requires a different Python|Requires-Python|does not satisfy Python", _WRONG_PYTHON),
    (
        r"Could not find a version that satisfies|No matching distribution found|not found in the package reg",
        _NO_NETWORK,
    ),
)


def likely_fix(output: str) -> str:
    """What most probably helps against the failure that *output* ends with."""
    return next((fix for sign, fix in _SIGNS if re.search(sign, output)), _OTHER)
