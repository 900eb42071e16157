"""Which adapters there are, and which one a workspace uses: the user's own business, kept where no project reaches."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from lora import write_adapter

from fimble import paths
from fimble.engine.endpoint import settings_key
from fimble.engine.launch import settings_for
from fimble.errors import AdapterUnusable, ConfigError
from fimble.models import adapters
from fimble.settings import EngineConfig


@pytest.fixture
def project(home: Path) -> Path:
    """A repository."""
    folder = home / "one"
    (folder / ".git").mkdir(parents=True)
    (folder / "src").mkdir()
    return folder


@pytest.fixture
def added(home: Path, bundled: Path) -> Path:
    """The file of an adapter that is known as ``mine``."""
    path = write_adapter(home / "mine.gguf")
    adapters.add(path, bundled)
    return path


def test_a_workspace_uses_what_was_chosen_for_it(project: Path, added: Path, bundled: Path, home: Path) -> None:
    """Anywhere in the repository, and nowhere else."""
    adapters.use("mine", project / "src")
    found = adapters.for_engine(project, bundled)
    assert found is not None
    assert found.path == str(added)
    assert adapters.chosen(project) == "mine"
    other = home / "two"
    other.mkdir()
    assert adapters.for_engine(other, bundled) is None
    assert adapters.for_engine(None, bundled) is None
    adapters.use(adapters.NONE, project)
    assert adapters.for_engine(project, bundled) is None


def test_two_workspaces_have_two_engines(project: Path, added: Path, bundled: Path, home: Path) -> None:
    """What they compute with differs, so they do not share a process, nor what it has cached."""
    adapters.use("mine", project)
    other = home / "two"
    other.mkdir()
    keys = {
        settings_key(settings_for(bundled, EngineConfig(), adapters.for_engine(folder, bundled)))
        for folder in (project, project / "src", other)
    }
    assert len(keys) == 2


def test_the_choice_is_not_the_projects(project: Path, added: Path, bundled: Path) -> None:
    """It stands in the user's data folder, which nobody else can read; nothing in the repository is written or read."""
    before = sorted(project.rglob("*"))
    adapters.use("mine", project)
    assert sorted(project.rglob("*")) == before
    book = paths.data_dir() / "adapters.json"
    assert stat.S_IMODE(book.stat().st_mode) == 0o600


def test_a_file_that_has_changed_is_not_used(project: Path, added: Path, bundled: Path) -> None:
    """What was tried is used and nothing else: a broken file may end the engine's process."""
    adapters.use("mine", project)
    write_adapter(added, seed=2)
    with pytest.raises(AdapterUnusable, match="changed"):
        adapters.for_engine(project, bundled)
    adapters.add(added, bundled)  # tried again
    assert adapters.for_engine(project, bundled) is not None
    added.unlink()
    with pytest.raises(AdapterUnusable, match="cannot be read"):
        adapters.for_engine(project, bundled)


def test_an_adapter_for_one_model_waits_for_it(project: Path, added: Path, bundled: Path, endless: Path) -> None:
    """With another model chosen the workspace goes on with that one, bare."""
    (one,) = adapters.listing()
    from msgspec.structs import replace

    from fimble.engine.launch import quick_digest

    adapters.keep(replace(one, model_digest=quick_digest(bundled)), project)
    assert adapters.for_engine(project, bundled) is not None
    assert adapters.for_engine(project, endless) is None


def test_what_does_not_fit_is_not_added(home: Path, bundled: Path) -> None:
    """It is tried first, in a process of its own."""
    with pytest.raises(AdapterUnusable):
        adapters.add(write_adapter(home / "other.gguf", architecture="qwen2"), bundled)
    with pytest.raises(AdapterUnusable):
        adapters.add(write_adapter(home / "nan.gguf", value=float("nan")), bundled)
    assert adapters.listing() == []


def test_names(home: Path, added: Path, bundled: Path) -> None:
    """A name is one adapter's; ``none`` is nobody's."""
    other = write_adapter(home / "elsewhere.gguf", seed=3)
    with pytest.raises(ConfigError, match="mine"):
        adapters.add(other, bundled, "mine")
    with pytest.raises(ConfigError, match="none"):
        adapters.add(other, bundled, "none")
    with pytest.raises(ConfigError, match="no adapter"):
        adapters.use("yours", home)
    adapters.add(other, bundled, "yours", 0.5)
    assert [(one.name, one.scale) for one in adapters.listing()] == [("mine", 1.0), ("yours", 0.5)]


def test_forgetting_takes_only_files_that_were_made_here(project: Path, added: Path, bundled: Path) -> None:
    """The user's own file stays; a choice of it is gone."""
    adapters.use("mine", project)
    adapters.remove("mine")
    assert added.exists()
    assert adapters.chosen(project) == ""
    adapters.folder().mkdir(parents=True)
    made = write_adapter(adapters.folder() / "made.gguf")
    adapters.add(made, bundled)
    adapters.remove("made")
    assert not made.exists()


def test_a_damaged_book_is_an_empty_one(home: Path, added: Path) -> None:
    """Whatever stands in the file, windows start."""
    (paths.data_dir() / "adapters.json").write_bytes(b'{"adapters": 3}')
    assert adapters.listing() == []
