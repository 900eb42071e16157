"""Prove an export: llama.cpp computes what PyTorch does, and quantising cost little.

    python verify.py RUN/checkpoint STORE OUT-f32.gguf OUT-q8_0.gguf OUT-q5_k_m.gguf

On text of STORE: the largest difference of a logit and the share of equal first choices between PyTorch and the F32
file (its cache in 32 bits, too); for each other file the Kullback-Leibler divergence from F32 in nats per token and the
share of equal first choices.  Each file is then loaded by Fimble's own engine (`python -m fimble.engine.probe`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt
import torch

import checkpoint
import export
from model import Decoder, Shape
from store import Store

Logits = npt.NDArray[np.float32]

_SERVER = Path(__file__).resolve().parents[2] / "server"

#: ggml_type F32, for a cache that loses nothing.
_F32 = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One model beside another: over all positions, the largest logit difference, KL in nats, equal first choices."""

    largest: float
    divergence: float
    top1: float


def torch_logits(folder: Path, tokens: list[int]) -> Logits:
    """Logits [time, vocabulary] of a checkpoint."""
    tensors, state = checkpoint.load(folder)
    model = Decoder(Shape(**state["shape"]))
    model.load_state_dict(checkpoint.weights(tensors))
    with torch.no_grad():
        return model(torch.tensor([tokens]))[0].numpy()


def llama_logits(path: Path, tokens: list[int]) -> Logits:
    """Logits [time, vocabulary] of a GGUF in llama.cpp."""
    size = len(tokens)
    export.quiet()
    model = llama_cpp.Llama(
        str(path), n_ctx=size, n_batch=size, n_ubatch=size, logits_all=True, type_k=_F32, type_v=_F32, n_threads=2,
        n_threads_batch=2, flash_attn=False, verbose=False,
    )  # fmt: skip
    model.eval(tokens)
    logits = np.array(model.scores[:size])
    model.close()
    return logits


def compare(left: Logits, right: Logits) -> Comparison:
    """How far *right* is from *left*."""
    wanted, got = (torch.from_numpy(logits).double().log_softmax(-1) for logits in (left, right))
    divergence = float((wanted.exp() * (wanted - got)).sum(-1).mean())
    top1 = float((left.argmax(-1) == right.argmax(-1)).mean())
    return Comparison(float(np.abs(left - right).max()), divergence, top1)


def some_tokens(store: Store, count: int) -> list[int]:
    """The beginnings of files, side by side."""
    taken: list[int] = []
    for file in store.files[:: max(1, len(store.files) // 16)]:
        taken += store.text(file)[: count // 8].tolist()
        if len(taken) >= count:
            break
    return taken[:count]


def probe(path: Path) -> dict[str, object]:
    """What Fimble's engine says about a file; raises RuntimeError if it does not load."""
    # No PYTHONPATH from the training environment; the interpreter may lack the engine's other packages.
    environment = os.environ | {"PYTHONPATH": str(_SERVER)}
    python = os.environ.get("FIMBLE_PYTHON", sys.executable)
    ran = subprocess.run(
        [python, "-m", "fimble.engine.probe", str(path)], capture_output=True, text=True, env=environment, timeout=120
    )
    if ran.returncode:
        raise RuntimeError(f"the engine's probe ended with {ran.returncode}: {ran.stderr[-400:]}")
    found: dict[str, object] = json.loads(ran.stdout)
    if found.get("error"):
        raise RuntimeError(f"the engine refuses {path}: {found['error']}")
    return found


def main() -> int:
    """Verify from the command line; the exit status says whether F32 parity holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("store", type=Path, help="where the text to compute on comes from")
    parser.add_argument("full", type=Path, help="the F32 GGUF")
    parser.add_argument("quantised", type=Path, nargs="*")
    parser.add_argument("--tokens", type=int, default=512, help="how many positions to compare (default: 512)")
    parser.add_argument("--no-engine", action="store_true", help="leave out Fimble's engine")
    args = parser.parse_args()
    tensors, state = checkpoint.load(args.checkpoint)
    del tensors
    tokens = some_tokens(Store(args.store), min(args.tokens, state["shape"]["context"]))
    full = llama_logits(args.full, tokens)
    parity = compare(torch_logits(args.checkpoint, tokens), full)
    print(f"PyTorch and F32: largest logit difference {parity.largest:.1e}, top-1 {parity.top1:.1%}")
    for path in args.quantised:
        loss = compare(full, llama_logits(path, tokens))
        print(f"F32 and {path.name}: KL {loss.divergence:.1e} nats, top-1 {loss.top1:.1%}")
    for path in () if args.no_engine else (args.full, *args.quantised):
        print(f"engine: {probe(path)['description']}")
    return 0 if parity.largest < 1e-3 and parity.top1 > 0.995 else 1


if __name__ == "__main__":
    sys.exit(main())
