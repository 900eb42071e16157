"""llama.cpp: whether its library loads, for which processor and GPU it was built, and what it takes to build it."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from fimble.builds import BACKENDS, OTHER_PROCESSOR, build_command, is_illegal_instruction, wheel_command
from fimble.cli.doctor.finding import Finding

_LOAD_TIMEOUT_S = 60

_NO_COMPILER = {
    "Linux": "Debian, Ubuntu: apt install build-essential cmake; Fedora: dnf install gcc-c++ make cmake.",
    "Darwin": "xcode-select --install; pip brings CMake.",
    "Windows": "Install the C++ build tools of Visual Studio.",
}

#: What is missing when the library itself is there: a pattern for the name that the system's loader says, and the fix.
_LIBRARIES = (
    (r"libc\.musl", "It is a wheel for another kind of Linux (musl)", build_command("cpu")),
    ("libgomp", "OpenMP's library is missing", "Debian, Ubuntu: apt install libgomp1; Fedora: dnf install libgomp."),
    ("libvulkan", "Vulkan's loader is missing", "Debian, Ubuntu: apt install libvulkan1; or " + wheel_command("cpu")),
    ("libcu(da|blas)", "NVIDIA's driver or CUDA's libraries are missing", "Install them, or " + wheel_command("cpu")),
    ("lib(amd)?hip|librocblas", "ROCm's libraries are missing", "Install ROCm, or " + wheel_command("cpu")),
)

#: Makers of GPUs by their PCI number, and the backend for their cards.
_MAKERS = {"0x10de": "cuda", "0x1002": "rocm"}


@cache
def _loaded() -> tuple[dict[str, Any], int, str]:
    """What the library says of itself; else the exit status of the process that loaded it, and its last words."""
    command = [sys.executable, "-P", "-m", "fimble.engine.llama.build"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LOAD_TIMEOUT_S, check=False)
    said = done.stderr.strip().rpartition("\n")[2]
    try:
        return json.loads(done.stdout), done.returncode, said
    except ValueError:
        return {}, done.returncode or 1, said


def library() -> Iterator[Finding]:
    """Whether llama.cpp's library can be loaded here."""
    told, status, said = _loaded()
    if told:
        kind = "GPU" if told["gpu"] else "CPU only"
        yield Finding(what="llama.cpp", ok=True, found=f"{told['version']}, {kind}; {told['system_info']}")
    elif is_illegal_instruction(status):
        fix = f"Build it here: {build_command('cpu')}"
        yield Finding(what="llama.cpp", ok=False, found=OTHER_PROCESSOR, fix=fix)
    else:
        found, fix = _why(said, status)
        yield Finding(what="llama.cpp", ok=False, found=found, fix=fix)


def _why(said: str, status: int) -> tuple[str, str]:
    for pattern, cause, fix in _LIBRARIES:
        if re.search(pattern, said):
            return f"{cause} ({said})", fix
    if "No module named 'llama_cpp'" in said:
        return "llama-cpp-python is not installed", _get_it()
    return f"Its library does not load (status {status}): {said}", _get_it()


def _get_it() -> str:
    if has_compiler():
        return build_command("cpu")
    return f"There is no compiler, so take a wheel: {wheel_command('cpu')}"


def gpus() -> Iterator[Finding]:
    """Whether there is a GPU that llama.cpp was not built for."""
    backend = gpu_backend()
    told, _, _ = _loaded()
    if not backend:
        yield Finding(what="GPU", ok=True, found="none that llama.cpp would be much faster with")
    elif told.get("gpu"):
        yield Finding(what="GPU", ok=True, found=f"{BACKENDS[backend].title}: used")
    else:
        needs = BACKENDS[backend].needs
        fix = f"with {needs}: {build_command(backend)}; without a compiler: {wheel_command(backend)}"
        yield Finding(what="GPU", ok=True, found=f"{BACKENDS[backend].title}: there, and not used", fix=fix)


def gpu_backend(root: Path = Path("/"), which: Callable[[str], str | None] = shutil.which) -> str:
    """The backend for the GPU of this machine; empty if it has none, or one that hardly pays (Intel's, so far)."""
    if platform.system() == "Darwin":
        return "metal" if platform.machine() == "arm64" else ""
    if (root / "proc/driver/nvidia/version").exists() or which("nvidia-smi"):
        return "cuda"
    for vendor in sorted(root.glob("sys/class/drm/renderD*/device/vendor")):
        backend = _MAKERS.get(vendor.read_text("utf-8", "replace").strip(), "")
        if backend == "rocm" and not (root / "dev/kfd").exists():
            return "vulkan"  # the driver that ROCm needs is not there, the one for graphics is
        if backend:
            return backend
    return ""


def compiler() -> Iterator[Finding]:
    """Whether llama.cpp could be built here; wrong only if it has to be."""
    found = [name for name in (_compiler(), "cmake") if name and shutil.which(name)]
    if has_compiler():
        yield Finding(what="Compiler", ok=True, found=", ".join(found))
        return
    how = _NO_COMPILER.get(platform.system(), "Install a C++ compiler.")
    is_needed = not _loaded()[0]
    told = "no C++ compiler, so llama.cpp cannot be built here"
    fix = f"{how} Or without one: {wheel_command('cpu')}" if is_needed else ""
    yield Finding(what="Compiler", ok=not is_needed, found=told + ("" if is_needed else ", and need not be"), fix=fix)


def has_compiler() -> bool:
    """Whether there is a C++ compiler; CMake comes from the package index where it is missing."""
    return bool(_compiler())


def _compiler() -> str:
    names = ("cl",) if platform.system() == "Windows" else ("c++", "g++", "clang++")
    return next((name for name in names if shutil.which(name)), "")
