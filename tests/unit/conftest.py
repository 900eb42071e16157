"""What the unit tests share: the bundled model, loaded once (20 ms), one whose answers never end, and broken copies."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from models import write_variant

from fimble import catalog
from fimble.engine.llama import Context, Model
from random_model import Shape, write_random_model

# No deadline per example: a busy machine is not a wrong result.  HYPOTHESIS_EXAMPLES=5000 searches longer.
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "100"))
hypothesis.settings.register_profile("fimble", deadline=None, max_examples=EXAMPLES)
hypothesis.settings.load_profile("fimble")


#: Where the tests may run; empty where that cannot be told.
CORES = os.sched_getaffinity(0) if sys.platform == "linux" else frozenset[int]()


def pytest_runtest_teardown() -> None:
    """llama.cpp keeps the thread that decodes on one core, and whatever later tests start would be kept there, too."""
    if CORES:
        os.sched_setaffinity(0, CORES)


@pytest.fixture(scope="session")
def bundled() -> Path:
    """The GGUF that ships with Fimble."""
    return catalog.resolve("")


@pytest.fixture(scope="session")
def model(bundled: Path) -> Model:
    """Its weights, through the real llama.cpp."""
    return Model(bundled)


@pytest.fixture(scope="session")
def endless(bundled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights with the bundled tokenizer: every answer is as long as it was asked to be."""
    path = tmp_path_factory.mktemp("models") / "endless.gguf"
    write_random_model(bundled, path, Shape(layers=4, width=256, feed_forward=512, heads=4, context=1024))
    return path


@pytest.fixture
def new_context(model: Model) -> Callable[..., Context]:
    """Makes a fresh KV cache with one compute thread, so that results do not depend on the machine."""

    def make(n_ctx: int = 1024, n_seq: int = 4, n_batch: int = 64) -> Context:
        return Context(model, n_ctx=n_ctx, n_seq=n_seq, n_batch=n_batch, threads=1, threads_batch=1)

    return make


@pytest.fixture
def new_gguf(bundled: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a copy of the bundled GGUF with some of its metadata left out or replaced."""

    def make(drop: Collection[str] = (), replace: Mapping[str, Any] | None = None) -> Path:
        path = tmp_path / "variant.gguf"
        write_variant(bundled, path, drop, replace)
        return path

    return make
