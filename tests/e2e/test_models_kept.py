"""What is on this machine: listed, verified, refused when it changed, removed, brought."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from hub import Hub
from hub_cli import DATA, FILE, MODEL, SIZE, as_json, in_cache, models
from models import BUNDLED_MODEL
from recurrent import write_random_mamba

from fimble import catalog, digests, installed
from fimble.errors import ModelCorrupt
from fimble.installed import Installed
from fimble.models import history
from fimble.models.history import Aside


def damage(path: Path, *, keep_time: bool) -> None:
    """Flip a bit in the middle, as a disk may."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(SIZE // 2)
        byte = file.read(1)[0]
        file.seek(SIZE // 2)
        file.write(bytes([byte ^ 1]))
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def fimble(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fimble", *args], capture_output=True, text=True, timeout=60, check=False
    )


def test_list_says_what_is_here_what_could_be_and_what_fits(hub: Hub) -> None:
    """Bundled, pulled and imported models first, then those of the catalog; each with licence, size and room."""
    as_json("pull", MODEL)
    as_json("import", str(BUNDLED_MODEL), "--name", "mine")
    listed = as_json("list")
    assert listed["chosen"] == "fimble-45m"
    kinds = [one["kind"] for one in listed["models"]]
    assert kinds == ["bundled", "imported", "pulled", *["catalog"] * len(catalog.load().model)]
    assert all(one["licence"] and one["size_mb"] and one["why"] for one in listed["models"])
    assert {one["fits"] for one in listed["models"]} <= {True, False}
    assert {one["put_aside"] for one in listed["models"]} == {""}
    damaged = Aside.of(
        "mine", BUNDLED_MODEL, digests.quick_digest(BUNDLED_MODEL), ModelCorrupt("It is ill.", "Heal it.")
    )
    history.set_aside(damaged)
    assert {one["name"] for one in as_json("list")["models"] if one["put_aside"] == "It is ill."} >= {"mine"}
    shown = models("list").stdout
    assert "Put aside" in shown
    assert "* " in shown
    assert "here, pulled" in shown


def test_verify_finds_one_flipped_bit_and_pull_mends_it(hub: Hub, home: Path) -> None:
    """A bit that a disk lost without a word is found by reading everything; the fix that is named works."""
    as_json("pull", MODEL)
    assert [one["ok"] for one in as_json("verify")] == [True, True]
    (path,) = in_cache(home)
    damage(path, keep_time=True)
    bad = {one["name"]: one for one in as_json("verify", status=1)}
    assert bad["fimble-45m"]["ok"]
    assert not bad["model-q8_0"]["ok"]
    assert "fimble models pull model-q8_0" in bad["model-q8_0"]["fix"]
    plain = models("verify", "model-q8_0")
    assert (plain.returncode, "wrong" in plain.stdout, "Fix:" in plain.stdout) == (1, True, True)
    # What it found is remembered: the next pull does not trust the file that looks as it did.
    assert as_json("pull", "model-q8_0")["fetched_bytes"] == SIZE
    assert in_cache(home)[0].read_bytes() == DATA


def test_an_engine_refuses_a_model_whose_bytes_changed(hub: Hub, home: Path) -> None:
    """A file that looks different is read whole before it is loaded, and refused with the fix; mended, it runs."""
    as_json("pull", MODEL)
    (path,) = in_cache(home)
    damage(path, keep_time=False)
    refused = fimble("engine", "start", "--model", "model-q8_0")
    assert refused.returncode == 1
    assert "is not the file that was recorded" in refused.stderr
    assert "fimble models pull model-q8_0" in refused.stderr
    assert "is not the file that was recorded" in models("use", "model-q8_0", "--anyway").stderr
    as_json("pull", "model-q8_0")
    assert fimble("engine", "start", "--model", "model-q8_0").returncode == 0


def test_an_engine_takes_a_file_that_was_only_touched(hub: Hub, home: Path) -> None:
    """A new time of change costs one reading of the file, and is then known."""
    as_json("pull", MODEL)
    (path,) = in_cache(home)
    os.utime(path)
    assert fimble("engine", "start", "--model", "model-q8_0").returncode == 0
    seen = json.loads((home / "state/fimble/checked.json").read_text())
    assert seen[str(path)][1] == path.stat().st_mtime_ns


def test_rm_takes_only_what_nobody_else_uses(hub: Hub, home: Path) -> None:
    """Another file that another program has in the same repository stays; what was freed is told."""
    hub.files["other.gguf"] = DATA[:3_000_000]
    as_json("pull", MODEL)
    as_json("pull", "hf:owner/model/other.gguf")
    installed.forget("other")  # for Fimble it is somebody else's now
    assert as_json("rm", "model-q8_0", "--yes") == {"name": "model-q8_0", "freed_bytes": SIZE}
    assert [path.name for path in in_cache(home)] == ["other.gguf"]
    assert {one["name"] for one in as_json("list")["models"] if one["path"]} == {"fimble-45m"}
    as_json("pull", "hf:owner/model/other.gguf")
    assert as_json("rm", "other", "--yes")["freed_bytes"] == 3_000_000
    assert list((home / "cache/huggingface/hub").glob("models--*")) == []


def test_rm_keeps_the_bundled_one_the_one_in_use_and_what_was_not_agreed_to(hub: Hub, home: Path) -> None:
    """Each refusal says why and changes nothing."""
    as_json("pull", MODEL)
    for args, says in [
        (("fimble-45m", "--yes"), "ships with Fimble"),
        (("nobody", "--yes"), "not on this machine"),
        (("model-q8_0",), "nobody to ask"),
    ]:
        done = models("rm", *args)
        assert (done.returncode, says in done.stderr, "Fix:" in done.stderr) == (1, True, True), done.stderr
    settings = home / "config/fimble/fimble.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('model = "model-q8_0"\n')
    done = models("rm", "model-q8_0", "--yes")
    assert (done.returncode, "is in use" in done.stderr) == (1, True)
    assert in_cache(home)[0].read_bytes() == DATA


def test_an_import_is_recorded_and_only_forgotten(home: Path, tmp_path: Path) -> None:
    """A GGUF of the user's is known with its checksum; removing it leaves the file where it is."""
    mine = tmp_path / "Mine.gguf"
    mine.write_bytes(DATA)
    brought = as_json("import", str(mine))
    assert brought["name"] == "mine"
    assert brought["sha256"] == catalog.load().bundled.sha256
    assert brought["warnings"] == []
    assert brought["probe"]["family"]
    assert as_json("verify", "mine")[0]["ok"]
    damage(mine, keep_time=True)
    assert f"fimble models import {mine}" in as_json("verify", "mine", status=1)[0]["fix"]
    assert as_json("rm", "mine", "--yes")["freed_bytes"] == 0
    assert mine.is_file()
    assert installed.read() == {}


def test_an_import_of_a_link_keeps_the_link_s_name(home: Path, tmp_path: Path) -> None:
    """The hub's cache, for one, has names only in links: a blob's is its checksum."""
    blob = tmp_path / ("53831d1d" * 8)
    blob.write_bytes(DATA)
    (tmp_path / "Named.gguf").symlink_to(blob)
    brought = as_json("import", str(tmp_path / "Named.gguf"))
    assert (brought["name"], brought["path"]) == ("named", str(tmp_path / "Named.gguf"))
    assert as_json("verify", "named")[0]["ok"]


def test_an_import_says_what_its_owner_should_know(home: Path, tmp_path: Path) -> None:
    """A licence that is not stated and a cache that cannot be cut are warnings, for people and as JSON."""
    path = tmp_path / "random.gguf"
    write_random_mamba(BUNDLED_MODEL, path)
    licence, cache = as_json("import", str(path))["warnings"]
    assert "licence is not stated" in licence
    assert "cannot be cut" in cache
    assert models("import", str(path)).stdout.count("Note:") == 2


def test_a_name_of_the_hub_s_is_not_taken_by_an_import(hub: Hub, tmp_path: Path) -> None:
    """Neither a pull nor an import takes the name of another model."""
    as_json("pull", MODEL)
    mine = tmp_path / FILE
    mine.write_bytes(DATA)
    done = models("import", str(mine))
    assert (done.returncode, "--name" in done.stderr) == (1, True)
    as_json("import", str(mine), "--name", "other")
    hub.files["other.gguf"] = DATA
    done = models("pull", "hf:owner/model/other.gguf")
    assert (done.returncode, "--name" in done.stderr) == (1, True)
    assert as_json("pull", "hf:owner/model/other.gguf", "--name", "third")["name"] == "third"
    # An import that had its name before the catalog had it.
    name = catalog.load().model[0].name
    installed.add(name, Installed(path=str(mine)))
    done = models("pull", name)
    assert (done.returncode, f"fimble models rm {name}" in done.stderr) == (1, True)
    assert installed.read()[name].path == str(mine)
