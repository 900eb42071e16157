"""Models that do not come: why is one sentence with its fix, and nothing is half there."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import msgspec
import pytest
from hub import COMMIT, Hub
from hub_cli import DATA, FILE, MODEL, SIZE, as_json, in_cache, make_part, models, names, parts

from fimble import catalog, installed


def test_wrong_bytes_are_never_found(hub: Hub, home: Path) -> None:
    """A file that is not what the hub promised is deleted with one clear sentence; the right one comes after it."""
    hub.wrong_bytes = True
    done = models("pull", MODEL)
    assert done.returncode == 1
    assert "is not that file" in done.stderr
    assert "Fix:" in done.stderr
    assert (in_cache(home), parts(home), names()) == ([], [], {"fimble-45m"})
    hub.wrong_bytes = False
    assert as_json("pull", MODEL)["fetched_bytes"] == SIZE


def test_a_part_of_something_else_is_found_out(hub: Hub, home: Path) -> None:
    """A half file whose beginning is damaged does not become a model, and does not stay in the way."""
    make_part(home).write_bytes(bytes(4_000_000))
    assert "is not that file" in models("pull", MODEL).stderr
    assert as_json("pull", MODEL)["fetched_bytes"] == SIZE


def test_the_catalog_s_checksum_is_asked_for_before_the_first_byte(hub: Hub, home: Path) -> None:
    """Where the hub offers another file than the catalog knows, nothing is fetched."""
    entry = next(entry for entry in catalog.load().model if entry.sha256 and entry.revision)
    hub.repository, hub.commit, hub.files = entry.repository, entry.revision, {entry.file: DATA}
    done = models("pull", entry.name)
    assert done.returncode == 1
    assert entry.sha256[:12] in done.stderr
    assert hub.served_bytes == 0
    # It says it is the right one, and is not.
    hub.etag = entry.sha256
    done = models("pull", entry.name)
    assert "is not that file" in done.stderr
    assert (in_cache(home), parts(home), names()) == ([], [], {"fimble-45m"})


@pytest.mark.parametrize(
    ("where", "status", "headers", "says", "fix"),
    [
        ("hub", 401, {}, "does not know your token", "HF_TOKEN"),
        ("hub", 401, {"X-Error-Code": "RepoNotFound"}, "none, or it is private", "HF_TOKEN"),
        ("hub", 403, {}, "does not allow you", "HF_TOKEN"),
        ("hub", 403, {"X-Error-Code": "GatedRepo"}, "want to be asked", "https://huggingface.co/owner/model"),
        ("hub", 404, {"X-Error-Code": "EntryNotFound"}, f"no file {FILE}", "/tree/main"),
        ("hub", 429, {"Retry-After": "37"}, "fewer requests", "in 37 seconds"),
        ("hub", 503, {}, "out of order (status 503)", "goes on working"),
        ("hub", 200, {}, "does not answer as the hub does", "HF_ENDPOINT"),
        ("content", 403, {}, "does not allow you", "HF_TOKEN"),
        ("content", 429, {"Retry-After": "37"}, "fewer requests", "in 37 seconds"),
        ("content", 500, {}, "out of order (status 500)", "goes on where it stopped"),
    ],
)
def test_a_refusal_is_one_sentence_with_its_fix(
    hub: Hub, home: Path, where: str, status: int, headers: dict[str, str], says: str, fix: str
) -> None:
    """Whatever the hub answers, a person reads what it means and what to do, and nothing is half there."""
    setattr(hub, "status" if where == "hub" else "content_status", status)
    hub.headers = headers
    done = models("pull", MODEL)
    assert done.returncode == 1
    error, _, how = done.stderr.partition("Fix:")
    assert says in error
    assert fix in how
    assert "Traceback" not in done.stderr
    assert in_cache(home) == []


@pytest.mark.parametrize("reason", ["nobody listens", "HF_HUB_OFFLINE", "nobody answers"])
def test_offline_says_so_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """Without a network a pull ends in seconds with one sentence, and what is installed goes on working."""
    as_json("pull", MODEL)
    if reason == "HF_HUB_OFFLINE":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    elif reason == "nobody answers":
        hub.is_silent = True
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    began = time.monotonic()
    done = models("pull", "qwen2.5-coder-0.5b")
    assert time.monotonic() - began < 20
    assert done.returncode == 1
    assert "What is installed goes on working." in done.stderr
    assert as_json("pull", MODEL)["fetched_bytes"] == 0
    assert names() == {"fimble-45m", "model-q8_0"}
    assert as_json("verify", "model-q8_0")[0]["ok"]


def test_a_commit_that_is_gone_is_not_needed_where_the_checksum_is_known(hub: Hub) -> None:
    """A repository that was made anew still has the file that was recorded; for another one that is no excuse."""
    as_json("pull", MODEL)
    one = installed.read()["model-q8_0"]
    installed.add("model-q8_0", msgspec.structs.replace(one, path="/gone.gguf", revision="f" * 40))
    assert as_json("pull", "model-q8_0")["revision"] == COMMIT
    installed.add("model-q8_0", msgspec.structs.replace(one, path="/gone.gguf", revision="f" * 40, sha256=""))
    done = models("pull", "model-q8_0")
    assert (done.returncode, "no longer has the commit" in done.stderr) == (1, True)


def test_a_cache_that_cannot_be_written_to_is_named(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the hub's cache cannot be, the person reads which folder it is and what to set."""
    (home / "file").write_text("no folder")
    monkeypatch.setenv("HF_HOME", str(home / "file" / "hf"))
    done = models("pull", MODEL)
    assert done.returncode == 1
    assert str(home / "file") in done.stderr
    assert "HF_HOME" in done.stderr


def test_a_file_that_cannot_fit_is_not_begun(hub: Hub) -> None:
    """A model larger than the disk is refused before its first byte, with both sizes."""
    hub.linked_size = 10**15
    done = models("pull", MODEL)
    assert done.returncode == 1
    assert "1000000.2 GB are needed" in done.stderr
    assert "HF_HOME" in done.stderr
    assert hub.served_bytes == 0


def test_a_disk_that_fills_up_is_named(hub: Hub, home: Path) -> None:
    """When writing fails because nothing is left, the person is told so, and nothing is half there.

    The part is a link to /dev/full, on which the kernel answers every write as a full disk does.
    """
    part = make_part(home)
    part.symlink_to("/dev/full")
    done = models("pull", MODEL)
    assert done.returncode == 1
    assert "is full" in done.stderr
    assert "Make room" in done.stderr
    assert in_cache(home) == []
    part.unlink()
    assert as_json("pull", MODEL)["fetched_bytes"] == SIZE


@pytest.mark.parametrize("licence", ["", "cc-by-nc-4.0"])
def test_a_licence_that_is_not_permissive_is_agreed_to(hub: Hub, licence: str) -> None:
    """With nobody to ask nothing is fetched; --yes is an answer."""
    hub.licence = licence
    done = models("pull", MODEL)
    assert done.returncode == 1
    assert "--yes" in done.stderr
    assert hub.served_bytes == 0
    assert as_json("pull", MODEL, "--yes")["licence"] == licence


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("hf:owner/model/big-00001-of-00003.gguf", "one of 3 parts"),
        ("hf:owner/model", "names no GGUF file"),
        ("hf:owner/model/../x.gguf", "names no GGUF file"),
        ("nobody-knows", "no model called"),
        ("fimble-45m", "ships with Fimble"),
    ],
)
def test_what_cannot_be_fetched_is_said_before_anybody_is_asked(hub: Hub, model: str, says: str) -> None:
    """A name that means nothing, a part of a model and the bundled one need no network to be refused."""
    done = models("pull", model)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Fix:" in done.stderr
    assert hub.requests == []
