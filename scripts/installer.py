"""Filling a virtual environment with pip or uv: the commands, and running them with progress and a log.

Runs before the virtual environment exists, so it uses the standard library only.
"""

from __future__ import annotations

import importlib.util
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TextIO

from install_failure import NO_VENV, EnvironmentProblem, likely_fix
from install_progress import Progress

_LAST_LINES = 30


def builds() -> ModuleType:
    """Fimble's own page about llama.cpp's builds, which needs no environment."""
    path = Path(__file__).resolve().parents[1] / "server" / "fimble" / "builds.py"
    spec = importlib.util.spec_from_file_location("fimble_builds", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


class Installer:
    """Installs the project in *root* into *venv*, whose Python is (or will be) *python*.

    *llama* is the llama.cpp that was chosen: a backend, then ``wheel`` if it is not to be built; empty: as pip or uv
    finds it.  With *is_new* it is put in place whatever is there.
    """

    def __init__(self, root: Path, venv: Path, python: Path, llama: Sequence[str] = (), is_new: bool = True) -> None:
        self._llama = tuple(llama)
        self._is_new = is_new and bool(llama)
        self._root = root
        self._venv = venv
        self._python = python
        self._log = venv / "install.log"
        self._uv = shutil.which("uv")

    @property
    def name(self) -> str:
        """The program that is used: ``uv`` where there is one, else ``pip``."""
        return "uv" if self._uv else "pip"

    def install(self, extras: Sequence[str], anew: bool) -> str:
        """Install everything; *anew*: the environment is not there yet.  Returns the time it took, as ``1:05``.

        Raises EnvironmentProblem.
        """
        self._venv.mkdir(exist_ok=True)
        progress = Progress(sys.stderr)
        with self._log.open("w", encoding="utf-8") as log:
            try:
                for command in self._commands(extras, anew):
                    self._run(command, log, progress)
            finally:
                progress.close()
        return progress.elapsed

    def _commands(self, extras: Sequence[str], anew: bool) -> Iterator[list[str]]:
        """What is to be run; each command is asked for when those before it are done."""
        # Started from inside an environment, a new one must not be made from that one's Python.
        base = getattr(sys, "_base_executable", None) or sys.executable
        what = f"{self._root}[{','.join(extras)}]" if extras else str(self._root)
        if self._uv:
            if anew:
                yield [self._uv, "venv", "--allow-existing", "--python", base, str(self._venv)]
            if self._is_new:
                anew_options = ["--reinstall-package", builds().PACKAGE, *self._llama_options("--no-cache")]
                yield [self._uv, "pip", "install", "-v", "--python", str(self._python), *anew_options, self._wanted()]
            yield [self._uv, "pip", "install", "-v", "--python", str(self._python), "--editable", what]
            return
        if anew or not self._has_pip():
            if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
                raise EnvironmentProblem(NO_VENV)
            yield [base, "-m", "venv", str(self._venv)]
        options = ["--verbose", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
        install = [str(self._python), "-m", "pip", "install", *options]
        if self._is_new:
            # With its dependencies: the next command finds all of it there, and asks no index for another one.
            yield [*install, "--force-reinstall", *self._llama_options("--no-cache-dir"), self._wanted()]
        yield [*install, "--editable", what]

    def _llama_options(self, no_cache: str) -> list[str]:
        """A wheel from its makers' index, or one that is built here: what was built before was for another backend."""
        if "wheel" not in self._llama:
            return [no_cache]
        index = builds().BACKENDS[self._llama[0]].index_url
        return ["--only-binary", builds().PACKAGE, "--extra-index-url", index]

    def _wanted(self) -> str:
        """llama-cpp-python as pyproject.toml requires it."""
        text = (self._root / "pyproject.toml").read_text("utf-8")
        found: list[str] = re.findall(rf'"({builds().PACKAGE}[^"]*)"', text)
        return found[0]

    def _has_pip(self) -> bool:
        """Whether pip can be used in the environment: one that uv made has none."""
        found = subprocess.run([self._python, "-I", "-c", "import pip"], capture_output=True, timeout=30)
        return found.returncode == 0

    def _run(self, command: list[str], log: TextIO, progress: Progress) -> None:
        """Run *command* to its end; all that it prints goes to *log*, and *progress* hears it."""
        log.write(f"$ {' '.join(command)}\n")
        child = subprocess.Popen(
            command,
            cwd=self._root,
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            for line in _lines(child):
                log.write(line)
                progress.hear(line)
        except BaseException:  # Ctrl-C above all: nothing goes on compiling behind one's back
            child.terminate()
            child.wait()
            raise
        if status := child.wait():
            log.flush()
            raise EnvironmentProblem(self._describe_failure(command, status))

    def _environ(self) -> dict[str, str]:
        """The surroundings of pip or uv: what the user has set stays."""
        environ = {**os.environ, "LC_ALL": "C.UTF-8"}  # so that failures can be recognised
        asked = environ.get("CMAKE_ARGS", "")
        if self._llama:
            asked = f"{asked} {builds().BACKENDS[self._llama[0]].cmake_args}"
        if "LLAVA_BUILD" not in asked:  # the part for pictures, which nobody needs here
            asked = f"{asked} -DLLAVA_BUILD=OFF"
        environ["CMAKE_ARGS"] = asked.strip()
        for name in ("PYTHONHOME", "PYTHONPATH"):  # another installation's folders
            environ.pop(name, None)
        return environ

    def _describe_failure(self, command: list[str], status: int) -> str:
        output = self._log.read_text("utf-8", "replace")
        tail = "\n".join(f"  | {line}" for line in output.rstrip().splitlines()[-_LAST_LINES:])
        program = " ".join([Path(command[0]).name, *command[1:4]])
        log = self._log.relative_to(self._root)
        return (
            f"{tail}\n\n`{program} ...` failed (exit status {status}). The whole output is in {log}\n"
            f"Fix: {likely_fix(output)}"
        )


def _lines(child: subprocess.Popen[str]) -> Iterator[str]:
    """The lines that *child* prints, and an empty string for each second without one."""
    heard: queue.Queue[str | None] = queue.Queue()

    def listen() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            heard.put(line)
        heard.put(None)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        try:
            line = heard.get(timeout=1)
        except queue.Empty:
            line = ""
        if line is None:
            return
        yield line
