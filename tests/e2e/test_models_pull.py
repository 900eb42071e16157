"""Models from the hub: a server that behaves like it, and the command line as people run it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
from hub import COMMIT, Hub
from hub_cli import DATA, FILE, MODEL, SIZE, as_json, command, in_cache, models, names, parts
from waiting import until

from fimble import installed


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
    assert names() == {"fimble-45m", "model-q8_0"}
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
    until(lambda: any(part.stat().st_size > 1_000_000 for part in parts(home)), "the first megabyte")
    process.send_signal(how)
    said = process.communicate(timeout=30)[1]
    if how == signal.SIGINT:
        assert (process.returncode, "goes on where it stopped" in said) == (130, True)
    assert "Traceback" not in said
    assert in_cache(home) == []
    assert "model-q8_0" not in names()
    (part,) = parts(home)
    had = part.stat().st_size
    assert 0 < had < SIZE
    assert part.read_bytes() == DATA[:had]
    hub.pause_s = 0.0
    pulled = as_json("pull", MODEL)
    assert hub.sent("content")[-1].headers["range"] == f"bytes={had}-"
    assert pulled["fetched_bytes"] == hub.sent("content")[-1].served_bytes == SIZE - had
    assert in_cache(home)[0].read_bytes() == DATA
    assert parts(home) == []


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
    assert f"/{SIZE / 1e6:.1f} MB" in text
    assert "MB/s" in text
    assert "0:00:0" in text
    assert "Checking" in text
    assert models("pull", MODEL, "--json").stderr == ""
