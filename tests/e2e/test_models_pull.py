"""Models from the hub: a server that behaves like it, and the command line as people run it."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import signal
import socket
import subprocess
import time
from pathlib import Path

import msgspec
import pytest
from hub import COMMIT, Hub
from hub_cli import DATA, FILE, MODEL, SIZE, as_json, command, in_cache, models
from waiting import until

from fimble import catalog, installed


def names() -> set[str]:
    """Of the models that can be used."""
    return {one.name for one in catalog.listing() if one.path}


def parts(home: Path) -> list[Path]:
    return sorted((home / "cache/huggingface/hub").glob("models--*/blobs/*.incomplete"))


def make_part(home: Path) -> Path:
    """Where a pull that was ended leaves what it had."""
    blobs = home / "cache/huggingface/hub/models--owner--model/blobs"
    blobs.mkdir(parents=True)
    return blobs / f"{hashlib.sha256(DATA).hexdigest()}.incomplete"


def test_a_model_is_fetched_checked_and_known(hub: Hub, home: Path) -> None:
    """It is in the hub's own cache, right to the last byte, known by its name, and an engine runs with it."""
    pulled = as_json("pull", MODEL)
    (path,) = in_cache(home)
    assert path.read_bytes() == DATA
    assert {key: pulled[key] for key in ("name", "path", "revision", "licence", "sha256_said_by")} == {
        "name": "model-q8_0",
        "path": str(path),
        "revision": COMMIT,
        "licence": "apache-2.0",
        "sha256_said_by": "hub",
    }
    assert pulled["fetched_bytes"] == hub.served_bytes == SIZE
    assert names() == {"fimble-7m", "model-q8_0"}
    started = subprocess.run(
        [*command()[:-1], "engine", "start", "--model", "model-q8_0", "--json"], capture_output=True, check=True
    )
    assert json.loads(started.stdout)["model_path"] == str(path)


def test_the_hub_hears_what_it_must_and_nobody_else_anything(hub: Hub) -> None:
    """The token goes to the hub and not to its content network; there is no telemetry, and no question twice."""
    as_json("pull", MODEL)
    asked = [(one.host, one.method, one.path.partition("?")[0]) for one in hub.requests]
    file = f"/owner/model/resolve/{COMMIT}/{FILE}"
    assert asked == [
        ("hub", "HEAD", f"/owner/model/resolve/main/{FILE}"),
        ("hub", "GET", "/api/models/owner/model"),
        ("hub", "GET", file),
        ("content", "GET", f"/{FILE}"),
        ("hub", "HEAD", file),
    ]
    assert {one.headers.get("authorization") for one in hub.sent("hub")} == {"Bearer hf_secret"}
    assert {one.headers.get("authorization") for one in hub.sent("content")} == {None}
    assert all(one.headers["user-agent"].startswith("fimble/") for one in hub.requests)
    assert not any(
        "torch" in one.headers["user-agent"] or "agent/" in one.headers["user-agent"] for one in hub.requests
    )


def test_what_is_here_is_not_fetched_again(hub: Hub) -> None:
    """A second pull asks nobody, and says that the model is here."""
    as_json("pull", MODEL)
    before = len(hub.requests)
    hub.status = 500
    again = as_json("pull", MODEL)
    assert (again["fetched_bytes"], again["sha256_said_by"]) == (0, "record")
    assert as_json("pull", "model-q8_0")["path"] == again["path"]
    assert len(hub.requests) == before


def test_a_connection_that_breaks_off_is_gone_on_with(hub: Hub, home: Path) -> None:
    """Cut twice, the file arrives whole, and no byte is sent twice."""
    hub.cut_at = [2_000_000, 5_000_000]
    as_json("pull", MODEL)
    assert in_cache(home)[0].read_bytes() == DATA
    assert [one.headers.get("range") for one in hub.sent("content")] == [None, "bytes=2000000-", "bytes=5000000-"]
    assert hub.served_bytes == SIZE


def test_a_server_without_ranges_sends_all_again(hub: Hub, home: Path) -> None:
    """Where something on the way does not know ranges, the beginning is not mixed with another beginning."""
    hub.ranges = False
    hub.cut_at = [3_000_000]
    as_json("pull", MODEL)
    assert in_cache(home)[0].read_bytes() == DATA
    assert hub.served_bytes == 3_000_000 + SIZE


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_whatever_ends_a_pull_the_next_one_goes_on(hub: Hub, home: Path, how: signal.Signals) -> None:
    """Ended in the middle, nothing is to be found but a part; the next pull asks for the rest alone."""
    hub.pause_s = 0.02
    process = subprocess.Popen(command("pull", MODEL), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    until(lambda: hub.served_bytes > SIZE // 3, "a third of the model")
    process.send_signal(how)
    said = process.communicate(timeout=30)[1]
    if how == signal.SIGINT:
        assert (process.returncode, "goes on where it stopped" in said) == (130, True)
    assert "Traceback" not in said
    assert in_cache(home) == []
    assert "model-q8_0" not in names()
    (part,) = parts(home)
    had = part.stat().st_size
    assert had > 0
    assert part.read_bytes() == DATA[:had]
    hub.pause_s = 0.0
    pulled = as_json("pull", MODEL)
    assert hub.sent("content")[-1].headers["range"] == f"bytes={had}-"
    assert pulled["fetched_bytes"] == hub.sent("content")[-1].served_bytes == SIZE - had
    assert in_cache(home)[0].read_bytes() == DATA
    assert parts(home) == []


def test_wrong_bytes_are_never_found(hub: Hub, home: Path) -> None:
    """A file that is not what the hub promised is deleted with one clear sentence; the right one comes after it."""
    hub.wrong_bytes = True
    done = models("pull", MODEL)
    assert done.returncode == 1
    assert "is not that file" in done.stderr
    assert "Fix:" in done.stderr
    assert (in_cache(home), parts(home), names()) == ([], [], {"fimble-7m"})
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
    assert (in_cache(home), parts(home), names()) == ([], [], {"fimble-7m"})


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
    assert names() == {"fimble-7m", "model-q8_0"}
    assert as_json("verify", "model-q8_0")[0]["ok"]


def test_what_another_program_fetched_is_taken_from_the_cache(
    hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine without a network, a file that is in the hub's cache is checked and known; a wrong one goes."""
    path = Path(as_json("pull", MODEL)["path"])
    installed.forget("model-q8_0")
    refs = path.parents[2] / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT)  # as huggingface_hub leaves it
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pulled = as_json("pull", MODEL, "--yes")
    assert (pulled["path"], pulled["fetched_bytes"], pulled["sha256_said_by"]) == (str(path), 0, "hub")
    installed.forget("model-q8_0")
    path.write_bytes(DATA[:-1] + b"?")
    assert "is not that file" in models("pull", MODEL, "--yes").stderr
    assert not path.exists()
    assert "HF_HUB_OFFLINE" in models("pull", MODEL, "--yes").stderr


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
        ("fimble-7m", "ships with Fimble"),
    ],
)
def test_what_cannot_be_fetched_is_said_before_anybody_is_asked(hub: Hub, model: str, says: str) -> None:
    """A name that means nothing, a part of a model and the bundled one need no network to be refused."""
    done = models("pull", model)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Fix:" in done.stderr
    assert hub.requests == []


def test_two_at_once_fetch_it_once(hub: Hub, home: Path) -> None:
    """A second pull of the same file waits for the first, and both end with it."""
    hub.pause_s = 0.01
    pulls = [subprocess.Popen(command("pull", MODEL, "--json"), stdout=subprocess.PIPE) for _ in range(2)]
    said = [json.loads(pull.communicate(timeout=60)[0]) for pull in pulls]
    assert {one["path"] for one in said} == {str(in_cache(home)[0])}
    assert hub.served_bytes == SIZE


def test_somebody_who_watches_sees_bytes_speed_and_time(hub: Hub) -> None:
    """On a terminal there is a bar with what is there, how fast it comes and for how long; elsewhere there is none."""
    hub.pause_s = 0.01
    main, terminal = pty.openpty()
    process = subprocess.Popen(command("pull", MODEL), stdout=subprocess.DEVNULL, stderr=terminal)
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(main, 4096)
        except OSError:  # the other end is closed
            break
        shown += piece
    os.close(main)
    assert process.wait(timeout=30) == 0
    text = shown.decode()
    assert "/8.3 MB" in text
    assert "MB/s" in text
    assert "0:00:0" in text
    assert "Checking" in text
    assert models("pull", MODEL, "--json").stderr == ""
