"""The address of an engine: which engine fits, and how its address is written down."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fimble.engine import endpoint, wire
from fimble.engine.endpoint import Endpoint, settings_key
from fimble.engine.wire import Adapter, EngineSettings

SETTINGS = EngineSettings(
    model_path="/m.gguf", model_digest="d", context_tokens=2048, threads=0, idle_minutes=15.0, transport="auto"
)

#: Another value for every setting that changes how the engine computes.
OTHERS = {
    "power": "saving",
    "flash_attention": "off",
    "kv_type": "q8_0",
    "mmap": False,
    "mlock": True,
    "gpu_layers": 0,
}


def test_equal_settings_have_the_same_key() -> None:
    """Two windows that agree on everything find the same engine."""
    assert settings_key(msgspec.structs.replace(SETTINGS)) == settings_key(SETTINGS)
    assert len(settings_key(SETTINGS)) == 16


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_path", "/other.gguf"),
        ("model_digest", "e"),
        ("model_sha256", "e"),
        ("context_tokens", 2049),
        ("threads", 1),
        ("idle_minutes", 15.5),
        ("transport", "tcp"),
        ("cache_mb", 64),
        ("adapter", Adapter(path="/a.gguf", digest="e")),
        *OTHERS.items(),
    ],
)
def test_every_field_makes_another_key(field: str, value: Any) -> None:
    """A window whose settings differ in anything starts its own engine."""
    assert settings_key(msgspec.structs.replace(SETTINGS, **{field: value})) != settings_key(SETTINGS)


def test_no_field_is_forgotten_above() -> None:
    """A field that is added to the settings needs a line in the test above."""
    fields = {field.name for field in msgspec.structs.fields(EngineSettings)}
    engine = {"context_tokens", "threads", "cache_mb", "idle_minutes", "transport"}
    assert fields == {"model_path", "model_digest", "model_sha256", "adapter"} | engine | set(OTHERS)


@pytest.mark.parametrize("name", ["__version__", "PROTOCOL"])
def test_another_version_is_another_engine(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A window never talks to the engine of another version of Fimble or of the protocol."""
    before = settings_key(SETTINGS)
    monkeypatch.setattr(endpoint, name, {"__version__": "999.0", "PROTOCOL": wire.PROTOCOL + 1}[name])
    assert settings_key(SETTINGS) != before


@pytest.mark.parametrize(("transport", "has_socket"), [("auto", True), ("unix", True), ("tcp", False)])
def test_the_transport_decides_on_a_socket(tmp_path: Path, transport: str, has_socket: bool) -> None:
    """A Unix socket stands in the runtime folder; over TCP there is none."""
    settings = msgspec.structs.replace(SETTINGS, transport=transport)
    made = Endpoint.for_engine(tmp_path, settings)
    assert made.key == settings_key(settings)
    assert made.socket == (str(tmp_path / f"{made.key}.sock") if has_socket else "")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Every field of an endpoint comes back, found by its key or in the list of all."""
    written = Endpoint(key="k", model_path="/ü.gguf", port=4321, token="secret", pid=7, command=["a"])
    written.write(tmp_path / "k.json")
    assert endpoint.read(tmp_path, "k") == written
    assert endpoint.read_all(tmp_path) == [written]


def test_the_token_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    """The file with the token has mode 0600 from its first moment, whatever stood there before."""
    path = tmp_path / "k.json"
    path.write_text("old")
    path.chmod(0o666)
    Endpoint(key="k", model_path="/m.gguf", token="secret").write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_reader_never_sees_half_of_it(tmp_path: Path) -> None:
    """The file is put in place whole: who opened the old one still reads the old one, and nothing is left over."""
    path = tmp_path / "k.json"
    Endpoint(key="k", model_path="/old.gguf").write(path)
    with path.open("rb") as old:
        Endpoint(key="k", model_path="/new.gguf").write(path)
        assert b"/old.gguf" in old.read()
    assert [found.name for found in tmp_path.iterdir()] == ["k.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"key": 1}', b"\xff\xfe", b'{"key": "\xff", "model_path": ""}']
)
def test_a_broken_file_is_no_endpoint(tmp_path: Path, content: bytes) -> None:
    """What cannot be read as an endpoint means that there is no engine, not a failure."""
    (tmp_path / "k.json").write_bytes(content)
    assert endpoint.read(tmp_path, "k") is None
    assert endpoint.read_all(tmp_path) == []


def test_a_missing_file_is_no_endpoint(tmp_path: Path) -> None:
    """No file and no folder mean that there is no engine."""
    assert endpoint.read(tmp_path, "k") is None
    assert endpoint.read(tmp_path / "missing", "k") is None
    assert endpoint.read_all(tmp_path / "missing") == []
