"""The history of models: shared by all windows, never half written, never in the way."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fimble import memory, paths
from fimble.engine.launch import quick_digest
from fimble.errors import ModelCorrupt, ModelTooLarge
from fimble.models import history
from fimble.models.history import Aside, Worked

pytestmark = pytest.mark.usefixtures("home")

NewFile = Callable[[str], Path]


@pytest.fixture
def new_file(home: Path) -> NewFile:
    """Makes files that stand for models."""

    def make(name: str) -> Path:
        path = home / name
        path.write_bytes(b"GGUF" + name.encode())
        return path

    return make


def worked(path: Path, decode_tokens_per_s: float = 0.0) -> Worked:
    return Worked(setting=path.stem, path=str(path), digest=quick_digest(path), decode_tokens_per_s=decode_tokens_per_s)


def broken(path: Path, failure: ModelCorrupt | ModelTooLarge | None = None) -> Aside:
    return Aside.of(path.stem, path, quick_digest(path), failure or ModelCorrupt("It is broken.", "Mend it."))


def state_file() -> Path:
    return paths.data_dir() / "history.json"


def test_nothing_is_known_at_first() -> None:
    assert history.last_good() is None
    assert history.put_aside() == {}
    assert history.aside("0" * 32) is None


def test_the_last_that_worked_comes_back(new_file: NewFile) -> None:
    """The newest counts, one that works again is the newest, and each is there once."""
    first, second = worked(new_file("a"), decode_tokens_per_s=7.0), worked(new_file("b"))
    for one in (first, second, first):
        assert history.note_worked(one)
    found = history.last_good()
    assert found is not None
    assert (found.path, found.decode_tokens_per_s, found.at > 0) == (first.path, 7.0, True)
    assert len(history.load().worked) == 2
    assert history.last_good(frozenset({first.digest})) is not None
    assert history.last_good(frozenset({first.digest, second.digest})) is None


def test_what_is_gone_changed_or_put_aside_is_not_good(new_file: NewFile) -> None:
    """A model comes back only if it is what it was."""
    gone, changed, aside, good = (new_file(name) for name in ("gone", "changed", "aside", "good"))
    for path in (good, gone, changed, aside):
        history.note_worked(worked(path))
    gone.unlink()
    changed.write_bytes(b"GGUF another")
    history.set_aside(broken(aside))
    found = history.last_good()
    assert found is not None
    assert found.path == str(good)


def test_a_model_is_put_aside_until_it_is_tried_again(new_file: NewFile) -> None:
    """With what was wrong and the fix; `try_again` forgets it, and its crashes."""
    path = new_file("a")
    digest = quick_digest(path)
    for pid in (1, 2):
        history.note_crash(digest, pid)
    assert history.set_aside(broken(path))
    found = history.aside(digest)
    assert found is not None
    failure = found.as_error()
    assert (type(failure), failure.message, failure.fix) == (ModelCorrupt, "It is broken.", "Mend it.")
    assert list(history.put_aside()) == [str(path)]
    history.try_again(path, digest)
    assert history.aside(digest) is None
    assert history.put_aside() == {}
    assert history.note_crash(digest, 3) == 1


def test_a_file_that_was_written_anew_is_another_one(new_file: NewFile) -> None:
    """Damage in the middle of a file changes no digest of its ends: that it was written again is enough."""
    path = new_file("a")
    history.set_aside(broken(path))
    info = path.stat()
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns + 1_000_000_000))
    assert history.aside(quick_digest(path)) is None
    assert history.put_aside() == {}


def test_a_model_that_was_too_large_waits_for_memory(new_file: NewFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is as much as it needs, it is used again; when the system killed it, it is not."""
    path, killed = new_file("a"), new_file("b")
    history.set_aside(broken(path, ModelTooLarge("It needs 5 GB.", "Buy some.", needed_bytes=5_000)))
    history.set_aside(broken(killed, ModelTooLarge("It was killed.", "Buy some.")))
    for free, is_aside in ((4_999, True), (5_000, False)):
        monkeypatch.setattr(history, "available", lambda free=free: memory.Available(free, "this"))
        assert bool(history.aside(quick_digest(path))) is is_aside
        assert history.aside(quick_digest(killed)) is not None


def test_one_process_ends_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two windows that see the same engine end count one crash; an hour later it counts for nothing."""
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    assert history.note_crash("d", 7) == 1
    assert history.note_crash("d", 7) == 1
    assert history.note_crash("other", 8) == 1
    assert history.note_crash("d", 9) == 2
    now += 3601
    assert history.note_crash("d", 10) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"worked": 3}', b"\xff\xfe", b'{"aside": [{"path": 1}]}'])
def test_a_broken_file_counts_as_empty(new_file: NewFile, content: bytes) -> None:
    """And the next that is written is whole again."""
    paths.make_private_dir(state_file().parent)
    state_file().write_bytes(content)
    assert history.last_good() is None
    assert history.put_aside() == {}
    assert history.note_worked(worked(new_file("a")))
    assert history.last_good() is not None


def test_what_a_later_version_wrote_is_read(new_file: NewFile) -> None:
    """Fields that nobody knows yet are passed over."""
    paths.make_private_dir(state_file().parent)
    path = new_file("a")
    one = {"setting": "a", "path": str(path), "digest": quick_digest(path), "new": 1}
    state_file().write_text(json.dumps({"version": 9, "worked": [one]}))
    assert history.last_good() is not None


def test_where_nothing_can_be_written_nothing_fails(home: Path, new_file: NewFile) -> None:
    """A home that is read-only, or no folder at all: it is said that nothing was kept."""
    (home / "data").write_text("not a folder")
    path = new_file("a")
    assert not history.note_worked(worked(path))
    assert not history.set_aside(broken(path))
    assert not history.try_again(path, "d")
    assert history.note_crash("d", 1) == 1
    assert history.last_good() is None


def test_a_full_disk_leaves_the_old_file(new_file: NewFile) -> None:
    """What was there stays, and no half of a new one lies about."""
    history.note_worked(worked(new_file("a")))
    before = state_file().read_bytes()

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert not history.note_worked(worked(new_file("b")))
    assert state_file().read_bytes() == before
    assert {file.name for file in state_file().parent.iterdir()} <= {"history.json", "history.lock"}


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_it_is_private(new_file: NewFile) -> None:
    """The names of somebody's models and folders are nobody else's business."""
    history.note_worked(worked(new_file("a")))
    assert stat.S_IMODE(state_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(state_file().parent.stat().st_mode) == 0o700


def test_it_stays_small() -> None:
    """However many models somebody tries."""
    for number in range(60):
        history.note_worked(Worked(setting="a", path=f"/{number}", digest=str(number)))
        history.set_aside(Aside(setting="a", path=f"/{number}", digest=str(number), kind="ModelCorrupt", message="m"))
        history.note_crash(str(number), number)
    known = history.load()
    assert (len(known.worked), len(known.aside), len(known.crashes)) == (20, 50, 20)
    assert known.worked[-1].path == "/59"


def test_processes_that_write_at_once_lose_nothing(home: Path) -> None:
    """Three windows note five crashes each, all at the same time; whoever reads meanwhile reads a whole file."""
    script = (
        "import sys\n"
        "from fimble.models import history\n"
        "sys.stdin.readline()\n"
        "for number in range(5):\n"
        "    history.note_crash(sys.argv[1], int(sys.argv[1]) * 100 + number)\n"
        "    assert history.load().crashes\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(number)], stdin=subprocess.PIPE) for number in range(1, 4)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.close()
    assert [child.wait(60) for child in children] == [0] * 3
    assert len(history.load().crashes) == 15
    assert len({crash.pid for crash in history.load().crashes}) == 15
