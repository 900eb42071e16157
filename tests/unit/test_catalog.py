"""The models: every entry is complete, every name leads to a file or to what can be done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fimble import catalog, installed
from fimble.catalog import Entry
from fimble.errors import ConfigError, ModelNotFound
from fimble.installed import Installed

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "My-Model.gguf"
    path.write_bytes(b"GGUF" + bytes(200_000))
    return path


def entries() -> list[Entry]:
    known = catalog.load()
    return [known.bundled, *known.model]


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_every_entry_is_complete(entry: Entry) -> None:
    """A model in the catalog says what it is called, what it weighs, what it needs and under which licence."""
    assert entry.name == entry.name.lower()
    assert entry.file.endswith(".gguf")
    assert entry.licence
    assert entry.parameters
    assert entry.note.endswith(".")
    assert entry.size_mb > 0
    assert entry.memory_gb * 1000 > entry.size_mb


@pytest.mark.parametrize("entry", catalog.load().model, ids=lambda entry: entry.name)
def test_every_download_names_its_repository(entry: Entry) -> None:
    """Whoever wants a model from the catalog is told the repository: owner/name."""
    owner, _, name = entry.repository.partition("/")
    assert owner
    assert name
    assert "/" not in name


def test_names_are_unique() -> None:
    """No two models have the same name."""
    names = [entry.name for entry in entries()]
    assert len(set(names)) == len(names)


def test_the_bundled_model_is_there_and_has_its_size() -> None:
    """The model that ships with Fimble is where the catalog says, and as large."""
    bundled = catalog.load().bundled
    path = catalog.resolve("")
    assert path == catalog.resolve(bundled.name)
    assert round(path.stat().st_size / 1e6, 1) == bundled.size_mb


@pytest.mark.parametrize(
    "model",
    [
        "nobody-knows-this",
        "qwen2.5-coder-0.5b",
        "/nowhere/x.gguf",
        "nowhere/x.gguf",
        "x.gguf",
        "",
        "a\0b.gguf",
        "/",
        "~/x.gguf",
        "~nobody-has-this-name/x.gguf",
        "x" * 5000 + ".gguf",
    ],
    ids=lambda model: repr(model[:30]),
)
def test_what_is_no_model_is_an_error_with_a_fix(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the setting names, the answer is a file or ModelNotFound with what to do."""
    monkeypatch.chdir(tmp_path)
    if not model:  # the bundled model was deleted
        monkeypatch.setattr(catalog, "bundled_models_dir", lambda: tmp_path)
        monkeypatch.setattr(catalog, "load", lambda: catalog.Catalog(entries_before))
    with pytest.raises(ModelNotFound) as caught:
        catalog.resolve(model)
    assert "fimble models" in caught.value.fix


entries_before = catalog.load().bundled


def test_a_path_is_taken_as_it_is(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GGUF is found by its path, absolute, relative or below the home folder."""
    monkeypatch.setenv("HOME", str(gguf.parent))
    monkeypatch.chdir(gguf.parent)
    assert catalog.resolve(str(gguf)) == gguf
    assert catalog.resolve(gguf.name).samefile(gguf)
    assert catalog.resolve(f"~/{gguf.name}") == gguf


def bring(path: Path, name: str = "", **fields: Any) -> str:
    name = name or path.stem.lower()
    installed.add(name, Installed(path=str(path), **fields))
    return name


def test_an_imported_model_has_a_name(gguf: Path) -> None:
    """After an import the model is listed as usable and found by its name; the file stays where it is."""
    bring(gguf)
    bring(gguf, "second")
    assert catalog.resolve("second") == gguf
    listed = {one.name: one for one in catalog.listing()}
    assert {"my-model", "second"} <= set(listed)
    assert (listed["second"].kind, listed["second"].path, listed["second"].size_mb) == ("imported", str(gguf), 0.2)


def test_a_pulled_model_of_the_catalog_is_listed_once_and_found(gguf: Path) -> None:
    """What was pulled is not among what can be pulled, keeps what the catalog says, and is what its name means."""
    entry = catalog.load().model[0]
    bring(gguf, entry.name, origin="pulled", repository=entry.repository, licence="MIT")
    (listed,) = (one for one in catalog.listing() if one.name == entry.name)
    assert (listed.kind, listed.path, listed.memory_gb, listed.licence) == ("pulled", str(gguf), entry.memory_gb, "MIT")
    assert catalog.resolve(entry.name) == gguf
    gguf.unlink()
    with pytest.raises(ModelNotFound) as caught:
        catalog.resolve(entry.name)
    assert f"fimble models pull {entry.name}" in caught.value.fix


def test_a_relative_import_is_found_from_everywhere(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import by a relative path does not depend on the folder that one happens to be in."""
    monkeypatch.chdir(gguf.parent)
    assert catalog.add_import(Path(gguf.name)) == "my-model"
    monkeypatch.chdir("/")
    assert catalog.resolve("my-model") == gguf


@pytest.mark.parametrize("name", [*(entry.name for entry in entries()), "pulled-one"])
def test_an_import_cannot_take_a_known_name(gguf: Path, name: str) -> None:
    """A name of the catalog always means the catalog's model, and that of a pulled one the pulled one."""
    bring(gguf, "pulled-one", origin="pulled")
    with pytest.raises(ConfigError) as caught:
        catalog.add_import(gguf, name)
    assert "--name" in caught.value.fix
    assert set(installed.read()) == {"pulled-one"}


def test_an_import_that_is_gone_is_still_listed(gguf: Path) -> None:
    """A model whose file was deleted is shown as such, and choosing it is an error with a fix."""
    bring(gguf)
    gguf.unlink()
    listed = next(one for one in catalog.listing() if one.name == "my-model")
    assert (listed.path, listed.note) == ("", "the file is gone")
    with pytest.raises(ModelNotFound):
        catalog.resolve("my-model")


def test_what_a_model_must_hash_to(gguf: Path) -> None:
    """The catalog says it of the bundled model, the record of what came later, and nobody of any other file."""
    assert catalog.sha256_of(catalog.resolve("")) == catalog.load().bundled.sha256
    assert catalog.sha256_of(gguf) == ""
    bring(gguf, sha256="ab" * 32)
    assert catalog.sha256_of(gguf) == "ab" * 32


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_every_shape_agrees_with_its_file_and_name(entry: Entry) -> None:
    """The numbers of a shape make as many parameters as the name says, in as many bytes as a quantisation takes."""
    shape = entry.shape
    number, unit = entry.parameters.split(",")[0].split()
    said = float(number) * {"M": 1e6, "B": 1e9}[unit]
    assert shape.n_params == pytest.approx(said, rel=0.1)
    assert 4.5 < entry.bits_per_weight < 9.1
    assert shape.n_params_active <= shape.n_params
    assert (shape.n_params_active < shape.n_params / 5) == bool(shape.n_expert)
    assert shape.n_head % shape.n_head_kv == 0


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_checksums_and_commits_are_whole(entry: Entry) -> None:
    """A pin is a whole SHA-256 and a whole commit, or nothing."""
    assert re.fullmatch(r"[0-9a-f]{64}|", entry.sha256)
    assert re.fullmatch(r"[0-9a-f]{40}|", entry.revision)


def test_a_mixture_of_experts_reads_few_of_its_weights() -> None:
    """Qwen3-Coder-30B-A3B: 30.5 billion weights, 3.3 billion of them (the first layer too) for a token: its card."""
    (entry,) = (entry for entry in catalog.load().model if entry.shape.n_expert)
    shape = entry.shape
    assert shape.n_params == pytest.approx(30.5e9, rel=0.01)
    assert shape.n_params_active + shape.n_embd * shape.n_vocab == pytest.approx(3.3e9, rel=0.02)
    assert shape.kv_bytes_per_token == 2 * 2 * 48 * 4 * 128


def test_usable_models_come_first() -> None:
    """The listing begins with the bundled model, and what must be downloaded has no path."""
    listed = catalog.listing()
    assert (listed[0].kind, Path(listed[0].path).is_file()) == ("bundled", True)
    assert {one.path for one in listed if one.kind == "catalog"} == {""}


def test_how_soon_a_copy_is_preferred_depends_on_the_model() -> None:
    """A weak model is asked later than one that nothing is known of, which may be a good one."""
    bundled = catalog.load().bundled
    for name in ("", bundled.name, str(catalog.resolve(""))):
        assert catalog.echo_first(name) == bundled.echo_first
    assert catalog.echo_first("/brought.gguf") == catalog.ECHO_FIRST > bundled.echo_first
