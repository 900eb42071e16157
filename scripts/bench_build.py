"""Builds llama-server from the llama.cpp that is vendored in llama-cpp-python's own source package.  See bench.py."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

#: The same code as the library that our engine runs: no web page (its assets would be downloaded), no HTTPS.
_CMAKE = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_CURL=OFF",
)


class BuildFailed(Exception):
    """llama-server could not be built; the text says why."""


def build_server(folder: Path, jobs: int, hear: Callable[[str], None]) -> Path:
    """Make ``folder/llama-server``; what is there already is kept.  Raises BuildFailed and OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "llama-server"
    if program.exists():
        hear(f"{program} is there.")
        return program
    for tool, package in (("cmake", "cmake"), ("c++", "g++")):
        if not shutil.which(tool):
            raise BuildFailed(f"{tool} is missing.\nFix: install it (on Debian: apt install {package}).")
    version = importlib.metadata.version("llama-cpp-python")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as scratch:
        hear(f"Downloading the source of llama-cpp-python {version}.")
        source = _source(Path(scratch), version)
        hear("Compiling llama-server. This takes minutes.")
        build = Path(scratch) / "build"
        _run(["cmake", "-S", str(source), "-B", str(build), *_CMAKE])
        _run(["cmake", "--build", str(build), "--target", "llama-server", "--parallel", str(jobs)])
        shutil.move(build / "bin" / "llama-server", program)
    hear(f"{program}: ready after {(time.monotonic() - began) / 60:.1f} minutes.")
    return program


def _source(scratch: Path, version: str) -> Path:
    """llama.cpp as llama-cpp-python vendors it."""
    wanted = f"llama-cpp-python=={version}"
    options = ["--no-deps", "--no-binary", ":all:", "--dest", str(scratch)]
    _run([sys.executable, "-m", "pip", "download", "--disable-pip-version-check", *options, wanted])
    archive = next(scratch.glob("*.tar.gz"))
    with tarfile.open(archive) as packed:
        packed.extractall(scratch, filter="data")
    archive.unlink()
    source = next(scratch.glob("*/vendor/llama.cpp"))
    if not (source / "tools" / "server").is_dir():
        raise BuildFailed(f"{wanted} brings no source of llama-server; give one that you have by --llama-server.")
    return source


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        said = done.stdout.decode("utf-8", "replace").strip().splitlines()[-15:]
        raise BuildFailed("\n".join([f"{command[0]} failed:", *said]))
