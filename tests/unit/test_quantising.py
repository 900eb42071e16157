"""Models with fewer bits: written as a whole or not at all, over nothing, and only where that makes sense."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from fimble import catalog, paths
from fimble.engine.launch import probe
from fimble.errors import ConfigError, ModelCorrupt, ModelNoFim
from fimble.models import quantising


def test_a_smaller_copy_is_made_and_known(home: Path, bundled: Path) -> None:
    """About as large as was said, told step by step, tried, and in the catalog."""
    before = bundled.read_bytes()
    plan = quantising.plan(bundled, "Q4_K_M")
    shares: list[float] = []
    name = quantising.carry_out(plan, shares.append)
    assert plan.target.stat().st_size == pytest.approx(plan.target_bytes, rel=0.02)
    assert plan.target_bytes < plan.source_bytes
    assert shares == sorted(shares)
    assert len(set(shares)) > 10
    assert shares[-1] == 1.0
    assert catalog.resolve(name) == plan.target
    assert "Q4_K" in probe(plan.target).description
    assert bundled.read_bytes() == before
    assert [path.name for path in plan.target.parent.iterdir()] == [plan.target.name]


@pytest.mark.parametrize("kind", ["Q8_0", "F16"])
def test_what_would_not_get_smaller_is_refused(home: Path, bundled: Path, kind: str) -> None:
    """With the sizes, before anything is written."""
    with pytest.raises(ConfigError, match="would not be smaller") as caught:
        quantising.plan(bundled, kind)
    assert caught.value.fix
    assert not (paths.data_dir() / "models").exists()


def test_what_has_lost_much_is_not_quantised_again(home: Path, bundled: Path) -> None:
    """From four bits to fewer adds one loss to another."""
    plan = quantising.plan(bundled, "Q5_K_M")
    quantising.carry_out(plan)
    with pytest.raises(ConfigError, match="already") as caught:
        quantising.plan(plan.target, "Q4_K_M")
    assert "Q8_0" in caught.value.fix


def test_nothing_is_overwritten(home: Path, bundled: Path, tmp_path: Path) -> None:
    """Neither what is there at the beginning nor what appears meanwhile."""
    target = tmp_path / "out" / "mine.gguf"
    plan = quantising.plan(bundled, "Q4_K_M", target)
    target.parent.mkdir()
    target.write_text("precious")
    with pytest.raises(ConfigError, match="already"):
        quantising.plan(bundled, "Q4_K_M", target)
    with pytest.raises(ConfigError, match="already"):
        quantising.carry_out(plan)
    assert target.read_text() == "precious"
    assert [path.name for path in target.parent.iterdir()] == ["mine.gguf"]


def test_nothing_is_imported_from_where_it_is_started(
    home: Path, bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project's files with the names of modules are not run."""
    for name in ("msgspec", "json", "numpy", "fimble"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('run from the project')\n")
    monkeypatch.chdir(tmp_path)
    assert quantising.plan(bundled, "Q4_K_M").target_bytes > 0
    assert probe(bundled).n_params > 0


def test_a_full_disk_is_noticed_before(home: Path, bundled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much there is and how much it takes."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(ConfigError, match="1 MB free"):
        quantising.plan(bundled, "Q4_K_M")


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"GGUF\x03\0\0\0" + bytes(range(256)) * 20])
def test_what_is_no_model_is_refused(home: Path, tmp_path: Path, content: bytes) -> None:
    """And llama.cpp, whatever it makes of it, ends another process than this one."""
    source = tmp_path / "x.gguf"
    source.write_bytes(content)
    with pytest.raises(ModelCorrupt):
        quantising.plan(source, "Q4_K_M")


def test_a_half_file_leaves_nothing(home: Path, bundled: Path, tmp_path: Path) -> None:
    """A source whose weights end too early fails, and no part of a target stays."""
    source = tmp_path / "half.gguf"
    source.write_bytes(bundled.read_bytes()[:4_000_000])
    with pytest.raises(ModelCorrupt):
        quantising.carry_out(quantising.plan(source, "Q4_K_M", tmp_path / "out" / "x.gguf"))
    assert list(tmp_path.rglob("*.gguf")) == [source]
    assert list(tmp_path.rglob(".*.part")) == []


def test_a_model_that_cannot_complete_is_not_kept(
    home: Path, bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is tried before it gets its name."""

    def refuse(_path: Path) -> None:
        raise ModelNoFim("no", "fix")

    plan = quantising.plan(bundled, "Q4_K_M", tmp_path / "out" / "x.gguf")
    monkeypatch.setattr(quantising, "probe", refuse)
    with pytest.raises(ModelNoFim):
        quantising.carry_out(plan)
    assert list(plan.target.parent.iterdir()) == []
