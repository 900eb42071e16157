"""GGUF files for tests: the bundled one, and a broken one.  Random weights: scripts/random_model.py."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import gguf

from fimble import catalog

BUNDLED_MODEL = catalog.resolve("")


@functools.cache
def read_gguf(source: Path) -> gguf.GGUFReader:
    """A GGUF; the words of its tokenizer are read one by one, which takes half a second."""
    return gguf.GGUFReader(source)


def write_broken_model(source: Path, target: Path) -> None:
    """The bundled model with weights that load and then give NaN: every tensor's bytes are 0xFF."""
    data = bytearray(source.read_bytes())
    reader = read_gguf(source)
    for tensor in reader.tensors:
        start = int(tensor.data_offset)
        data[start : start + int(tensor.n_bytes)] = b"\xff" * int(tensor.n_bytes)
    target.write_bytes(data)


def write_variant(
    source: Path, target: Path, drop: Collection[str] = (), replace: Mapping[str, Any] | None = None
) -> None:
    """A copy of a GGUF with some of its metadata left out or replaced."""
    reader = read_gguf(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture" or name in drop:
            continue
        value = (replace or {}).get(name, field.contents())
        writer.add_key_value(name, value, field.types[0], field.types[1] if len(field.types) > 1 else None)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_crashing_model(source: Path, target: Path) -> None:
    """A model that loads, and then makes llama.cpp abort the whole process at the first decode."""
    write_variant(source, target, replace={"llama.attention.layer_norm_rms_epsilon": -1.0})


def write_model_without_fim(source: Path, target: Path) -> None:
    """A model whose vocabulary has no fill-in-the-middle tokens."""
    tokens = read_gguf(source).fields["tokenizer.ggml.tokens"].contents()
    names = [f"<unused{number}>" if 1 <= number <= 6 else token for number, token in enumerate(tokens)]
    keys = [f"tokenizer.ggml.fim_{name}_token_id" for name in ("pre", "suf", "mid", "pad", "rep", "sep")]
    write_variant(source, target, drop=keys, replace={"tokenizer.ggml.tokens": names})
