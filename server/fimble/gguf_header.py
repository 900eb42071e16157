"""What a GGUF file says of its model before its vocabulary and its weights: read in a millisecond, without llama.cpp.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"GGUF"

#: Metadata types by their number: struct's letter for each that is a plain number.
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

#: Longer ones are of no use here and are passed over.
_MAX_STRING_BYTES, _MAX_ITEMS = 1 << 16, 1 << 12

Value = bool | int | float | str | list[bool | int | float]


@dataclass(frozen=True, slots=True)
class Header:
    """The metadata that stand before the vocabulary, and the size of the file in bytes."""

    values: dict[str, Value]
    n_bytes: int

    @property
    def architecture(self) -> str:
        """llama.cpp's name of it; empty where none is stated."""
        return str(self.values.get("general.architecture", ""))

    @property
    def n_ctx_train(self) -> int:
        """How long a prompt the model was trained on, in tokens; 0 where it is not stated."""
        return self._number("context_length")

    @property
    def kv_values_per_token(self) -> int:
        """How many numbers the KV cache holds for each token; 0 where it cannot be told."""
        layers, heads = self._number("block_count"), self._number("attention.head_count")
        width = self._number("embedding_length") // max(heads, 1)
        key = self._number("attention.key_length") or width
        value = self._number("attention.value_length") or width
        kv_heads = self._numbers("attention.head_count_kv") or [heads]
        # Some architectures say it for each layer.
        total = sum(kv_heads) if len(kv_heads) > 1 else layers * kv_heads[0]
        return total * (key + value)

    def _number(self, key: str) -> int:
        return max(self._numbers(key), default=0)

    def _numbers(self, key: str) -> list[int]:
        value = self.values.get(f"{self.architecture}.{key}")
        return [n for n in (value if isinstance(value, list) else [value]) if isinstance(n, int) and n >= 0]


def read(path: Path) -> Header:
    """What *path* says before its vocabulary; of a file that is broken or no GGUF, what could be read.

    Raises OSError if it cannot be opened.
    """
    values: dict[str, Value] = {}
    with path.open("rb") as file:
        n_bytes = file.seek(0, 2)
        file.seek(0)
        # Nonsense for numbers ends in one of these.
        with contextlib.suppress(EOFError, ValueError, OverflowError, UnicodeDecodeError, OSError):
            if file.read(4) == _MAGIC:
                _read_into(values, file)
    return Header(values, n_bytes)


def _read_into(values: dict[str, Value], file: BinaryIO) -> None:
    _version, _tensors, count = _unpack(file, "IQQ")
    for _ in range(count):
        key = _string(file)
        if key is None:
            raise ValueError("a key is too long")
        # Written last by every converter, and megabytes.
        if key.startswith("tokenizer."):
            return
        value = _value(file, _unpack(file, "I")[0])
        if value is not None:
            values[key] = value


def _value(file: BinaryIO, kind: int) -> Value | None:
    """None for what is passed over."""
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        number: bool | int | float = _unpack(file, _letter(kind))[0]
        return number
    inner, count = _unpack(file, "IQ")
    if inner == _STRING:
        for _ in range(count):
            _string(file)
        return None
    letter = _letter(inner)
    if count > _MAX_ITEMS:
        file.seek(count * struct.calcsize(f"<{letter}"), 1)
        return None
    return list(_unpack(file, letter * count))


def _letter(kind: int) -> str:
    if kind not in _NUMBERS:
        raise ValueError(f"there is no type {kind}")
    return _NUMBERS[kind]


def _string(file: BinaryIO) -> str | None:
    (size,) = _unpack(file, "Q")
    if size > _MAX_STRING_BYTES:
        file.seek(size, 1)
        return None
    return _exactly(file, size).decode("utf-8")


def _unpack(file: BinaryIO, letters: str) -> tuple[int, ...]:
    return struct.unpack(f"<{letters}", _exactly(file, struct.calcsize(f"<{letters}")))


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return data
