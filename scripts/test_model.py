#!/usr/bin/env python3
"""Run the tests of the training recipe (models/fimble-small).

    python3 scripts/test_model.py                    all of them; takes what pytest takes
    python3 scripts/test_model.py -k tokenizer

They need PyTorch, which is large, so they have an environment of their own, ``.venv-train``, and are not part of
``scripts/test.py``.  PyTorch's own build for this machine is used if one is installed there already.
"""

from __future__ import annotations

import os
import subprocess
import sys

from environment import ROOT

VENV = ROOT / ".venv-train"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

#: The release that the recipe was tried with; `pip install` any other into .venv-train by hand.
TORCH = "torch==2.13.0"

_HAS_ALL = "import torch, tokenizers, zstandard, gguf, llama_cpp, pytest, fimble"


def ensure() -> None:
    """Make ``.venv-train`` if it is missing or lacks something.  Raises CalledProcessError."""
    if PYTHON.exists() and subprocess.run([PYTHON, "-c", _HAS_ALL], capture_output=True, check=False).returncode == 0:
        return
    print(f"Making {VENV.name}, the environment for training. PyTorch is large; this takes minutes.", flush=True)
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    environ = {"CMAKE_ARGS": "-DLLAVA_BUILD=OFF", **os.environ}
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([PYTHON, "-c", "import torch"], capture_output=True, check=False).returncode != 0:
        subprocess.run([*pip, TORCH], check=True)
    subprocess.run([*pip, "-e", f"{ROOT}[dev,train]"], check=True, env=environ)


def main(arguments: list[str]) -> int:
    """Returns pytest's exit status, or pip's."""
    try:
        ensure()
    except subprocess.CalledProcessError as failure:
        print(f"Could not make {VENV.name}.\nFix: see the message above; remove the folder to begin anew.")
        return failure.returncode
    return subprocess.run([PYTHON, "-m", "pytest", "tests/model", *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
