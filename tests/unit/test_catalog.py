"""The models: every entry is complete, every name leads to a file or to what can be done."""

from __future__ import annotations

from pathlib import Path

import pytest

from fimble import catalog, paths
from fimble.catalog import Entry
from fimble.errors import ConfigError, ModelNotFound

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


def test_an_imported_model_has_a_name(gguf: Path) -> None:
    """After an import the model is listed as usable and found by its name; the file stays where it is."""
    assert catalog.add_import(gguf) == "my-model"
    assert catalog.add_import(gguf, "second") == "second"
    assert catalog.imported() == {"my-model": str(gguf), "second": str(gguf)}
    assert catalog.resolve("second") == gguf
    listed = {one.name: one for one in catalog.listing()}
    assert (listed["second"].kind, listed["second"].path, listed["second"].size_mb) == ("imported", str(gguf), 0.2)


def test_a_relative_import_is_found_from_everywhere(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import by a relative path does not depend on the folder that one happens to be in."""
    monkeypatch.chdir(gguf.parent)
    catalog.add_import(Path(gguf.name))
    monkeypatch.chdir("/")
    assert catalog.resolve("my-model") == gguf


@pytest.mark.parametrize("name", [entry.name for entry in entries()])
def test_an_import_cannot_take_a_known_name(gguf: Path, name: str) -> None:
    """A name of the catalog always means the catalog's model."""
    with pytest.raises(ConfigError) as caught:
        catalog.add_import(gguf, name)
    assert "--name" in caught.value.fix
    assert catalog.imported() == {}


def test_an_import_that_is_gone_is_still_listed(gguf: Path) -> None:
    """A model whose file was deleted is shown as such, and choosing it is an error with a fix."""
    catalog.add_import(gguf)
    gguf.unlink()
    listed = next(one for one in catalog.listing() if one.name == "my-model")
    assert (listed.path, listed.note) == ("", "the file is gone")
    with pytest.raises(ModelNotFound):
        catalog.resolve("my-model")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"a": 1}', b'{"a": "\xff"}'])
def test_a_broken_list_of_imports_is_an_empty_one(gguf: Path, content: bytes) -> None:
    """A list that cannot be read costs the imports, not the bundled model, and the next import repairs it."""
    paths.data_dir().mkdir(parents=True)
    (paths.data_dir() / "models.json").write_bytes(content)
    assert catalog.imported() == {}
    assert catalog.resolve("").is_file()
    catalog.add_import(gguf)
    assert catalog.resolve("my-model") == gguf


def test_an_import_that_cannot_be_remembered_is_an_error_with_a_fix(gguf: Path, home: Path) -> None:
    """Where the list cannot be written, the person is told which file it is and what to look at."""
    (home / "data").write_text("a file where the folder should be")
    with pytest.raises(ConfigError) as caught:
        catalog.add_import(gguf)
    assert "models.json" in caught.value.message
    assert caught.value.fix


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
