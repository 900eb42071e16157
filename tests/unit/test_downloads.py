"""What a name means, what it costs to go on with a half file, and who imports the hub's library."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import COMMIT, Hub, running_hub

from fimble import catalog, installed
from fimble.errors import DownloadError, ModelNotFound
from fimble.installed import Installed
from fimble.models import licences
from fimble.models.downloads import transfer
from fimble.models.downloads.source import Source, find
from fimble.models.fitting import fit
from fimble.models.memory import room_for, rooms
from fimble.settings import Config

pytestmark = pytest.mark.usefixtures("home")

DATA = bytes(range(256)) * 4000


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub({"a.gguf": DATA}) as started:
        yield started


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr("fimble.models.downloads.transfer.time.sleep", waited.append)
    return waited


def receive(hub: Hub, part: Path, size_bytes: int = len(DATA)) -> list[int]:
    """Fetch the file; return how many bytes were there at each report."""
    seen: list[int] = []
    url = f"{hub.hub_url}/owner/model/resolve/{COMMIT}/a.gguf"
    transfer.receive(url, {}, part, size_bytes, lambda done, _: seen.append(done))
    return seen


def test_a_half_file_is_gone_on_with(hub: Hub, tmp_path: Path, pauses: list[float]) -> None:
    """What is there is not asked for, and what was reported is what is there."""
    part = tmp_path / "part"
    part.write_bytes(DATA[:100_001])
    seen = receive(hub, part)
    assert part.read_bytes() == DATA
    assert hub.served_bytes == len(DATA) - 100_001
    assert (seen == sorted(seen), seen[-1]) == (True, len(DATA))
    assert receive(hub, part) == []
    assert pauses == []


def test_a_file_that_is_too_long_is_begun_anew(hub: Hub, tmp_path: Path, pauses: list[float]) -> None:
    """What is longer than the model is something else."""
    part = tmp_path / "part"
    part.write_bytes(bytes(len(DATA) + 1))
    receive(hub, part)
    assert part.read_bytes() == DATA


def test_it_gives_up_when_nothing_more_comes(hub: Hub, tmp_path: Path, pauses: list[float]) -> None:
    """Five times in a row nothing, with longer and longer pauses; what came is kept for the next time."""
    import httpx2

    hub.cut_at = [500_000] * 10
    part = tmp_path / "part"
    with pytest.raises(httpx2.TransportError):
        receive(hub, part)
    assert part.read_bytes() == DATA[:500_000]
    assert pauses == [0.5, 0.5, 1.0, 2.0, 4.0, 8.0]


def test_it_does_not_give_up_while_something_comes(hub: Hub, tmp_path: Path, pauses: list[float]) -> None:
    """A line that breaks every second is slow, and arrives."""
    hub.cut_at = list(range(50_000, len(DATA), 50_000))
    receive(hub, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == DATA
    assert hub.served_bytes == len(DATA)


def test_somebody_who_is_not_there_is_not_waited_for(hub: Hub, tmp_path: Path, pauses: list[float]) -> None:
    """When the very first connection fails, the person hears it at once."""
    import httpx2

    hub.hub_url = "http://127.0.0.1:9"
    with pytest.raises(httpx2.ConnectError):
        receive(hub, tmp_path / "part")
    assert pauses == []


def test_more_than_was_said_is_not_taken(hub: Hub, tmp_path: Path, pauses: list[float]) -> None:
    """A server that sends more than the hub said sends something else."""
    import httpx2

    with pytest.raises(httpx2.TransportError):
        receive(hub, tmp_path / "part", size_bytes=1000)
    assert (tmp_path / "part").read_bytes() == b""


def test_what_a_name_means() -> None:
    """The catalog's models with their pins, also by their place on the hub; what was pulled; any other file there."""
    entry = catalog.load().model[0]
    source = find(entry.name)
    assert (source.name, source.sha256, source.revision) == (entry.name, entry.sha256, entry.revision)
    assert find(f"hf:{entry.repository}/{entry.file}") == source
    assert find("hf:o/r/folder/a.gguf") == Source("o/r", "folder/a.gguf")
    one = Installed(path="/a", origin="pulled", repository="o/r", file="a.gguf", revision=COMMIT, sha256="0" * 64)
    installed.add("a", one)
    assert find("a") == Source("o/r", "a.gguf", COMMIT, "a", "", "0" * 64)
    installed.add("mine", Installed(path="/mine.gguf"))
    with pytest.raises(DownloadError):
        find("mine")


@pytest.mark.parametrize(
    "text", ["", "hf:", "hf:a", "hf:a/b", "hf:a/b/c", "hf:a//c.gguf", "hf:a/b/./c.gguf", "hf:/b/c.gguf"]
)
def test_what_means_nothing(text: str) -> None:
    """Whatever is no name and no file of a repository is said to be so, with how to write it."""
    with pytest.raises(ModelNotFound) as caught:
        find(text)
    assert "hf:OWNER/REPOSITORY/FILE.gguf" in caught.value.fix


@pytest.mark.parametrize(
    ("licence", "says"),
    [("apache-2.0", ""), ("MIT", ""), (" Apache-2.0", ""), ("", "not stated"), ("qwen-research", "qwen-research")],
)
def test_what_is_said_of_a_licence(licence: str, says: str) -> None:
    """Only what is known to be permissive needs no word; the catalog is full of it."""
    warning = licences.warning(licence)
    assert says in warning
    assert bool(warning) == bool(says)


def test_every_licence_of_the_catalog_is_permissive() -> None:
    """No model is recommended that its owner must ask somebody about."""
    assert all(licences.is_permissive(entry.licence) for entry in catalog.load().model)


def test_of_a_model_in_the_catalog_everybody_says_what_fit_says() -> None:
    """`models list` and `models pull` go by the prediction; of a model that nobody knows its size decides."""
    room_of, entry = rooms(Config()), catalog.load().model[-1]
    (predicted,) = fit(Config(), names=[entry.name], measure=False).fits
    room = room_of(entry.name, entry.size_mb)
    assert room.fits == predicted.fits
    assert f"takes {predicted.memory_bytes / 1e9:.1f} GB" in room.why
    assert room_of("nobody-knows-it", 100.0) == room_for(100.0)


@pytest.mark.parametrize(("size_mb", "total_gb", "fits"), [(3000, 8, True), (4000, 8, False)])
def test_room(size_mb: float, total_gb: float, fits: bool) -> None:
    """Of unknown models the weights decide."""
    room = room_for(size_mb, int(total_gb * 1e9))
    assert room.fits == fits
    assert f"{total_gb:.1f}" in room.why


@pytest.mark.parametrize("wanted", ["lsp.features, fimble.lsp.run", "engine.server, fimble.engine.app", "cli.app"])
def test_nobody_who_completes_code_imports_the_hub(wanted: str) -> None:
    """Neither a window nor an engine, nor the command that starts them, loads what could ask the hub."""
    code = f"import sys, fimble.{wanted}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "fimble" in loaded
    assert not loaded & {"huggingface_hub", "httpx2", "hf_xet"}
