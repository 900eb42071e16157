"""The models of the benchmark: random weights, quantised as users have them.  See bench.py."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import llama_cpp.llama_cpp as llama

from fimble import catalog
from random_model import B05, B15, M45, Shape, write_random_model

#: Gives its tokenizer to the random ones.
BUNDLED = catalog.resolve("")

#: What is made: the file's name, its shape and how it is quantised.
MODELS: tuple[tuple[str, Shape, int], ...] = (
    ("random-45m-q5_k_m.gguf", M45, llama.LLAMA_FTYPE_MOSTLY_Q5_K_M),
    ("random-0.5b-q4_k_m.gguf", B05, llama.LLAMA_FTYPE_MOSTLY_Q4_K_M),
    ("random-1.5b-q4_k_m.gguf", B15, llama.LLAMA_FTYPE_MOSTLY_Q4_K_M),
)


class ModelsFailed(Exception):
    """A model could not be made; the text says why."""


def make_models(folder: Path, hear: Callable[[str], None]) -> list[Path]:
    """Make what is missing in *folder*; returns the paths.  Raises ModelsFailed and OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, shape, quantisation in MODELS:
        path = folder / name
        paths.append(path)
        if path.exists():
            hear(f"{path} is there.")
            continue
        wide, part = path.with_suffix(".f16.part"), path.with_suffix(".part")
        try:
            write_random_model(BUNDLED, wide, shape)
            quantise(wide, part, quantisation)
            part.replace(path)
        finally:
            wide.unlink(missing_ok=True)
            part.unlink(missing_ok=True)
        hear(f"{path}: {path.stat().st_size / 1e6:.0f} MB")
    return paths


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _keep_quiet(_level: int, _text: bytes, _data: object) -> None:
    """llama.cpp says a line for every tensor."""


def quantise(source: Path, target: Path, quantisation: int) -> None:
    """Write the GGUF at *source* to *target*, quantised (LLAMA_FTYPE_...).  Raises ModelsFailed."""
    llama.llama_log_set(_keep_quiet, None)
    params = llama.llama_model_quantize_default_params()
    params.ftype = quantisation
    status = llama.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params))
    if status != 0:
        raise ModelsFailed(f"llama.cpp could not quantise {source} (code {status}).")
