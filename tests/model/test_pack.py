"""Packing the corpus for the way to another machine, and unpacking it there."""

from __future__ import annotations

from pathlib import Path

import pytest
from sources import python_source

import pack
from corpus_list import CorpusError
from records import Record, read_records, write_records


def corpus_of(folder: Path, files: int) -> list[Record]:
    """Write a small corpus."""
    languages = ("python", "go", "c")
    records = [
        Record(f"p{number % 4}", f"m{number}", languages[number % 3], python_source(number) + "\u2028é\n")
        for number in range(files)
    ]
    records.sort(key=lambda record: (record.project, record.path))
    folder.mkdir()
    write_records(folder / "train.jsonl.zst", records)
    write_records(folder / "heldout.jsonl.zst", records[:3])
    return records


def test_pack_round_trip_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "PIECE", 5000)
    records = corpus_of(tmp_path / "corpus", 60)
    pack.pack(tmp_path / "corpus", tmp_path / "packed", pack.LIMIT, seed=1, heldout=True)
    pieces = sorted((tmp_path / "packed").glob("train.*"))
    assert len(pieces) > 1
    assert all(piece.stat().st_size <= 5000 for piece in pieces)
    pack.unpack(tmp_path / "packed", tmp_path / "again")
    assert list(read_records(tmp_path / "again" / "train.jsonl.zst")) == records
    assert list(read_records(tmp_path / "again" / "heldout.jsonl.zst")) == records[:3]
    pieces[0].write_bytes(pieces[0].read_bytes()[:-1] + b"?")
    with pytest.raises(CorpusError, match="damaged"):
        pack.unpack(tmp_path / "packed", tmp_path / "again")


def test_pack_chooses_by_language_and_seed_when_not_all_fits(tmp_path: Path) -> None:
    records = corpus_of(tmp_path / "corpus", 90)
    index = pack.pack(tmp_path / "corpus", tmp_path / "packed", 8000, seed=1, heldout=False)
    total = sum(piece.stat().st_size for piece in (tmp_path / "packed").glob("*.zst-part"))
    assert 4000 < total <= 8000
    pack.unpack(tmp_path / "packed", tmp_path / "again")
    chosen = list(read_records(tmp_path / "again" / "train.jsonl.zst"))
    assert 0 < len(chosen) < len(records)
    assert [record for record in records if record in chosen] == chosen
    assert {record.language for record in chosen} == {"python", "go", "c"}
    assert pack.pack(tmp_path / "corpus", tmp_path / "packed", 8000, seed=1, heldout=False) == index
