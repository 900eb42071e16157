#!/usr/bin/env python3
"""Fimble's own virtual environment, ``.venv``: made when it is missing, renewed when it is out of date.

    python3 scripts/environment.py                    make it, and print the path of its Python
    python3 scripts/environment.py --backend cuda     the same with a llama.cpp that is built for NVIDIA's GPUs
    python3 scripts/environment.py --prebuilt         the same with a wheel of llama.cpp: no compiler is needed

The other scripts call `ensure` first, so that one command is all that a fresh clone needs.  When nothing has
changed that takes a tenth of a second.  Only the standard library is used here, and nothing that an older Python
could not at least read: it should get as far as the sentence that says which one is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from install_failure import EnvironmentProblem
from installer import Installer

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
MIN_PYTHON = (3, 11)

#: Written last, so an install that was interrupted leaves none: what was installed, and for which folder.
STAMP = VENV / "fimble.stamp"

#: Which llama.cpp was asked for: a backend, and ``wheel`` if it was not to be built.  It stays so until asked again.
CHOICE = VENV / "fimble.llama"

#: Run by the environment's Python: which one is it, and does it find this checkout's fimble?
_PROBE = (
    "import importlib.util, json, sys; found = importlib.util.find_spec('fimble');"
    "print(json.dumps([list(sys.version_info[:2]), found.origin if found else '']))"
)


def ensure(extras: Sequence[str] = ("dev",), llama: Sequence[str] | None = None) -> Path:
    """Make sure that ``.venv`` holds Fimble, editable, with *extras*; return the path of its Python.

    *llama* is which llama.cpp: a backend of ``fimble.builds``, then ``wheel`` if it is not to be built; None: as it
    is, or as pip finds it.  Says on stderr what it does.  Raises EnvironmentProblem.
    """
    _refuse_old_python()
    with _one_at_a_time():
        version, origin = _look()
        stamp = _read_lines(STAMP)
        chosen = _read_lines(CHOICE) if llama is None else list(llama)
        is_ours = bool(origin) and Path(origin).is_relative_to(ROOT)
        if is_ours and stamp == [str(ROOT), _digest(extras, version, chosen)]:
            return PYTHON
        # Copied or moved to another folder: the programs in it still start the Python of the old one.
        is_moved = len(stamp) == 2 and stamp[0] != str(ROOT)
        _install(extras, version < MIN_PYTHON or is_moved, chosen, is_new_choice=llama is not None)
        CHOICE.write_text("\n".join(chosen), "utf-8")
        _write_stamp(_digest(extras, _look()[0], chosen))
    return PYTHON


def ensure_or_exit(extras: Sequence[str] = ("dev",), llama: Sequence[str] | None = None) -> Path:
    """`ensure` for scripts: a problem is printed and ends the process."""
    try:
        return ensure(extras, llama)
    except EnvironmentProblem as problem:
        _say(str(problem))
    except KeyboardInterrupt:
        _say("Interrupted. Run the command again to go on where it stopped.")
        sys.exit(130)
    sys.exit(1)


def become(arguments: Sequence[str]) -> None:
    """Go on as the environment's Python with these arguments, in this very process; does not return."""
    python = ensure_or_exit()
    sys.stdout.flush()
    os.execv(python, [str(python), *arguments])


def _say(text: str) -> None:
    """On stderr: what stdout carries belongs to the script that was called."""
    print(text, file=sys.stderr, flush=True)


def _refuse_old_python() -> None:
    if sys.version_info >= MIN_PYTHON:
        return
    needed = ".".join(map(str, MIN_PYTHON))
    newer = [name for name in ("python3.13", "python3.12", "python3.11") if shutil.which(name)]
    advice = f"Run it with {newer[0]}, which is here" if newer else f"Install Python {needed} or newer"
    raise EnvironmentProblem(
        f"Fimble needs Python {needed} or newer; this is Python {sys.version.split()[0]}.\nFix: {advice}."
    )


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let two scripts that are started together make the environment once."""
    try:
        import fcntl
    except ImportError:  # no such locks here; the second one then repeats the work
        yield
        return
    folder = os.open(ROOT, os.O_RDONLY)  # the checkout itself is the lock: it leaves no file behind
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Another script is making .venv; waiting for it.")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


# --- is it there, and up to date? ---------------------------------------------------------------------------


def _look() -> tuple[tuple[int, ...], str]:
    """The version of the environment's Python, (0,) if it does not run, and where it finds fimble."""
    try:
        done = subprocess.run([PYTHON, "-I", "-c", _PROBE], capture_output=True, timeout=30, check=True)
        version, origin = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return (0,), ""
    return tuple(version), origin


def _digest(extras: Sequence[str], version: tuple[int, ...], llama: Sequence[str]) -> str:
    """A hash of everything that an install depends on.  The settings of linters are not among it."""
    import tomllib  # not at the top: an older Python lacks it and would get no further

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    package = (ROOT / "server/fimble/__init__.py").read_text("utf-8")
    parts = [
        project.get("build-system"),
        project.get("project"),
        project.get("tool", {}).get("hatch"),
        re.findall(r"^__version__.*", package, re.MULTILINE),
        sorted(extras),
        version,
        *([llama] if llama else []),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _write_stamp(digest: str) -> None:
    part = STAMP.with_suffix(".part")
    part.write_text(f"{ROOT}\n{digest}\n", "utf-8")
    part.replace(STAMP)


# --- making it ----------------------------------------------------------------------------------------------


def _install(extras: Sequence[str], anew: bool, llama: Sequence[str], is_new_choice: bool) -> None:
    installer = Installer(ROOT, VENV, PYTHON, llama, is_new=anew or is_new_choice)
    _explain(anew, installer.name)
    STAMP.unlink(missing_ok=True)
    if anew:
        _remove_environment()
    took = installer.install(extras, anew)
    _say(f"Ready after {took}.\n")


def _explain(anew: bool, installer: str) -> None:
    name = VENV.relative_to(ROOT)
    if anew and not VENV.exists():
        _say(f"Making {name}, Fimble's own Python environment, and filling it with {installer}.")
    elif anew:
        _say(f"{name} does not work here any more; making it anew with {installer}.")
    else:
        _say(f"Bringing {name} up to date with {installer}.")
    if anew:
        _say(
            f"The first time takes minutes if {installer} has no llama.cpp in its cache: that is what runs the\n"
            "models, and it is compiled for this machine.  Later it takes no time."
        )


def _remove_environment() -> None:
    if VENV.is_symlink():
        VENV.unlink()
    elif VENV.exists():
        shutil.rmtree(VENV)


def _main() -> None:
    parser = argparse.ArgumentParser(description="Make Fimble's own environment, .venv; see server/INSTALLING.md.")
    names = ("cpu", "cuda", "metal", "vulkan", "rocm")
    parser.add_argument("--backend", choices=names, help="what llama.cpp is to compute with; it is put in place anew")
    parser.add_argument("--prebuilt", action="store_true", help="take a wheel of its makers instead of compiling it")
    asked = parser.parse_args()
    llama = None
    if asked.backend or asked.prebuilt:
        llama = [asked.backend or "cpu", *(["wheel"] if asked.prebuilt else [])]
    print(ensure_or_exit(llama=llama))


if __name__ == "__main__":
    _main()
