"""``fimble models``, as people and scripts run it, on a home whose hub is `hub.Hub` with one model."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from models import BUNDLED_MODEL

from fimble import catalog

FILE = "model-q8_0.gguf"
MODEL = f"hf:owner/model/{FILE}"
DATA = BUNDLED_MODEL.read_bytes()
SIZE = len(DATA)


def command(*args: str) -> list[str]:
    """The command line of ``fimble models``."""
    return [sys.executable, "-m", "fimble", "models", *args]


def models(*args: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with nobody to ask."""
    return subprocess.run(
        command(*args), capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
    )


def as_json(*args: str, status: int = 0) -> Any:
    """Run it with --json and parse what it printed."""
    done = models(*args, "--json")
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def in_cache(home: Path) -> list[Path]:
    """What other programs find in the hub's cache."""
    return sorted((home / "cache/huggingface/hub").glob("models--*/snapshots/*/*"))


def names() -> set[str]:
    """Of the models that can be used."""
    return {one.name for one in catalog.listing() if one.path}


def parts(home: Path) -> list[Path]:
    """What was begun."""
    return sorted((home / "cache/huggingface/hub").glob("models--*/blobs/*.incomplete"))


def make_part(home: Path) -> Path:
    """Where a pull that was ended leaves what it had."""
    blobs = home / "cache/huggingface/hub/models--owner--model/blobs"
    blobs.mkdir(parents=True)
    return blobs / f"{hashlib.sha256(DATA).hexdigest()}.incomplete"
