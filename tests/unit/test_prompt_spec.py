"""models/PROMPT.md is true: its examples are what the engine renders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fimble import catalog
from fimble.engine.llama import Model
from fimble.engine.prompt import render_infill
from fimble.engine.wire import InfillRequest

_SPECIFICATION = Path(__file__).resolve().parents[2] / "models" / "PROMPT.md"
_EXAMPLES: list[dict[str, Any]] = [
    msgspec.json.decode(block)
    for block in re.findall(r"```json\n(.*?)```", _SPECIFICATION.read_text("utf-8"), re.DOTALL)
]


def test_the_page_has_its_examples() -> None:
    """The examples were found; a renamed fence must not silently check nothing."""
    assert len(_EXAMPLES) == 4


@pytest.mark.parametrize("example", _EXAMPLES, ids=lambda example: ",".join(example["request"]))
def test_examples_are_what_the_engine_renders(example: dict[str, Any]) -> None:
    """Each request on the page gives exactly the token list that stands below it."""
    model = Model(catalog.resolve(""))
    request = msgspec.convert(example["request"], InfillRequest)
    assert list(render_infill(request, model.vocab, model.fim, 512).tokens) == example["tokens"]
