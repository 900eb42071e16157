"""The exact prompt, token by token, for the bundled model.

A file in ``prompts/`` holds a request, the context's size, and the prompt as rows of (id, piece).  Control
tokens are written «prefix»; pieces are there for reading, the ids are what counts.  After an intended change
of models/PROMPT.md run ``pytest tests/golden --update-golden`` and read the difference.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fimble.engine.llama import FimTokens, Model, Vocab
from fimble.engine.prompt import Prompt, render_infill
from fimble.engine.wire import InfillRequest

FOLDER = Path(__file__).parent / "prompts"
CASES = sorted(FOLDER.glob("*.json"))
CUT = [path for path in CASES if path.stem.startswith("cut_")]
WHOLE = [path for path in CASES if path not in CUT]

Case = dict[str, Any]


def load(path: Path) -> tuple[Case, InfillRequest]:
    case: Case = json.loads(path.read_text("utf-8"))
    return case, msgspec.convert(case["request"], InfillRequest)


def readable(token: int, vocab: Vocab, fim: FimTokens) -> str:
    for name, control in fim._asdict().items():
        if token == control:
            return f"«{name}»"
    return vocab.piece(token).decode("utf-8", "backslashreplace")


def dump(case: Case, prompt: Prompt, model: Model) -> str:
    """The file's text: one token a line, so that a change is easy to read."""
    head = {**case, "n_predict": prompt.n_predict, "truncated": prompt.truncated}
    head.pop("tokens", None)
    rows = [json.dumps([token, readable(token, model.vocab, model.fim)], ensure_ascii=False) for token in prompt.tokens]
    start = json.dumps(head, ensure_ascii=False, indent=2).removesuffix("\n}")
    return start + ',\n  "tokens": [\n    ' + ",\n    ".join(rows) + "\n  ]\n}\n"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_request_gives_exactly_these_tokens(path: Path, model: Model, update_golden: bool) -> None:
    """Training and engine obey the same page: for this request the prompt is these ids and no others."""
    case, request = load(path)
    prompt = render_infill(request, model.vocab, model.fim, case["n_ctx"])
    if update_golden:
        path.write_text(dump(case, prompt, model), "utf-8")
        return
    assert [token for token, _ in case["tokens"]] == list(prompt.tokens)
    assert (case["n_predict"], case["truncated"]) == (prompt.n_predict, prompt.truncated)


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_the_file_itself_has_the_documented_layout(path: Path, model: Model) -> None:
    """The golden ids spell repository, snippets, file, prefix, suffix and middle in the order of models/PROMPT.md."""
    case, request = load(path)
    assert not case["truncated"]
    expected = f"«repo»{request.repo_name}\n" if request.repo_name else ""
    expected += "".join(f"«file»{extra.filename}\n{extra.text}\n" for extra in request.input_extra)
    expected += f"«file»{request.filename}\n" if request.filename else ""
    expected += f"«prefix»{request.input_prefix}«suffix»{request.input_suffix}«middle»{request.prompt}"
    assert spelled(case, model) == expected


@pytest.mark.parametrize("path", CUT, ids=lambda path: path.stem)
def test_a_prompt_that_is_cut_keeps_what_is_near_the_cursor(path: Path, model: Model) -> None:
    """Cut are the oldest snippets, the start of the prefix, the end of the suffix, the start of the typed text."""
    case, request = load(path)
    assert case["truncated"]
    head, _, rest = spelled(case, model).partition("«prefix»")
    prefix, _, rest = rest.partition("«suffix»")
    suffix, _, typed = rest.partition("«middle»")
    assert request.input_prefix.endswith(prefix)
    assert request.input_suffix.startswith(suffix)
    assert request.prompt.endswith(typed)
    snippets = [f"«file»{extra.filename}\n{extra.text}\n" for extra in request.input_extra]
    file = f"«file»{request.filename}\n" if request.filename else ""
    assert head in {"".join(snippets[first:]) + file for first in range(len(snippets) + 1)}
    assert len(case["tokens"]) + case["n_predict"] <= case["n_ctx"]


def spelled(case: Case, model: Model) -> str:
    """The golden ids as text, through the vocabulary and not through the pieces in the file."""
    controls = {control: f"«{name}»".encode() for name, control in model.fim._asdict().items()}
    return b"".join(controls.get(token) or model.vocab.piece(token) for token, _ in case["tokens"]).decode()


def test_the_pieces_are_those_of_the_ids(model: Model) -> None:
    """What a reader sees in a golden file is what its ids mean."""
    for path in CASES:
        for token, piece in load(path)[0]["tokens"]:
            assert piece == readable(token, model.vocab, model.fim)


def test_the_cases_are_there() -> None:
    """Every kind of request that models/PROMPT.md describes has a golden file."""
    assert {path.stem for path in CASES} >= {
        *("empty", "prefix_and_suffix", "typed", "filename", "repository", "marker_text", "odd_text"),
        *("cut_prefix", "cut_suffix", "cut_both", "cut_snippets", "cut_typed"),
    }
