"""The list of pulled and imported models: never half, never lost, readable from the first version on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fimble import installed, paths
from fimble.errors import ConfigError
from fimble.installed import Installed

pytestmark = pytest.mark.usefixtures("home")


def file() -> Path:
    return paths.data_dir() / "models.json"


def test_what_was_added_is_read_and_forgotten() -> None:
    """A model is found by its name and by its path, until it is forgotten."""
    one = Installed(path="/models/a.gguf", origin="pulled", repository="o/r", sha256="ab" * 32, size_bytes=7)
    installed.add("a", one)
    installed.add("b", Installed(path="/models/b.gguf"))
    assert installed.read() == {"a": one, "b": Installed(path="/models/b.gguf")}
    assert installed.by_path(Path("/models/a.gguf")) == ("a", one)
    assert installed.by_path(Path("/models/c.gguf")) is None
    installed.forget("a")
    installed.forget("nobody")
    assert set(installed.read()) == {"b"}


def test_the_first_version_s_list_is_read() -> None:
    """Models that were imported by an older Fimble are still known, and stay so when one is added."""
    file().parent.mkdir(parents=True)
    file().write_bytes(b'{"old": "/models/old.gguf"}')
    installed.add("new", Installed(path="/models/new.gguf"))
    assert {name: one.path for name, one in installed.read().items()} == {
        "old": "/models/old.gguf",
        "new": "/models/new.gguf",
    }


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"a": 1}', b'{"a": "\xff"}', b'{"a": {"origin": "x"}}'])
def test_a_broken_list_is_an_empty_one(content: bytes) -> None:
    """A list that cannot be read costs what is in it, and the next model repairs it."""
    file().parent.mkdir(parents=True)
    file().write_bytes(content)
    assert installed.read() == {}
    installed.add("a", Installed(path="/a.gguf"))
    assert set(installed.read()) == {"a"}


def test_a_list_that_cannot_be_written_is_an_error_with_a_fix(home: Path) -> None:
    """The person is told which file it is and what to look at."""
    (home / "data").write_text("a file where the folder should be")
    with pytest.raises(ConfigError) as caught:
        installed.add("a", Installed(path="/a.gguf"))
    assert "models.json" in caught.value.message
    assert caught.value.fix


def test_nothing_is_lost_when_several_processes_write_at_once() -> None:
    """Downloads that end at the same moment are all remembered."""
    code = (
        "import sys; from fimble import installed\n"
        "for n in range(20): installed.add(f'{sys.argv[1]}-{n}', installed.Installed(path='/x.gguf'))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(number)]) for number in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert set(installed.read()) == {f"{number}-{n}" for number in range(3) for n in range(20)}
