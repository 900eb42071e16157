"""Models and contexts that do not fit into memory, in processes that are allowed only so much."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's address space")

PREPARE = """
import resource, sys
from pathlib import Path
import psutil
from fimble.engine import llama
from fimble.errors import ModelCorrupt, ModelTooLarge

def allow(more_bytes):
    limit = psutil.Process().memory_info().vms + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

path = Path(sys.argv[1])
"""

CONTEXT = """
model = llama.Model(path)
allow(200_000_000)
try:
    llama.Context(model, n_ctx=1_000_000, n_seq=1, n_batch=64, threads=1, threads_batch=1)
except ModelTooLarge as failure:
    print(failure.fix)
"""

WEIGHTS = """
# What the C++ runtime needs for its first exception must be there before there is too little memory for it.
part = Path(sys.argv[2])
part.write_bytes(path.read_bytes()[:100_000])
try:
    llama.Model(part)
except ModelCorrupt:
    allow(4_000_000)
try:
    llama.Model(path)
except ModelTooLarge as failure:
    print(failure.fix)
"""


@pytest.mark.parametrize(
    ("script", "fix"),
    [(CONTEXT, "Lower engine.context_tokens, or choose a smaller model."), (WEIGHTS, "Choose a smaller model.")],
    ids=["context", "weights"],
)
def test_what_does_not_fit_is_too_large(bundled: Path, tmp_path: Path, script: str, fix: str) -> None:
    """Too little memory is said to be that, and not taken for a damaged file that should be downloaded again."""
    command = [sys.executable, "-c", PREPARE + script, str(bundled), str(tmp_path / "part.gguf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.returncode) == (fix, 0), done.stderr
