"""Every family of models: its markers are never text's, its answers end at them, and who only chats is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gguf
import pytest
from vocabularies import MISTRAL, QWEN, VOCABULARIES, Vocabulary, write_vocabulary

from fimble.engine.healing import Pieces, take_back
from fimble.engine.llama import Model
from fimble.engine.prompt import account, render_infill
from fimble.engine.wire import ExtraFile, InfillRequest
from fimble.errors import ModelNoFim
from fimble.suggest.markers import without_markers
from fimble.suggest.place import Place

#: Each family as files mark its tokens.  Of SentencePiece's, older ones mark none.
MARKED = [
    (name, kind)
    for name, vocabulary in VOCABULARIES.items()
    for kind in (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED, gguf.TokenType.NORMAL)
    if kind is not gguf.TokenType.NORMAL or vocabulary.kind == "llama"
]


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Model]:
    """Loads a model with a vocabulary."""

    def loaded(vocabulary: Vocabulary, marked: gguf.TokenType = gguf.TokenType.CONTROL) -> Model:
        return Model(write_vocabulary(vocabulary, tmp_path / "model.gguf", marked))

    return loaded


def prompt_markers(vocabulary: Vocabulary) -> list[str]:
    """The markers that the family's prompts are made of, and those that end its answers, as source spells them."""
    ends = ("<EOT>", "<|file_separator|>", "<|file_sep|>", "<file_sep>", "<|repo_name|>", "<repo_name>")
    spelled = [marker.replace("▁<", "<") for marker in vocabulary.markers]
    return [marker for marker in spelled if marker in vocabulary.prompt or marker in ends]


@pytest.mark.parametrize(("name", "marked"), MARKED)
def test_text_never_becomes_a_marker(name: str, marked: gguf.TokenType, load: Callable[..., Model]) -> None:
    """However a GGUF marks them: source that spells a family's markers gives none, and comes back from its tokens."""
    model = load(VOCABULARIES[name], marked)
    for marker in prompt_markers(VOCABULARIES[name]):
        for text in (marker, f"a{marker}b", f"x = {marker} {marker}\n", f" {marker}", marker * 3, f"\n{marker}"):
            for tokenize in (model.vocab.tokenize, model.vocab.tokenize_first):
                tokens = tokenize(text)
                assert not any(model.vocab.is_end(token) for token in tokens), f"{text!r} became {tokens}"
                assert b"".join(map(model.vocab.piece, tokens)).decode().lstrip(" ") == text.lstrip(" ")


@pytest.mark.parametrize(("name", "marked"), MARKED)
def test_an_answer_ends_at_every_marker(name: str, marked: gguf.TokenType, load: Callable[..., Model]) -> None:
    """A marker that the model writes ends the answer; none has bytes that healing could allow or a person see."""
    vocabulary = VOCABULARIES[name]
    model = load(vocabulary, marked)
    pieces = model.vocab.pieces()
    tokens = {model.vocab.text(token): token for token in range(model.vocab.size)}
    for marker in vocabulary.markers:
        if marker.replace("▁<", "<") in prompt_markers(vocabulary) and marker != vocabulary.bos:
            assert model.vocab.is_end(tokens[marker]), marker
            assert pieces[tokens[marker]] == b"", marker


@pytest.mark.parametrize("name", VOCABULARIES)
def test_no_marker_is_shown_to_a_person(name: str) -> None:
    """Spelled out token by token by a confused model, a marker ends what is shown; in a text about it, it may stand."""
    for marker in prompt_markers(VOCABULARIES[name]):
        assert without_markers(f"return a{marker}b", Place("x = 1\n", "")) == "return a"
        assert without_markers(f"return a{marker}b", Place(f"# {marker}\n", "")) == f"return a{marker}b"


def test_typed_text_gets_no_space_of_its_own(load: Callable[..., Model]) -> None:
    """SentencePiece puts a space before a text: before the prefix as in training, never before what goes on."""
    model = load(VOCABULARIES["codellama"])
    request = InfillRequest(input_prefix="def add(a", input_suffix="total", prompt="ret")
    prompt = render_infill(request, model.vocab, model.fim, 512)
    text = [model.vocab.piece(token) for token in prompt.tokens]
    assert b"".join(text) == b" def add(atotalret"
    # So the end of what was typed can be taken back and written anew.
    tokens, healing = take_back(prompt, "ret", model.vocab, Pieces(model.vocab))
    assert len(tokens) < len(prompt.tokens)
    assert healing.rest == b"ret"


@pytest.mark.parametrize("n_ctx", [256, 300, 512])
@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_prompt_fits_whatever_the_family(name: str, n_ctx: int, load: Callable[..., Model]) -> None:
    """Marks, spaces and markers are counted: prompt and answer together are never longer than the context."""
    model = load(VOCABULARIES[name])
    long = "total = sums(names)\n" * 90
    for size in range(0, 1800, 97):
        request = InfillRequest(
            input_prefix=long[:size],
            input_suffix=long[size:],
            prompt=long[: size // 3],
            filename="app/sums.py",
            repo_name="sums",
            input_extra=[ExtraFile(f"app/{n}.py", long[: size // 4]) for n in range(3)],
            n_predict=32,
        )
        prompt = render_infill(request, model.vocab, model.fim, n_ctx)
        assert len(prompt.tokens) + prompt.n_predict <= n_ctx
        # What people are told of its parts adds up.
        own = [model.vocab.bos, model.fim.prefix, model.fim.suffix, model.fim.middle]
        told = sum(part.tokens for part in account(request, model.vocab, model.fim, n_ctx))
        assert told + sum(marker is not None for marker in own) == len(prompt.tokens)


UNKNOWN = Vocabulary(
    "Somebody's model", "", ("<|endoftext|>", "<before>", "<after>", "<between>", "<repository>", "<path>"), pre="qwen2"
)


@pytest.mark.parametrize(
    "keys",
    [
        {"prefix_token_id": "<before>", "suffix_token_id": "<after>", "middle_token_id": "<between>"},
        {"fim_pre_token_id": "<before>", "fim_suf_token_id": "<after>", "fim_mid_token_id": "<between>"},
    ],
    ids=["older keys", "keys"],
)
@pytest.mark.parametrize("files", [{}, {"fim_rep_token_id": "<repository>", "fim_sep_token_id": "<path>"}])
def test_an_unknown_model_is_asked_with_the_tokens_that_it_names(
    keys: dict[str, str], files: dict[str, str], load: Callable[..., Model]
) -> None:
    """The GGUF's own words count, the present ones and those of 2024; the prefix comes first."""
    model = load(replace(UNKNOWN, keys={**keys, **files}))
    request = InfillRequest(input_prefix="x", input_suffix=" b", filename="a", repo_name="app")
    prompt = render_infill(request, model.vocab, model.fim, 512)
    texts = [model.vocab.text(token) for token in prompt.tokens]
    files_told = ["<repository>", "app", "Ċ", "<path>", "a", "Ċ"] if files else []
    assert texts == [*files_told, "<before>", "x", "<after>", "Ġb", "<between>"]


def test_what_a_file_names_counts_more_than_what_its_tokens_look_like(load: Callable[..., Model]) -> None:
    """A model whose makers chose other tokens than its vocabulary's usual ones gets those."""
    named = {"fim_pre_token_id": "<|im_start|>", "fim_suf_token_id": "<|im_end|>", "fim_mid_token_id": "<|fim_pad|>"}
    model = load(Vocabulary("Somebody's model", "", QWEN, pre="qwen2", keys=named))
    assert [model.vocab.text(token) for token in model.fim[:3] if token] == list(named.values())


def chat(name: str, markers: tuple[str, ...], kind: str = "gpt2") -> Vocabulary:
    eos = "</s>" if kind == "llama" else markers[0]
    return Vocabulary(name, "", markers, kind=kind, eos=eos, chat_template="{{ messages }}")


DEEPSEEK, CODEGEMMA = VOCABULARIES["deepseek-coder"].markers, VOCABULARIES["codegemma"].markers


@pytest.mark.parametrize(
    ("vocabulary", "reason"),
    [
        (chat("Meta Llama 3 8B Instruct", ("<|end_of_text|>", "<|eot_id|>")), "a chat model that .* no fill-in"),
        (replace(chat("GPT 2", ("<|endoftext|>",)), chat_template=""), "is a model that .* no fill-in"),
        (chat("Qwen3 8B", QWEN), "made to chat"),
        (chat("DeepSeek R1 Distill Qwen 7B", QWEN), "thoughts"),
        (chat("Deepseek Coder 6.7b Instruct", DEEPSEEK), "made to chat"),
        (chat("Codegemma 7b It", CODEGEMMA, "llama"), "made to chat"),
        (chat("Mistral 7B Instruct v0.3", MISTRAL, "llama"), "only Codestral"),
    ],
    ids=lambda value: value.name if isinstance(value, Vocabulary) else "",
)
def test_a_model_that_cannot_fill_in_is_refused_with_the_reason(
    vocabulary: Vocabulary, reason: str, load: Callable[..., Model]
) -> None:
    """Without tokens, or with tokens that it was not trained on: one sentence says which, the next what to do."""
    with pytest.raises(ModelNoFim, match=reason) as caught:
        load(vocabulary)
    assert "fimble models list" in caught.value.fix


@pytest.mark.parametrize(
    "vocabulary",
    [
        chat("Qwen2.5 Coder 7B Instruct", QWEN),
        chat("Qwen3 Coder 30B A3B Instruct", QWEN),
        chat("Qwen3 4B Base", QWEN),
        chat("Qwen3 4B FIM", QWEN),
        chat("Granite 4.0 Micro", VOCABULARIES["granite-4"].markers),
        chat("Deepseek Coder V2 Lite Instruct", DEEPSEEK),
        chat("CodeLlama 7b Instruct Hf", VOCABULARIES["codellama"].markers, "llama"),
        chat("Codestral 22B v0.1", MISTRAL, "llama"),
    ],
    ids=lambda value: value.name,
)
def test_a_model_that_chats_and_fills_in_is_taken(vocabulary: Vocabulary, load: Callable[..., Model]) -> None:
    """A chat template alone is no reason: these were trained on the tokens."""
    assert load(vocabulary).fim.prefix >= 0


def test_mellum_2_is_not_asked_like_the_first(load: Callable[..., Model]) -> None:
    """Nobody says that the second one has the suffix first, too."""
    model = load(replace(VOCABULARIES["mellum"], name="Mellum2 12B Base"))
    assert not model.vocab.layout.suffix_first
