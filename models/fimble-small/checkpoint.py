"""Checkpoints in pieces of at most 16 MiB, so that they fit what comes back from a lent machine.

A checkpoint is a folder: ``index.json`` (the run's state; name, shape, encoding and place of every tensor) and
``piece-NN.bin``, the tensors' bytes one after the other, cut every 16 MiB.

Encodings:

- ``exact``: 32-bit floats, weights and optimiser: resuming is bit-identical.  For runs that stay on one machine.
- ``portable``: the best of these that fits into 60 MiB (64 may come back, and the log comes along): everything exact;
  everything as bf16; the weights as bf16; the weights as int8 in blocks of 32 with a 16-bit scale (GGML's Q8_0: 8.5
  bits a weight).  Without its state the optimiser starts afresh: Muon's momentum forgets in about 20 steps anyhow.

``python checkpoint.py FOLDER`` says what is in one.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

PIECE_BYTES = 16 * 2**20
_PORTABLE_BYTES = 60 * 2**20
_BLOCK = 32

#: Weights are named so in a checkpoint; all else is the optimiser's.
WEIGHTS = "model."


def encode(tensor: Tensor, encoding: str) -> bytes:
    """The bytes of *tensor*; norms (one dimension) are always 32-bit floats."""
    values = tensor.detach().float().cpu().contiguous()
    if encoding == "f32" or tensor.dim() < 2:
        return values.numpy().tobytes()
    if encoding == "bf16":
        return values.bfloat16().view(torch.int16).numpy().tobytes()
    blocks = values.reshape(-1, _BLOCK)
    scales = (blocks.abs().amax(dim=1, keepdim=True) / 127).half()
    quanta = torch.where(scales == 0, 0.0, blocks / scales.float()).round().clamp(-127, 127).to(torch.int8)
    return scales.numpy().tobytes() + quanta.numpy().tobytes()


def decode(data: bytes, shape: list[int], encoding: str) -> Tensor:
    """The reverse of encode(), as 32-bit floats."""
    if encoding == "f32" or len(shape) < 2:
        return torch.from_numpy(np.frombuffer(data, dtype=np.float32).copy()).reshape(shape)
    if encoding == "bf16":
        halves = np.frombuffer(data, dtype=np.int16).copy()
        return torch.from_numpy(halves).view(torch.bfloat16).float().reshape(shape)
    count = int(np.prod(shape)) // _BLOCK
    scales = torch.from_numpy(np.frombuffer(data, dtype=np.float16, count=count).astype(np.float32))
    quanta = torch.from_numpy(np.frombuffer(data, dtype=np.int8, offset=2 * count).astype(np.float32))
    return (quanta.reshape(-1, _BLOCK) * scales[:, None]).reshape(shape)


def _plan(tensors: dict[str, Tensor], form: str) -> tuple[dict[str, Tensor], str]:
    """Which tensors to write, and how."""
    if form == "exact":
        return tensors, "f32"
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith(WEIGHTS)}
    every = sum(tensor.numel() for tensor in tensors.values())
    own = sum(tensor.numel() for tensor in weights.values())
    plans = ((32, every, tensors, "f32"), (16, every, tensors, "bf16"), (16, own, weights, "bf16"))
    for bits, count, chosen, encoding in plans:
        if count * bits / 8 <= _PORTABLE_BYTES:
            return chosen, encoding
    return weights, "int8"


def save(folder: Path, tensors: dict[str, Tensor], state: dict[str, Any], form: str) -> int:
    """Write a checkpoint in place of *folder*, whole or not at all; return its bytes."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    chosen, encoding = _plan(tensors, form)
    rows: list[list[Any]] = []
    writer = _PieceWriter(fresh)
    for name, tensor in chosen.items():
        data = encode(tensor, encoding)
        rows.append([name, list(tensor.shape), encoding, writer.total, len(data)])
        writer.write(data)
    writer.close()
    (fresh / "index.json").write_text(json.dumps({"state": state, "tensors": rows}), "utf-8")
    if folder.exists():
        old = folder.with_name(folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old)
    else:
        fresh.rename(folder)
    return writer.total


class _PieceWriter:
    """A stream of bytes into files of at most 16 MiB."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rest = bytearray()
        self._number = 0
        self.total = 0

    def write(self, data: bytes) -> None:
        self._rest += data
        self.total += len(data)
        while len(self._rest) >= PIECE_BYTES:
            self._put(PIECE_BYTES)

    def _put(self, size: int) -> None:
        (self._folder / f"piece-{self._number:02}.bin").write_bytes(self._rest[:size])
        del self._rest[:size]
        self._number += 1

    def close(self) -> None:
        if self._rest:
            self._put(len(self._rest))


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a checkpoint as 32-bit floats, and the run's state.

    Raises FileNotFoundError if there is none (one that was being replaced when the power went is found).
    """
    if not (folder / "index.json").exists() and (folder.with_name(folder.name + ".old") / "index.json").exists():
        folder = folder.with_name(folder.name + ".old")
    index = json.loads((folder / "index.json").read_text("utf-8"))
    data = b"".join(piece.read_bytes() for piece in sorted(folder.glob("piece-*.bin")))
    wanted = sum(row[4] for row in index["tensors"])
    if len(data) != wanted:
        raise ValueError(f"{folder} holds {len(data)} bytes where {wanted} are due: a piece is missing")
    tensors = dict(_decoded(index["tensors"], memoryview(data)))
    return tensors, index["state"]


def _decoded(rows: list[list[Any]], data: memoryview) -> Iterator[tuple[str, Tensor]]:
    for name, shape, encoding, start, size in rows:
        yield name, decode(bytes(data[start : start + size]), shape, encoding)


def weights(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The model's own, by the names that the model uses."""
    return {name.removeprefix(WEIGHTS): tensor for name, tensor in tensors.items() if name.startswith(WEIGHTS)}


def main() -> None:
    """Say what a checkpoint holds."""
    tensors, state = load(Path(sys.argv[1]))
    for name, tensor in tensors.items():
        print(f"{name:44} {tuple(tensor.shape)}")
    print(json.dumps(state, indent=2))


if __name__ == "__main__":
    main()
