"""Golden files: what they hold is compared, and rewritten by ``pytest tests/golden --update-golden``."""

from __future__ import annotations

import pytest

from fimble import catalog
from fimble.engine.llama import Model


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the switch.  pytest sees it when tests/golden is named on the command line."""
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the golden files instead of comparing with them"
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--update-golden", default=False))


@pytest.fixture(scope="session")
def model() -> Model:
    """The bundled model: its vocabulary is the one that the golden ids belong to."""
    return Model(catalog.resolve(""))
