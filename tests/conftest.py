"""What every test has: a home of its own, so that nobody's settings, caches or engines get mixed in."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimble import catalog

ROOT = Path(__file__).resolve().parents[1]
BUNDLED_MODEL = catalog.resolve("")

sys.path.insert(0, str(ROOT / "scripts"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Fresh folders for settings, caches, logs, data and sockets; what was started in them is ended."""
    for name in ("config", "cache", "state", "data"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(tmp_path / name))
    for name in list(os.environ):
        if name.startswith("FIMBLE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_COLOR", "1")
    # Socket paths must be short (108 bytes); pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="fm-", dir="/tmp", ignore_cleanup_errors=True) as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        yield tmp_path
        from fimble.engine import launch
        from fimble.index import endpoint
        from fimble.index.launch import stop

        for found in launch.running_engines(Path(runtime) / "fimble"):
            launch.stop(found)
        for path in endpoint.sockets(Path(runtime) / "fimble"):
            stop(path)
