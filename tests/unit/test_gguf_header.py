"""What a model's file says before its vocabulary, read without llama.cpp."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import read_gguf

from fimble import gguf_header
from fimble.engine.llama import Model
from random_model import Shape, write_random_model

NewGguf = Callable[..., Path]


def test_it_is_what_others_read(bundled: Path) -> None:
    """The same values as the reference reader's, up to the vocabulary; the cache's size is what llama.cpp says."""
    header = gguf_header.read(bundled)
    fields = read_gguf(bundled).fields
    before = {name for name in fields if not name.startswith(("GGUF.", "tokenizer."))} - {
        # Written behind the vocabulary.
        "general.quantization_version",
        "general.file_type",
    }
    assert set(header.values) == before
    for name in before:
        assert header.values[name] == fields[name].contents()
    assert header.n_bytes == bundled.stat().st_size
    model = Model(bundled)
    assert header.kv_values_per_token == model.kv_values_per_token
    assert header.n_ctx_train == model.n_ctx_train


def test_heads_that_follow_from_the_width(bundled: Path, tmp_path: Path) -> None:
    """Where the length of a key is not stated, it is the width's share of a head."""
    path = tmp_path / "m.gguf"
    write_random_model(bundled, path, Shape(layers=3, width=128, feed_forward=64, heads=2, kv_heads=1, context=512))
    assert gguf_header.read(path).kv_values_per_token == 3 * 2 * 64 == Model(path).kv_values_per_token


def test_heads_of_each_layer(new_gguf: NewGguf) -> None:
    """Some architectures have as many heads as they like in each layer."""
    writer = gguf.GGUFWriter(path := new_gguf(), "openelm")
    writer.add_embedding_length(256)
    writer.add_block_count(3)
    writer.add_array("openelm.attention.head_count", [4, 8, 8])
    writer.add_array("openelm.attention.head_count_kv", [1, 2, 2])
    writer.add_key_length(64)
    writer.add_value_length(64)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert gguf_header.read(path).kv_values_per_token == 5 * (64 + 64)


def test_long_texts_and_lists_are_passed_over(bundled: Path, tmp_path: Path) -> None:
    """What nobody asks for costs no memory, and what stands behind it is read."""
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.readme", "x" * 100_000)
    writer.add_array("general.tags", ["a", "b"])
    writer.add_array("llama.numbers", list(range(5000)))
    writer.add_context_length(77)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    header = gguf_header.read(path)
    assert header.values == {"general.architecture": "llama", "llama.context_length": 77}
    assert (header.n_ctx_train, header.kv_values_per_token) == (77, 0)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGML" + bytes(100), b"\x7fELF" + bytes(500)])
def test_what_is_no_gguf_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    header = gguf_header.read(tmp_path / "x")
    assert (header.values, header.n_bytes, header.kv_values_per_token) == ({}, len(content), 0)
    with pytest.raises(FileNotFoundError):
        gguf_header.read(tmp_path / "gone")


@given(seed=st.integers(0, 2**32), cut=st.integers(4, 2000))
def test_broken_files_end_it_early(
    bundled: Path, tmp_path_factory: pytest.TempPathFactory, seed: int, cut: int
) -> None:
    """Flipped bytes and a file that ends anywhere: what was read so far, at once and never an error."""
    changed = random.Random(seed)
    with bundled.open("rb") as file:
        data = bytearray(file.read(2000))
    for _ in range(changed.randrange(1, 20)):
        data[changed.randrange(4, len(data))] = changed.randrange(256)
    path = tmp_path_factory.getbasetemp() / "broken.gguf"
    path.write_bytes(data[:cut])
    header = gguf_header.read(path)
    assert header.n_bytes == min(cut, 2000)
    assert header.kv_values_per_token >= 0
    assert header.n_ctx_train >= 0
