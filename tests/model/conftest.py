"""The recipe under models/fimble-small is no package: its modules are imported by their folder."""

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models" / "fimble-small"))

_MISSING = [name for name in ("torch", "tokenizers", "zstandard") if importlib.util.find_spec(name) is None]
if _MISSING:
    raise pytest.UsageError(f"These tests need {', '.join(_MISSING)}. Run them with: python3 scripts/test_model.py")
