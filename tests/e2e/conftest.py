"""Real processes: engines, language servers, models."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from hub import Hub, running_hub
from hub_cli import DATA, FILE
from models import BUNDLED_MODEL
from window import NewClient, NewWindow, Window

from fimble.engine.client import EngineClient
from fimble.engine.launch import Launcher, settings_for
from fimble.settings import EngineConfig
from random_model import write_random_model


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """73 million random parameters: a long prompt takes seconds."""
    path = tmp_path_factory.mktemp("models") / "random-73m.gguf"
    write_random_model(BUNDLED_MODEL, path)
    return path


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one model, which every process that is started asks; its cache is in the test's home."""
    for name in list(os.environ):
        if name.startswith("HF_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with running_hub({FILE: DATA}) as started:
        monkeypatch.setenv("HF_ENDPOINT", started.hub_url)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "2")
        monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "2")
        yield started


@pytest.fixture
def patch_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has every Python that is started from now on run some code first, beside what earlier calls gave."""
    folder = tmp_path / "patches"

    def patch(code: str) -> None:
        folder.mkdir(exist_ok=True)
        with (folder / "sitecustomize.py").open("a") as file:  # Python reads this first
            file.write(code)
        monkeypatch.setenv("PYTHONPATH", str(folder))

    return patch


@pytest.fixture
def all_likely(patch_processes: Callable[[str], None]) -> None:
    """Lets every window that is started show whatever it finds: what is likely enough is another test's business."""
    patch_processes("from fimble.suggest.confidence import Confidence\nConfidence.of = lambda *_: 0.9\n")


@pytest.fixture
def without_any_model(patch_processes: Callable[[str], None]) -> None:
    """No window that is started finds a model, not even the bundled one."""
    patch_processes(
        "from fimble import catalog\n"
        "from fimble.errors import ModelNotFound\n"
        "def gone(model):\n"
        "    raise ModelNotFound(f'There is no model called {model}.', 'See `fimble models list`.')\n"
        "catalog.resolve = gone\n"
    )


@pytest.fixture
async def new_client(home: Path) -> AsyncIterator[NewClient]:
    """Makes clients, each like one window's; their engines end with the test's home."""
    clients: list[EngineClient] = []

    def make(model: Path = BUNDLED_MODEL, **config: Any) -> EngineClient:
        clients.append(EngineClient(Launcher(settings_for(model, EngineConfig(**config)))))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def new_window(home: Path, tmp_path: Path) -> AsyncIterator[NewWindow]:
    """Makes and starts windows on the folder ``project``."""
    folder = tmp_path / "project"
    folder.mkdir(exist_ok=True)
    windows: list[Window] = []

    async def make(
        *args: str, settings: dict[str, Any] | None = None, encoding: str = "utf-16", **options: Any
    ) -> Window:
        window = Window(folder, encoding, **options)
        windows.append(window)
        await window.start(*args, settings=settings)
        return window

    yield make
    await asyncio.gather(*(window.stop() for window in windows))
