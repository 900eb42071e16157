"""GGUF files for tests: the bundled one, and a broken one.  Random weights: scripts/random_model.py."""

from __future__ import annotations

from pathlib import Path

import gguf

from fimble import catalog

BUNDLED_MODEL = catalog.resolve("")


def write_broken_model(source: Path, target: Path) -> None:
    """The bundled model with weights that load and then give NaN: every tensor's bytes are 0xFF."""
    data = bytearray(source.read_bytes())
    reader = gguf.GGUFReader(source)
    for tensor in reader.tensors:
        start = int(tensor.data_offset)
        data[start : start + int(tensor.n_bytes)] = b"\xff" * int(tensor.n_bytes)
    target.write_bytes(data)
