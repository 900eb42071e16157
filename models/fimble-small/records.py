"""Read and write the corpus files: one JSON object per line, compressed with zstd."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import zstandard


@dataclass(frozen=True)
class Record:
    """One source file of the corpus."""

    project: str
    path: str
    language: str
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of the text."""
        return len(self.text.encode())

    def line(self) -> bytes:
        """The record as it stands in a file."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def read_records(file: Path) -> Iterator[Record]:
    """Yield the records of a ``.jsonl.zst`` file."""
    with file.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        for line in io.TextIOWrapper(stream, encoding="utf-8", newline="\n"):
            yield Record(**json.loads(line))


def write_records(file: Path, records: Iterable[Record], level: int = 9) -> None:
    """Write a ``.jsonl.zst`` file; it appears under its name only when it is whole."""
    partial = file.with_name(file.name + ".partial")
    compressor = zstandard.ZstdCompressor(level=level, threads=0)
    with partial.open("wb") as raw, compressor.stream_writer(raw) as stream:
        for record in records:
            stream.write(record.line())
    partial.replace(file)
