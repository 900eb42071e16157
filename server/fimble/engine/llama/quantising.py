"""Writing a model again with fewer bits, by llama.cpp's own quantiser.

llama.cpp tells what it does in its log only, a line for each tensor:

    [   1/ 110] token_embd.weight  - [ 512, 16384, 1, 1], type =  f16, size = 16.000 MiB -> 6.56 MiB (q6_K)
    llama_model_quantize_impl: quant size  =    27.27 MiB (5.13 BPW)
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import llama_cpp.llama_cpp as llama

from fimble.engine.llama.model import check_file
from fimble.errors import ModelCorrupt

#: enum llama_ftype (llama.h).  Kinds below four bits cost a code model too much, and most want an importance matrix.
QUANTISATIONS = {
    "Q8_0": 7,
    "Q6_K": 18,
    "Q5_K_M": 17,
    "Q5_K_S": 16,
    "Q4_K_M": 15,
    "Q4_K_S": 14,
    "IQ4_NL": 25,
    "F16": 1,
    "BF16": 32,
}

_MIB = 1 << 20
_TENSOR = re.compile(r"\[\s*(\d+)/\s*(\d+)\].*?\btype =\s*(\w+),")
_SIZES = re.compile(r"(model|quant) size\s*=\s*([\d.]+) MiB")

# enum ggml_log_level (ggml.h): INFO = 2, WARN = 3, ERROR = 4, CONT = 5 (goes on with the line before).
_COMPLAINTS = (3, 4)


class QuantisedSize(NamedTuple):
    """What quantising would come to."""

    source_bytes: int
    target_bytes: int
    types: list[str]
    """How the source's tensors are kept, in llama.cpp's names: ``f16``, ``q5_K``."""


def quantised_size(source: Path, kind: str) -> QuantisedSize:
    """How large *source* would be as *kind*; writes nothing.  Raises ModelCorrupt if llama.cpp cannot read it."""
    types: set[str] = set()
    sizes: dict[str, float] = {}

    def hear(line: str) -> None:
        if tensor := _TENSOR.search(line):
            types.add(tensor[3])
        if size := _SIZES.search(line):
            sizes[size[1]] = float(size[2]) * _MIB

    _run(source, source.with_suffix(".none"), kind, 1, hear, dry_run=True)
    whole = source.stat().st_size
    # The vocabulary and the other metadata stay as they are; llama.cpp's sizes are of the tensors alone.
    rest = max(whole - sizes.get("model", 0.0), 0.0)
    return QuantisedSize(whole, int(sizes.get("quant", whole) + rest), sorted(types))


def quantise(source: Path, target: Path, kind: str, threads: int, on_progress: Callable[[float], None]) -> None:
    """Write *source* to *target* as *kind*; *on_progress* hears the share of the tensors that have been begun.

    Raises ModelCorrupt if llama.cpp cannot: a file that is no model, or a disk that is full.
    """

    def hear(line: str) -> None:
        if tensor := _TENSOR.search(line):
            on_progress((int(tensor[1]) - 1) / int(tensor[2]))

    _run(source, target, kind, threads, hear, dry_run=False)
    on_progress(1.0)


def _run(source: Path, target: Path, kind: str, threads: int, hear: Callable[[str], None], *, dry_run: bool) -> None:
    check_file(source)
    params = llama.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.dry_run = QUANTISATIONS[kind], threads, dry_run
    params.allow_requantize = True  # whether that makes sense is for the caller to say
    with _listening(hear) as complaints:
        status = llama.llama_model_quantize(os.fsencode(source), os.fsencode(target), params)
    if status:
        said = f" (llama.cpp: {complaints[0]})" if complaints else ""
        raise ModelCorrupt(f"{source} cannot be quantised{said}.", "Is the file complete?  Is the disk full?")


@contextmanager
def _listening(hear: Callable[[str], None]) -> Iterator[list[str]]:
    """Give each line of llama.cpp's log to *hear*; what it complains about is collected."""
    complaints: list[str] = []
    pending: list[str] = []

    def collect(level: int, text: bytes, _data: Any) -> None:
        pending.append(text.decode("utf-8", "replace"))
        if level in _COMPLAINTS:
            complaints.append(pending[-1].strip())
        if pending[-1].endswith("\n") or "], type" in pending[-1]:
            # A tensor's line is told when its work begins and ended when it is done.
            hear("".join(pending).strip())
            pending.clear()

    callback = llama.llama_log_callback(collect)
    llama.llama_log_set(callback, None)
    try:
        yield complaints
    finally:
        llama.llama_log_set(_silent, None)


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _silent(_level: int, _text: bytes, _data: object) -> None:
    pass
