"""Whether a model is still what it was: cheap when nothing changed, and never wrong about what did."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fimble import digests, installed, paths
from fimble.errors import ModelCorrupt
from fimble.installed import Installed

pytestmark = pytest.mark.usefixtures("home")

MIB = 1 << 20


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + os.urandom(3 * MIB))
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Which files were read whole."""
    seen: list[Path] = []
    whole = digests.sha256

    def counted(path: Path, on_progress: Callable[[float], None] | None = None) -> str:
        seen.append(path)
        return whole(path, on_progress)

    monkeypatch.setattr(digests, "sha256", counted)
    return seen


def test_the_whole_file_is_read_once(gguf: Path, reads: list[Path]) -> None:
    """The first check reads everything, the next ones only look; progress ends at the end."""
    expected = hashlib.sha256(gguf.read_bytes()).hexdigest()
    shares: list[float] = []
    digests.check(gguf, expected, shares.append)
    assert (shares == sorted(shares), shares[-1], len(shares)) == (True, 1.0, 4)
    digests.check(gguf, expected)
    digests.check(gguf, expected)
    assert reads == [gguf]


def test_nothing_is_expected_of_an_unknown_file(gguf: Path, reads: list[Path]) -> None:
    """A model by its path, of which nobody has recorded anything, costs nothing."""
    digests.check(gguf, "")
    assert reads == []


@pytest.mark.parametrize("where", [0, MIB + 5, 2 * MIB, -1])
def test_a_changed_file_is_refused(gguf: Path, where: int) -> None:
    """Wherever a byte changed, a file that was written to is found out."""
    data = bytearray(gguf.read_bytes())
    expected = hashlib.sha256(data).hexdigest()
    digests.check(gguf, expected)
    data[where] ^= 1
    gguf.write_bytes(data)
    with pytest.raises(ModelCorrupt) as caught:
        digests.check(gguf, expected)
    assert expected[:12] in caught.value.message
    with pytest.raises(ModelCorrupt):
        digests.check(gguf, expected)


def test_a_touched_file_is_read_again_and_known(gguf: Path, reads: list[Path]) -> None:
    """A new time of change alone is no reason to refuse, and is remembered."""
    expected = hashlib.sha256(gguf.read_bytes()).hexdigest()
    digests.check(gguf, expected)
    os.utime(gguf, ns=(1, 1))
    digests.check(gguf, expected)
    digests.check(gguf, expected)
    assert len(reads) == 2


def test_another_expectation_is_not_met_by_the_same_file(gguf: Path) -> None:
    """What was right for one record is not right for another."""
    digests.check(gguf, hashlib.sha256(gguf.read_bytes()).hexdigest())
    with pytest.raises(ModelCorrupt):
        digests.check(gguf, "0" * 64)


def test_a_file_that_is_gone_is_for_others_to_refuse(gguf: Path) -> None:
    """Whoever loads a model says best why it cannot be read."""
    gguf.unlink()
    digests.check(gguf, "0" * 64)


@pytest.mark.parametrize(
    ("origin", "fix"),
    [("pulled", "fimble models pull mine"), ("imported", "--name mine"), (None, "Reinstall")],
)
def test_the_fix_depends_on_where_it_came_from(gguf: Path, origin: str | None, fix: str) -> None:
    """A pulled model is pulled again, an import is imported again, and the bundled one comes with Fimble."""
    if origin:
        installed.add("mine", Installed(path=str(gguf), origin=origin))  # type: ignore[arg-type]
    assert fix in digests.refusal(gguf, "0" * 64, "1" * 64).fix


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"/x": [1]}'])
def test_a_broken_memory_costs_one_reading(gguf: Path, reads: list[Path], content: bytes) -> None:
    """What was seen may be lost at any time."""
    paths.state_dir().mkdir(parents=True)
    (paths.state_dir() / "checked.json").write_bytes(content)
    expected = hashlib.sha256(gguf.read_bytes()).hexdigest()
    digests.check(gguf, expected)
    digests.check(gguf, expected)
    assert len(reads) == 1


def test_a_home_that_cannot_be_written_to_is_no_reason_to_refuse(gguf: Path, home: Path) -> None:
    """Where nothing can be remembered, every check reads everything."""
    (home / "state").write_text("a file where the folder should be")
    digests.check(gguf, hashlib.sha256(gguf.read_bytes()).hexdigest())


def test_only_so_many_files_are_remembered(tmp_path: Path) -> None:
    """The memory does not grow with every model that was ever tried."""
    for number in range(105):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(b"GGUF")
        digests.remember(path, "0" * 64)
    assert digests.was_right(tmp_path / "104.gguf", "0" * 64)
    assert not digests.was_right(tmp_path / "0.gguf", "0" * 64)
