"""Processes with llama.cpp in them that say in lines of JSON what they do; llama.cpp may end them at any moment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import msgspec

from fimble.engine.failures import as_error
from fimble.engine.launch import environment
from fimble.engine.wire import Health
from fimble.errors import ModelCorrupt, ModelError


def said_by(module: str, *arguments: str) -> Generator[bytes]:
    """The lines that ``python -m MODULE ARGUMENTS`` prints until it ends; closing the iterator ends it.

    Nothing is imported from the folder in which this process is (-P): it may be a stranger's project.  Raises
    ModelCorrupt if it ended with a signal, as llama.cpp does on broken files, or printed nothing.
    """
    command = (sys.executable, "-P", "-m", module, *arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        has_spoken = False
        try:
            for line in child.stdout:
                has_spoken = True
                yield line
            status = child.wait()
        finally:
            child.kill()
        if status < 0 or not has_spoken:
            said = child.stderr.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise ModelCorrupt(f"llama.cpp ended on {arguments[-1]} (status {status}): {said}", "Choose another file.")


def try_adapter(model_path: Path, adapter_path: Path) -> None:
    """Compute something with *adapter_path* on *model_path*.  Raises the ModelError that it met."""
    for line in said_by("fimble.engine.adapting", str(model_path), str(adapter_path)):
        found = msgspec.json.decode(line, type=Health)
        if found.error:
            raise as_error(found.error, ModelError)
