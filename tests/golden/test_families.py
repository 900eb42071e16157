"""The exact prompt of every family, token by token, through the real tokenizer of llama.cpp.

``families/NAME.txt`` shows what a model of that family is asked in each of the cases below: every token's id and its
text, a control token in «», a new line for each line of the prompt.  After an intended change of models/PROMPT.md run
``pytest tests/golden --update-golden`` and read the difference.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from vocabularies import VOCABULARIES, Vocabulary, write_vocabulary

from fimble.engine.llama import Model
from fimble.engine.prompt import render_infill
from fimble.engine.wire import ExtraFile, InfillRequest

FOLDER = Path(__file__).parent / "families"
PREFIX, SUFFIX = "import os\ndef add(a, b):\n", "\ntotal = 1\n"


def cases(vocabulary: Vocabulary) -> dict[str, InfillRequest]:
    """What is asked; the last case is source that spells the markers of the family."""
    spelled = [_written(marker).strip() for marker in vocabulary.markers]
    last = max(spelled, key=vocabulary.prompt.rfind)
    return {
        "prefix and suffix alone": InfillRequest(input_prefix=PREFIX, input_suffix=SUFFIX),
        "the file's name": InfillRequest(input_prefix=PREFIX, input_suffix=SUFFIX, filename="app/sums.py"),
        "nothing behind the cursor": InfillRequest(input_prefix=PREFIX, filename="app/sums.py"),
        "typed since the anchor": InfillRequest(input_prefix=PREFIX, input_suffix=SUFFIX, prompt="    ret"),
        "two snippets and a repository": InfillRequest(
            input_prefix=PREFIX,
            input_suffix=SUFFIX,
            prompt="    return a",
            filename="app/sums.py",
            repo_name="sums",
            input_extra=[ExtraFile("app/names.py", "names = 1"), ExtraFile("app/x.py", "x = 1\n")],
        ),
        "source that spells the markers": InfillRequest(
            input_prefix=f"# {' '.join(spelled)}\n",
            input_suffix=last,
            prompt=f"x = {last}",
            filename=f"{last}.py",
            repo_name=last,
            input_extra=[ExtraFile(f"{last}.py", last)],
        ),
    }


def _written(marker: str) -> str:
    """A marker as its makers write it: of SentencePiece's, the low line is a space."""
    return marker.replace("▁<", " <")


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Model]:
    """Loads a model of each family once."""
    folder = tmp_path_factory.mktemp("families")
    loaded: dict[str, Model] = {}

    def load(name: str) -> Model:
        if name not in loaded:
            loaded[name] = Model(write_vocabulary(VOCABULARIES[name], folder / f"{name}.gguf"))
        return loaded[name]

    return load


def shown(model: Model, request: InfillRequest) -> str:
    """The tokens of a prompt for people: a line of the prompt a line."""
    lines = [""]
    for token in render_infill(request, model.vocab, model.fim, 2048).tokens:
        if model.vocab.is_end(token) or token == model.vocab.bos:
            lines.append(f"{token} «{model.vocab.text(token)}»")
            continue
        piece = model.vocab.piece(token).decode("utf-8", "backslashreplace")
        lines[-1] += f" {token} {json.dumps(piece, ensure_ascii=False)}"
        if piece.endswith("\n"):
            lines.append("")
    return "\n".join(line.strip() for line in lines if line.strip())


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_family_is_asked_exactly_this(name: str, family: Callable[[str], Model], update_golden: bool) -> None:
    """For these requests a model of this family gets these ids and no others."""
    model = family(name)
    vocabulary = VOCABULARIES[name]
    found = [f"== {case}\n{shown(model, request)}\n" for case, request in cases(vocabulary).items()]
    text = f"{vocabulary.name}: {vocabulary.prompt}\n\n" + "\n".join(found)
    path = FOLDER / f"{name}.txt"
    if update_golden:
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text


def spelled(model: Model, request: InfillRequest) -> str:
    """A prompt's ids as text, control tokens as their makers write them."""
    vocab = model.vocab
    tokens = render_infill(request, vocab, model.fim, 2048).tokens
    is_control = {token: vocab.is_end(token) or token == vocab.bos for token in tokens}
    return "".join(
        _written(vocab.text(token)) if is_control[token] else vocab.piece(token).decode() for token in tokens
    )


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_prompt_is_what_its_makers_show(name: str, family: Callable[[str], Model]) -> None:
    """Without files, a prompt is the one in the family's card or paper, to the space; typed text begins the middle."""
    expected = VOCABULARIES[name].prompt.format(prefix=PREFIX, suffix=SUFFIX)
    for typed in ("", "    ret"):
        request = InfillRequest(input_prefix=PREFIX, input_suffix=SUFFIX, prompt=typed)
        assert spelled(family(name), request) == expected + typed


#: With a repository and another file: its path and text, and the path of the current one.
REPOSITORY = {
    "qwen2.5-coder": "<|repo_name|>{repo}\n<|file_sep|>{path}\n{text}\n<|file_sep|>{own}\n"
    "<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>",
    "starcoder2": "<repo_name>{repo}<file_sep>{path}\n{text}\n"
    "<file_sep><fim_prefix>{own}\n{prefix}<fim_suffix>{suffix}<fim_middle>",
    "granite-4": "<|fim_prefix|>{path}\n{text}\n{prefix}<|fim_suffix|>{suffix}<|fim_middle|>",
    "stable-code": "<fim_prefix>{path}\n{text}\n{prefix}<fim_suffix>{suffix}<fim_middle>",
    "deepseek-coder": "<｜begin▁of▁sentence｜><｜fim▁begin｜>#{path}\n{text}\n#{own}\n{prefix}"
    "<｜fim▁hole｜>{suffix}<｜fim▁end｜>",
    "codellama": "<s> <PRE> {path}\n{text}\n{prefix} <SUF>{suffix} <MID>",
    "codegemma": "<s><|fim_prefix|>{path}\n{text}\n{prefix}<|fim_suffix|>{suffix}<|fim_middle|>",
    "codestral": "<s>[SUFFIX]{suffix}[PREFIX] +++++ {path}\n{text}\n+++++ {own}\n{prefix}",
    "seed-coder": "<[begin▁of▁sentence]><[fim-suffix]>{suffix}<[fim-prefix]>{path}\n{text}\n{prefix}<[fim-middle]>",
    "mellum": "<filename>{path}\n{text}\n<filename>{own}\n<fim_suffix>{suffix}<fim_prefix>{prefix}<fim_middle>",
}
REPOSITORY["qwen3-coder"] = REPOSITORY["qwen2.5-coder"]


@pytest.mark.parametrize("name", VOCABULARIES)
def test_other_files_stand_where_the_family_has_them(name: str, family: Callable[[str], Model]) -> None:
    """By tokens where the family has some, by its mark, or plainly at the beginning of the prefix."""
    path, text = "app/names.py", "names = 1"
    request = InfillRequest(
        input_prefix=PREFIX,
        input_suffix=SUFFIX,
        filename="app/sums.py",
        repo_name="sums",
        input_extra=[ExtraFile(path, text)],
    )
    expected = REPOSITORY[name].format(
        repo="sums", path=path, text=text, own="app/sums.py", prefix=PREFIX, suffix=SUFFIX
    )
    assert spelled(family(name), request) == expected


def test_every_family_of_the_specification_is_here() -> None:
    """models/PROMPT.md names no family that has no golden file, and there is none that it does not name."""
    text = (Path(__file__).parents[2] / "models" / "PROMPT.md").read_text("utf-8")
    table = text.partition("## The families")[2].partition("\n## ")[0]
    named = {line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| `")}
    assert {f"`{name}`" for name in VOCABULARIES} == named
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(VOCABULARIES)
