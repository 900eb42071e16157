"""llama.cpp, through the only module that knows it: tokens, the KV cache, and being stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import read_gguf

from fimble import catalog
from fimble.engine.llama import Context, Decoded, Model, Vocab, system_info
from fimble.errors import EngineError

VOCAB: Vocab = Model(catalog.resolve("")).vocab

NewContext = Callable[..., Context]

CODE = "def area(radius):\n    return math.pi * radius ** 2\n\n\nclass Circle:\n    pass\n" * 16
TOKENS = VOCAB.tokenize(CODE)[:192]


def evaluate(context: Context, tokens: tuple[int, ...], seq: int = 0, start: int = 0) -> None:
    for at in range(0, len(tokens), context.n_batch):
        assert context.decode(tokens[at : at + context.n_batch], seq, start + at) is Decoded.OK


def test_the_bundled_model_is_what_it_says(model: Model, bundled: Path) -> None:
    """Name, size and ids come from the GGUF itself."""
    file = read_gguf(bundled)
    assert model.description == f"{file.fields['general.name'].contents()}, llama, Q8_0"
    assert model.n_params == sum(int(tensor.n_elements) for tensor in file.tensors)
    assert model.n_ctx_train == file.fields["llama.context_length"].contents()
    assert (model.vocab.size, model.vocab.bos) == (len(file.fields["tokenizer.ggml.tokens"].contents()), None)
    assert tuple(model.fim) == (1, 2, 3, 5, 6)
    assert model.metadata("general.license") == "apache-2.0"
    assert model.metadata("no.such.key") == ""


def test_the_build_describes_itself() -> None:
    """`fimble doctor` can say what llama.cpp makes of this processor."""
    assert "CPU" in system_info()


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_survives_its_tokens(text: str) -> None:
    """Tokens and back is the same text, down to NUL bytes, carriage returns and emoji."""
    assert b"".join(VOCAB.piece(token) for token in VOCAB.tokenize(text)).decode() == text


def test_half_an_emoji_does_not_break_the_tokeniser() -> None:
    """A lone surrogate, which JSON can carry, becomes a question mark."""
    assert VOCAB.tokenize("a\ud83db") == VOCAB.tokenize("a?b")


def test_control_tokens_end_an_answer_and_show_nothing(model: Model) -> None:
    """No control token ever reaches a person as text; ordinary tokens do."""
    controls = [token for token in range(VOCAB.size) if VOCAB.is_end(token)]
    assert set(model.fim) | {0} <= set(controls)
    assert {VOCAB.piece(token) for token in controls} == {b""}
    assert not any(VOCAB.is_end(token) for token in TOKENS)


def test_tokens_are_counted_where_they_are(new_context: NewContext) -> None:
    """The cache says how many tokens each sequence holds, after adding, cutting, copying and clearing."""
    context = new_context()
    evaluate(context, TOKENS[:100])
    assert (context.length(0), context.length(1)) == (100, 0)
    assert context.truncate(0, 70)
    assert context.length(0) == 70
    assert context.restore(1, context.save(0))
    assert (context.length(0), context.length(1)) == (70, 70)
    context.clear(0)
    assert (context.length(0), context.length(1)) == (0, 70)


def test_a_copied_beginning_is_as_good_as_an_own_one(new_context: NewContext) -> None:
    """What was computed for one sequence serves another, bit by bit."""
    context, fresh = new_context(), new_context()
    evaluate(context, TOKENS[:64])
    assert context.restore(1, context.save(0))
    evaluate(context, TOKENS[64:100], seq=1, start=64)
    evaluate(fresh, TOKENS[:64])
    evaluate(fresh, TOKENS[64:100], start=64)
    assert np.array_equal(context.logits(), fresh.logits())


def test_logits_are_those_of_the_last_token(new_context: NewContext) -> None:
    """Another last token gives other logits, of one number per token of the vocabulary."""
    context = new_context()
    evaluate(context, TOKENS[:10])
    first = context.logits().copy()
    assert first.shape == (VOCAB.size,)
    evaluate(context, TOKENS[10:11], start=10)
    assert not np.array_equal(first, context.logits())


def test_logits_before_any_decode_are_an_error(new_context: NewContext) -> None:
    """Asking too early raises; it does not read memory that is not there."""
    with pytest.raises(EngineError):
        new_context().logits()


@pytest.mark.parametrize("count", [0, 65, 10_000])
def test_a_batch_of_the_wrong_size_is_refused(new_context: NewContext, count: int) -> None:
    """llama.cpp ends the whole process on more tokens than n_batch; we raise before it sees them."""
    context = new_context(n_batch=64)
    with pytest.raises(ValueError, match="tokens in a batch of 64"):
        context.decode([8] * count, 0, 0)
    evaluate(context, TOKENS[:64])
    assert context.length(0) == 64


def test_a_gap_is_an_error_and_not_the_end(new_context: NewContext) -> None:
    """Tokens at a position that does not follow the cache are refused, and the context goes on."""
    context = new_context()
    evaluate(context, TOKENS[:10])
    with pytest.raises(EngineError):
        context.decode(TOKENS[:10], 0, 50)
    evaluate(context, TOKENS[10:20], start=10)
    assert context.length(0) == 20


def test_a_full_cache_says_so(new_context: NewContext) -> None:
    """When a sequence has no cell left, decode answers FULL; after freeing some it works again."""
    context = new_context(n_ctx=256)
    evaluate(context, (TOKENS * 2)[:256])
    assert context.decode(TOKENS[:1], 0, 256) is Decoded.FULL
    assert context.truncate(0, 200)
    assert context.decode(TOKENS[:1], 0, 200) is Decoded.OK


def test_every_sequence_has_all_its_cells(new_context: NewContext) -> None:
    """However many there are and however full the others: each holds as many tokens as was asked for."""
    context = new_context(n_ctx=600, n_seq=3)
    for seq in range(3):
        evaluate(context, (TOKENS * 4)[:600], seq=seq)
    assert [context.length(seq) for seq in range(3)] == [600] * 3


def test_an_aborted_decode_computes_nothing_until_resumed(new_context: NewContext) -> None:
    """After abort every decode stops; after resume the same tokens give the same logits as if nothing had been."""
    context, fresh = new_context(), new_context()
    evaluate(context, TOKENS[:64])
    context.abort()
    for _ in range(3):
        assert context.decode(TOKENS[64:128], 0, 64) is Decoded.ABORTED
        assert context.length(0) <= 128
    context.resume()
    assert context.truncate(0, 64)
    evaluate(context, TOKENS[64:128], start=64)
    evaluate(fresh, TOKENS[:128])
    assert np.array_equal(context.logits(), fresh.logits())


def test_another_thread_can_stop_a_decode(new_context: NewContext) -> None:
    """An abort from outside ends the work of the thread that owns the context, and it works again after resume."""
    context = new_context(n_ctx=1024, n_batch=512)
    tokens = (TOKENS * 3)[:512]
    working = threading.Event()

    def stop() -> None:
        working.wait()
        context.abort()

    thread = threading.Thread(target=stop)
    thread.start()
    results: list[Decoded] = []
    while len(results) < 500 and Decoded.ABORTED not in results:
        context.clear(0)
        working.set()
        results.append(context.decode(tokens, 0, 0))
    thread.join()
    assert results[-1] is Decoded.ABORTED
    context.resume()
    context.clear(0)
    assert context.decode(tokens, 0, 0) is Decoded.OK


def test_aborting_one_context_leaves_the_others_alone(new_context: NewContext) -> None:
    """Each context has a flag of its own."""
    first, second = new_context(), new_context()
    first.abort()
    assert second.decode(TOKENS[:8], 0, 0) is Decoded.OK
    assert first.decode(TOKENS[:8], 0, 0) is Decoded.ABORTED
