"""Fimble itself, its Python, and the packages that it stands on."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator

from fimble import __version__
from fimble.builds import PACKAGE
from fimble.cli.doctor.finding import Finding

#: As pyproject.toml has it.
MIN_PYTHON = (3, 11)

_IMPORT_TIMEOUT_S = 60

#: Says each name before it imports it: the last one is to blame if the process ends.
_IMPORT_EACH = """
import importlib, json, sys
for name in sys.argv[1:]:
    print(json.dumps([name, None]), flush=True)
    try:
        importlib.import_module(name)
    except BaseException as error:
        print(json.dumps([name, f"{type(error).__name__}: {error}"]), flush=True)
"""


def fimble() -> Iterator[Finding]:
    """Which Fimble, which Python, which system."""
    found = f"{__version__}, Python {platform.python_version()}, {platform.platform()}"
    needed = ".".join(map(str, MIN_PYTHON))
    fix = f"Install Python {needed} or newer, and Fimble with it."
    is_new_enough = sys.version_info >= MIN_PYTHON
    yield Finding(what="Fimble", ok=is_new_enough, found=found, fix="" if is_new_enough else fix)


def machine() -> Iterator[Finding]:
    """Cores and memory."""
    import psutil

    memory = psutil.virtual_memory()
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count()
    yield Finding(what="Machine", ok=True, found=f"{cores} cores, {memory.total / 2**30:.1f} GiB of memory")


def packages() -> Iterator[Finding]:
    """Whether each package that Fimble needs is there, and can be imported."""
    names = needed()
    broken = {name: "is not installed" for name in names if not _is_installed(name)}
    modules = {name.replace("-", "_"): name for name in names if name not in broken and name != PACKAGE}
    broken |= {modules[module]: said for module, said in _import(list(modules)).items()}
    if not broken:
        told = f"{len(names)} are there" if names else "Fimble was not installed by pip, so they are not known"
        yield Finding(what="Packages", ok=True, found=told)
        return
    found = "; ".join(f"{name} {said}" for name, said in sorted(broken.items()))
    fix = f"{sys.executable} -m pip install --force-reinstall --no-deps {' '.join(sorted(broken))}"
    yield Finding(what="Packages", ok=False, found=found, fix=fix)


def needed() -> list[str]:
    """The packages that Fimble needs, without extras; none if it was not installed by pip."""
    try:
        requirements = importlib.metadata.requires("fimble") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    plain = [line for line in requirements if "extra ==" not in line]
    return [re.split(r"[^\w-]", line, maxsplit=1)[0] for line in plain]


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _import(modules: list[str]) -> dict[str, str]:
    """What is wrong with which module.  In a process of its own: a library for another processor ends it."""
    if not modules:
        return {}
    command = [sys.executable, "-P", "-c", _IMPORT_EACH, *modules]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_IMPORT_TIMEOUT_S, check=False)
    told: list[tuple[str, str | None]] = [json.loads(line) for line in done.stdout.split("\n") if line]
    broken = {name: f"cannot be imported ({said})" for name, said in told if said}
    if done.returncode and told:
        broken[told[-1][0]] = f"ends the process (status {done.returncode})"
    return broken
