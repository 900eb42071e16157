"""The prompt: always within the context, stable while one types, and no text can forge a control token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble import catalog
from fimble.engine.llama import FimTokens, Model
from fimble.engine.prompt import Prompt, account, render_completion, render_infill
from fimble.engine.wire import CompletionRequest, ExtraFile, InfillRequest

#: Loaded once for every example: hypothesis and function fixtures do not mix.
MODEL = Model(catalog.resolve(""))
VOCAB, FIM = MODEL.vocab, MODEL.fim

MARKERS = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>", "<|file_sep|>", "<|repo_name|>")

pieces = st.sampled_from(
    (*MARKERS, "x", " = ", "\n", "\r\n", "\f", "\0", "é", "😀", "\ud83d", "return ", "a = 1\n" * 40)
)
texts = st.lists(pieces, max_size=12).map("".join)
contexts = st.sampled_from((256, 257, 300, 511, 512, 2048))
predictions = st.sampled_from((0, 1, 16, 64, 100, 1024, -1))
extras = st.lists(st.builds(ExtraFile, filename=texts, text=texts), max_size=4)


def infill(**values: object) -> InfillRequest:
    return InfillRequest(**values)  # type: ignore[arg-type]


requests = st.builds(
    InfillRequest,
    input_prefix=texts,
    input_suffix=texts,
    input_extra=extras,
    prompt=texts,
    n_predict=predictions,
    filename=texts,
    repo_name=texts,
)


def render(request: InfillRequest, n_ctx: int = 512, fim: FimTokens = FIM) -> Prompt:
    return render_infill(request, VOCAB, fim, n_ctx)


@given(requests, contexts)
def test_a_prompt_and_its_answer_always_fit(request: InfillRequest, n_ctx: int) -> None:
    """Whatever is asked, prompt and answer together are never longer than the context."""
    prompt = render(request, n_ctx)
    assert len(prompt.tokens) + prompt.n_predict <= n_ctx
    if request.n_predict >= 0:
        assert prompt.n_predict <= request.n_predict
    else:  # as in llama-server: as much as there is room for
        assert prompt.n_predict > 0


@given(requests, contexts)
def test_what_a_prompt_is_made_of_adds_up(request: InfillRequest, n_ctx: int) -> None:
    """The parts that people are told of are all of the prompt but its markers, and name what was left out."""
    prompt = render(request, n_ctx)
    parts = account(request, VOCAB, FIM, n_ctx)
    markers = 3 + (VOCAB.bos is not None)
    assert sum(part.tokens for part in parts) + markers == len(prompt.tokens)
    assert [part.name for part in parts if part.part == "snippet"] == [extra.filename for extra in request.input_extra]
    assert all(part.tokens >= 0 and part.left_out >= 0 for part in parts)
    if any(part.left_out for part in parts):
        assert prompt.truncated


@pytest.mark.parametrize("n_ctx", [256, 512])
@pytest.mark.parametrize("typed", [0, 330, 2000])
def test_a_long_file_name_fits_too(n_ctx: int, typed: int) -> None:
    """A path of a thousand folders, which an untitled or generated file can have, does not burst the context."""
    request = infill(filename="folder/" * 1000 + "a.py", input_prefix="x = 1\n" * 200, prompt="y " * typed)
    prompt = render(request, n_ctx)
    assert len(prompt.tokens) + prompt.n_predict <= n_ctx


@given(requests, contexts)
def test_text_cannot_forge_a_control_token(request: InfillRequest, n_ctx: int) -> None:
    """Prefix, suffix and middle appear once each and in this order; source that spells them is just text."""
    tokens = render(request, n_ctx).tokens
    controls = [token for token in tokens if token in (FIM.prefix, FIM.suffix, FIM.middle)]
    assert controls == [FIM.prefix, FIM.suffix, FIM.middle]
    assert tokens.count(FIM.file or -1) <= len(request.input_extra) + 1
    assert tokens.count(FIM.repo or -1) <= 1
    allowed = {FIM.prefix, FIM.suffix, FIM.middle, FIM.file, FIM.repo}
    assert [token for token in tokens if VOCAB.is_end(token) and token not in allowed] == []


@pytest.mark.parametrize("marker", MARKERS)
def test_a_marker_is_plain_tokens(marker: str) -> None:
    """The text of a control token comes back from its tokens as text."""
    tokens = VOCAB.tokenize(marker)
    assert not any(VOCAB.is_end(token) for token in tokens)
    assert b"".join(VOCAB.piece(token) for token in tokens).decode() == marker


typing = st.lists(st.sampled_from(("a", "bc", " ", "(", "\n    ", "return", "😀", "<|fim_middle|>")), max_size=40)


@given(texts, texts, extras, typing, st.sampled_from((0, 16, 64)), st.sampled_from((512, 2048)))
def test_typing_changes_only_the_end(
    prefix: str, suffix: str, extra: list[ExtraFile], keys: list[str], n_predict: int, n_ctx: int
) -> None:
    """As long as the middle stays within its quarters of the context, a key changes nothing before the middle."""
    quarter = n_ctx // 4
    before: dict[int, tuple[int, ...]] = {}
    for size in range(len(keys) + 1):
        typed = "".join(keys[:size])
        tokens = render(
            infill(
                input_prefix=prefix,
                input_suffix=suffix,
                input_extra=extra,
                prompt=typed,
                n_predict=n_predict,
                filename="a.py",
            ),
            n_ctx,
        ).tokens
        at = tokens.index(FIM.middle) + 1
        assert tokens[at:] == VOCAB.tokenize(typed)
        quarters = -(-(len(tokens) - at + n_predict) // quarter)
        assert before.setdefault(quarters, tokens[:at]) == tokens[:at]


@given(texts, texts, texts, st.sampled_from((0, 16, 64)))
def test_what_fits_is_not_cut(prefix: str, suffix: str, typed: str, n_predict: int) -> None:
    """Text is left out only for want of room: what fills less than half of the context is whole."""
    n_ctx = 2048
    sizes = [len(VOCAB.tokenize(text)) for text in (prefix, suffix, typed)]
    prompt = render(infill(input_prefix=prefix, input_suffix=suffix, prompt=typed, n_predict=n_predict), n_ctx)
    if sum(sizes) + n_predict < n_ctx // 2:
        assert not prompt.truncated
        assert len(prompt.tokens) == sum(sizes) + 3


@given(requests, contexts)
def test_what_was_cut_is_said(request: InfillRequest, n_ctx: int) -> None:
    """A prompt is marked as truncated exactly when some of its text is missing."""
    request.filename, request.repo_name = "a.py", ""
    prompt = render(request, n_ctx)
    whole = render(request, 1 << 20)
    assert not whole.truncated
    assert prompt.truncated == (len(prompt.tokens) < len(whole.tokens))


def test_a_long_prefix_loses_its_start_in_steps() -> None:
    """A prefix that grows by a line moves its start rarely, so that a new anchor finds most of the cache."""
    lines = [f"value_{n} = {n}\n" for n in range(400)]
    starts = [render(infill(input_prefix="".join(lines[:n]))).tokens[1:9] for n in range(100, 200)]
    assert 2 <= len(set(starts)) <= 25


def test_the_newest_snippets_stay() -> None:
    """Of too many snippets the last ones are kept, in order, and the cut is said."""
    extra = [ExtraFile(filename=f"f{n}.py", text="x = 1\n" * 20) for n in range(9)]
    prompt = render(infill(input_extra=extra, filename="a.py"))
    text = b"".join(VOCAB.piece(token) for token in prompt.tokens).decode()
    kept = [n for n in range(9) if f"f{n}.py" in text]
    assert kept
    assert kept == list(range(9 - len(kept), 9))
    assert prompt.truncated


def test_a_model_without_file_tokens_still_sees_snippets() -> None:
    """Families that know only prefix, suffix and middle get other files as text at its beginning."""
    bare = FIM._replace(repo=None, file=None)
    extra = [ExtraFile(filename="b.py", text="b = 1")]
    tokens = render(infill(input_extra=extra, filename="a.py", repo_name="r", input_prefix="p"), fim=bare).tokens
    assert tokens == (FIM.prefix, *VOCAB.tokenize("b.py\nb = 1\n"), *VOCAB.tokenize("p"), FIM.suffix, FIM.middle)


@given(st.one_of(texts, st.lists(st.integers(0, VOCAB.size - 1), max_size=900)), predictions, contexts)
def test_a_plain_prompt_fits_and_keeps_its_end(text: str | list[int], n_predict: int, n_ctx: int) -> None:
    """A prompt without a suffix is cut at its start; ids are taken as they are."""
    prompt = render_completion(CompletionRequest(prompt=text, n_predict=n_predict), VOCAB, n_ctx)
    whole = VOCAB.tokenize(text) if isinstance(text, str) else tuple(text)
    assert len(prompt.tokens) + prompt.n_predict <= n_ctx
    assert whole[len(whole) - len(prompt.tokens) :] == prompt.tokens
    assert prompt.truncated == (len(prompt.tokens) < len(whole))


@pytest.mark.parametrize("token", [-1, VOCAB.size, 2**31 - 1])
def test_an_id_that_does_not_exist_is_refused(token: int) -> None:
    """An id outside the vocabulary, which llama.cpp would not survive, is the client's error."""
    with pytest.raises(ValueError, match="vocabulary"):
        render_completion(CompletionRequest(prompt=[1, token]), VOCAB, 512)


def test_a_long_file_leaves_room_for_snippets() -> None:
    """What was chosen from other files is in the prompt, also where this file alone would fill it."""
    long = "value = compute(value)\n" * 400
    extra = ExtraFile("b.py", "def helper(value):\n    return value + 1\n")
    without = render(infill(input_prefix=long, input_suffix=long, n_predict=16))
    prompt = render(infill(input_prefix=long, input_suffix=long, n_predict=16, input_extra=[extra]))
    snippet = VOCAB.tokenize(f"{extra.filename}\n{extra.text}\n")
    assert prompt.tokens[1 : 1 + len(snippet)] == snippet
    assert abs(len(prompt.tokens) - len(without.tokens)) <= 512 // 4


def test_snippets_take_three_tenths_at_most_of_a_long_files_room() -> None:
    """However many snippets come, the file keeps the larger part."""
    long = "value = compute(value)\n" * 400
    extras = [ExtraFile(f"{n}.py", "return value + 1\n" * 3) for n in range(50)]
    prompt = render(infill(input_prefix=long, input_suffix=long, n_predict=16, input_extra=extras))
    assert 512 * 0.1 < prompt.tokens.index(FIM.prefix) < 512 * 0.3
