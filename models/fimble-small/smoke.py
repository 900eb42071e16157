"""The whole pipeline in miniature, on this repository's own sources: does every step still work with the next?

Corpus, tokenizer, store (packed for a journey and unpacked), training in two calls, export, quantising, llama.cpp, one
completion.  What it writes is worthless as a model.  ``python train.py --smoke [--run FOLDER]`` runs it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import export
import store
import train
import verify
from heldout import draw
from store import Store

_ROOT = Path(__file__).resolve().parents[2]
_HELD_OUT = "scripts"
_PROJECTS = ("server", "tests", "models", _HELD_OUT)
_VOCABULARY = 512
_STEPS = 60

SPECIALS = [
    f"<|{name}|>"
    for name in ("endoftext", "fim_prefix", "fim_suffix", "fim_middle", "fim_pad", "repo_name", "file_sep")
]

#: Qwen2's pattern, as llama.cpp knows it by the name "qwen2".
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write_corpus(folder: Path) -> tuple[Path, Path]:
    """The repository's Python files as a corpus and a held-out corpus."""
    paths = folder / "train.jsonl", folder / "heldout.jsonl"
    rows: dict[Path, list[str]] = {path: [] for path in paths}
    for project in _PROJECTS:
        for source in sorted((_ROOT / project).rglob("*.py")):
            path = source.relative_to(_ROOT / project).as_posix()
            row = {"project": project, "path": path, "language": "python", "text": source.read_text("utf-8")}
            rows[paths[project == _HELD_OUT]].append(json.dumps(row))
    for target, lines in rows.items():
        target.write_text("\n".join(lines) + "\n", "utf-8")
    return paths


def train_tokenizer(corpus: Path, out: Path, vocabulary: int = _VOCABULARY) -> None:
    """A byte-level BPE with qwen2's pattern; the control tokens come first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((row["text"] for row in store.read_corpus(corpus)), trainer)
    tokenizer.save(str(out))


def _trained(folder: Path) -> None:
    """Two calls: the second goes on where the first stopped."""
    common = [
        "--store", str(folder / "unpacked"), "--held-out", str(folder / "held-out"), "--run", str(folder / "run"),
        "--portable", str(folder / "portable"), "--preset", "smoke", "--rows", "4", "--micro-rows", "4",
        "--threads", "1", "--total-steps", str(_STEPS), "--held-out-samples", "16",
    ]  # fmt: skip
    for last in (_STEPS // 2, _STEPS):
        train.train(train.arguments([*common, "--steps", str(last)]), time.monotonic())


def completion(path: Path, held_out: Store) -> tuple[str, str]:
    """A held-out middle: the text, and what the model writes instead (greedily)."""
    sample = draw(held_out, 1, 200)[0]
    model = verify.llama_cpp.Llama(str(path), n_ctx=256, n_threads=2, verbose=False)
    written: list[int] = []
    for token in model.generate(sample.tokens[: sample.answer], temp=0.0):
        if token == model.token_eos() or len(written) == 24:
            break
        written.append(token)
    model.close()
    return sample.answer_text.decode("utf-8", "replace"), held_out.decode(np.array(written)).decode("utf-8", "replace")


def run(folder: Path) -> None:
    """All steps in *folder*; raises if one fails."""
    corpus, held_out = write_corpus(folder)
    train_tokenizer(corpus, folder / "tokenizer.json")
    store.build(corpus, folder / "tokenizer.json", folder / "store")
    store.build(held_out, folder / "tokenizer.json", folder / "held-out")
    store.pack(folder / "store", folder / "packed")
    store.unpack(folder / "packed", folder / "unpacked")
    _trained(folder)
    kinds = ["q8_0", "q5_k_m", "q4_k_m"]
    files = export.export(folder / "run" / "checkpoint", folder / "tokenizer.json", folder / "smoke", kinds, "smoke")
    held = Store(folder / "held-out")
    tokens = verify.some_tokens(held, 200)
    parity = verify.compare(
        verify.torch_logits(folder / "run" / "checkpoint", tokens), full := verify.llama_logits(files[0], tokens)
    )
    print(f"PyTorch and F32: largest logit difference {parity.largest:.1e}, top-1 {parity.top1:.1%}")
    if parity.largest > 1e-3:
        raise RuntimeError("llama.cpp does not compute what PyTorch does")
    for path in files[1:]:
        loss = verify.compare(full, verify.llama_logits(path, tokens))
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, KL {loss.divergence:.1e}, top-1 {loss.top1:.1%}")
    truth, written = completion(files[1], held)
    print(f"true middle {truth!r}\nwritten     {written!r}")


def main(folder: Path | None = None) -> int:
    """Run in *folder*, or in one that is gone afterwards."""
    began = time.monotonic()
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="fimble-smoke-") as temporary:
            run(Path(temporary))
    else:
        folder.mkdir(parents=True, exist_ok=True)
        run(folder)
    sys.stdout.write(f"smoke: everything works, {time.monotonic() - began:.0f} s\n")
    return 0
