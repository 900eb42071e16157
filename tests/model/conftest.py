"""The recipe under models/fimble-small is no package: its modules are imported by their folder."""

import sys
from pathlib import Path

RECIPE = Path(__file__).resolve().parents[2] / "models" / "fimble-small"
sys.path.insert(0, str(RECIPE))
