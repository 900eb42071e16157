"""Sequences: which part of the KV cache serves a prompt.  With the real llama.cpp underneath."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble import catalog
from fimble.engine.llama import Context, Decoded, Model
from fimble.engine.sequences import Sequence, Sequences, common_prefix
from fimble.engine.shelf import Shelf

MODEL = Model(catalog.resolve(""))

Tokens = tuple[int, ...]
NewContext = Callable[..., Context]


def tokens(*runs: tuple[int, int]) -> Tokens:
    """Made-up prompts: runs of (token, how often)."""
    return tuple(token for token, count in runs for _ in range(count))


def evaluate(context: Context, sequences: Sequences, prompt: Tokens, session: str) -> tuple[Sequence, int]:
    """What the generator does with a prompt; returns its sequence and how much of it was there."""
    sequence, reused = sequences.acquire(list(prompt), session)
    assert sequence.tokens == list(prompt[:reused])
    assert reused < len(prompt)
    sequence.is_held = True
    for at in range(reused, len(prompt), context.n_batch):
        chunk = prompt[at : at + context.n_batch]
        assert context.decode(chunk, sequence.id, at) is Decoded.OK
        sequence.tokens.extend(chunk)
    sequence.is_held = False
    return sequence, reused


@pytest.fixture
def context(new_context: NewContext) -> Context:
    return new_context(n_ctx=2048, n_seq=3)


@pytest.fixture
def sequences(context: Context) -> Sequences:
    return Sequences(context, 3)


def test_the_longest_common_prefix_is_reused(context: Context, sequences: Sequences) -> None:
    """A prompt goes on where the sequence that agrees furthest with it stands, whoever asked before."""
    evaluate(context, sequences, tokens((10, 100), (11, 20)), "a")
    evaluate(context, sequences, tokens((10, 30), (12, 90)), "b")
    assert evaluate(context, sequences, tokens((10, 100), (13, 5)), "c")[1] == 100
    assert evaluate(context, sequences, tokens((10, 30), (12, 90), (13, 5)), "c")[1] == 120


def test_the_only_sequence_left_is_taken(new_context: NewContext) -> None:
    """Where everything else is held, another session's prompt has to go, and is put aside."""
    context = new_context(n_ctx=1024, n_seq=2)
    shelf = Shelf(10**8)
    sequences = Sequences(context, 2, shelf=shelf)
    held, _ = evaluate(context, sequences, tokens((10, 100)), "a")
    evaluate(context, sequences, tokens((20, 90), (21, 100)), "b")
    held.is_held = True
    assert evaluate(context, sequences, tokens((20, 90), (22, 5)), "c")[1] == 90
    assert [stored.tokens for stored in shelf] == [list(tokens((20, 90), (21, 100)))]
    assert evaluate(context, sequences, tokens((20, 90), (21, 100), (23, 1)), "b")[1] == 190


def test_the_last_token_is_always_evaluated(context: Context, sequences: Sequences) -> None:
    """The same prompt again costs one token: generation starts from its logits."""
    prompt = tokens((10, 50))
    evaluate(context, sequences, prompt, "a")
    assert evaluate(context, sequences, prompt, "a")[1] == 49
    assert evaluate(context, sequences, prompt[:20], "a")[1] == 19
    assert evaluate(context, sequences, prompt[:1], "a")[1] == 0


def test_a_key_costs_its_own_tokens(context: Context, sequences: Sequences) -> None:
    """A session that types reuses all that it evaluated before, key after key, in one sequence."""
    prompt = tokens((10, 200))
    first, _ = evaluate(context, sequences, prompt, "a")
    for key in range(20, 40):
        prompt = (*prompt, key)
        sequence, reused = evaluate(context, sequences, prompt, "a")
        assert (sequence.id, reused) == (first.id, len(prompt) - 1)


def test_a_long_tail_of_another_session_is_not_destroyed(context: Context, sequences: Sequences) -> None:
    """A session that shares a beginning goes on in a sequence of its own; the other one's work stays."""
    long = tokens((10, 60), (11, 200))
    evaluate(context, sequences, long, "a")
    assert evaluate(context, sequences, tokens((10, 60), (12, 200)), "b")[1] == 60
    assert evaluate(context, sequences, (*long, 13), "a")[1] == len(long)


def test_a_short_tail_of_another_session_is_given_up(context: Context, sequences: Sequences) -> None:
    """Losing a few tokens of another session is cheaper than giving up a whole sequence."""
    evaluate(context, sequences, tokens((10, 100), (11, 10)), "a")
    sequence, reused = evaluate(context, sequences, tokens((10, 100), (12, 10)), "b")
    assert reused == 100
    assert [s.id for s in sequences._all if s.tokens] == [sequence.id]


def test_a_branch_takes_an_empty_sequence_first(context: Context, sequences: Sequences) -> None:
    """As long as a sequence is empty, nobody loses anything."""
    prompts = [tokens((10, 60), (n, 100)) for n in (11, 12, 13)]
    for prompt in prompts:
        evaluate(context, sequences, prompt, f"session {prompt[-1]}")
    assert [evaluate(context, sequences, (*p, 20), f"session {p[-1]}")[1] for p in prompts] == [160] * 3


def test_a_branch_takes_the_longest_unused_sequence_last(context: Context, sequences: Sequences) -> None:
    """When all are in use, the session that has been quiet for longest loses its sequence."""
    prompts = [tokens((10, 60), (n, 100)) for n in (11, 12, 13, 14)]
    for prompt in (*prompts[:3], prompts[0]):
        evaluate(context, sequences, prompt, f"session {prompt[-1]}")
    assert evaluate(context, sequences, prompts[3], "session 14")[1] == 60
    held = {s.session for s in sequences._all if s.tokens}
    assert held == {"session 11", "session 13", "session 14"}


def test_a_branch_prefers_an_empty_sequence_to_a_quiet_one(context: Context, sequences: Sequences) -> None:
    """A sequence that was emptied lately is taken before one that holds somebody's work."""
    prompts = [tokens((10, 60), (n, 100)) for n in (11, 12, 13)]
    for prompt in prompts:
        newest, _ = evaluate(context, sequences, prompt, f"session {prompt[-1]}")
    sequences.truncate(newest, 0)
    evaluate(context, sequences, tokens((10, 60), (14, 100)), "session 14")
    assert evaluate(context, sequences, (*prompts[0], 20), "session 11")[1] == 160


def test_a_branch_really_has_what_it_shares(new_context: NewContext) -> None:
    """The shared beginning is in the branch's cache and not only in its mirror: the logits are the right ones."""
    start, own = MODEL.vocab.tokenize("def area(radius):\n    return " * 8), MODEL.vocab.tokenize("math.pi * r")
    fresh, without, shared = (new_context() for _ in range(3))
    evaluate(fresh, Sequences(fresh, 1), (*start, *own), "")
    assert without.decode(own, 0, len(start)) is Decoded.OK
    sequences = Sequences(shared, 3)
    evaluate(shared, sequences, (*start, *(own[:1] * 100)), "a")
    branch, reused = evaluate(shared, sequences, (*start, *own), "b")
    assert (branch.id, reused) == (1, len(start) + 1)
    right, wrong = (np.abs(fresh.logits() - other.logits()).max() for other in (shared, without))
    assert right < wrong / 10


def test_a_session_branches_into_its_own_sequence(context: Context, sequences: Sequences) -> None:
    """A session that now shares more with another one gives up its own old work, nobody else's."""
    evaluate(context, sequences, tokens((10, 150)), "a")
    evaluate(context, sequences, tokens((11, 150)), "b")
    evaluate(context, sequences, tokens((10, 80), (12, 9)), "b")
    assert [s.session for s in sequences._all if s.tokens] == ["a", "b"]


def test_an_aborted_decode_leaves_mirror_and_cache_equal(context: Context, sequences: Sequences) -> None:
    """After an abort the mirror believes the cache, and what was evaluated before is still reused."""
    prompt = tokens((10, 64), (11, 64))
    sequence, _ = sequences.acquire(list(prompt), "a")
    assert context.decode(prompt[:64], sequence.id, 0) is Decoded.OK
    sequence.tokens.extend(prompt[:64])
    context.abort()
    assert context.decode(prompt[64:], sequence.id, 64) is Decoded.ABORTED
    context.resume()
    sequences.resync(sequence)
    assert context.length(sequence.id) == len(sequence.tokens) == 64
    assert evaluate(context, sequences, prompt, "a")[1] == 64


def test_resync_believes_a_cache_that_holds_less(context: Context, sequences: Sequences) -> None:
    """Tokens that the cache lost are forgotten by the mirror, too."""
    sequence, _ = evaluate(context, sequences, tokens((10, 100)), "a")
    context.truncate(sequence.id, 40)
    sequences.resync(sequence)
    assert sequence.tokens == [10] * 40
    context.clear(sequence.id)
    sequences.resync(sequence)
    assert sequence.tokens == []


def test_resync_cuts_a_cache_that_holds_more(context: Context, sequences: Sequences) -> None:
    """Tokens that nobody wrote down are taken out of the cache."""
    sequence, _ = evaluate(context, sequences, tokens((10, 30)), "a")
    context.decode(tokens((11, 20)), sequence.id, 30)
    sequences.resync(sequence)
    assert context.length(sequence.id) == len(sequence.tokens) == 30


prompts = st.lists(st.tuples(st.integers(10, 12), st.integers(1, 40)), min_size=1, max_size=4).map(lambda r: tokens(*r))
requests = st.lists(st.tuples(prompts, st.sampled_from("abcd")), min_size=1, max_size=12)


@given(requests)
@settings(max_examples=40)
def test_the_mirror_is_always_true(asked: list[tuple[Tokens, str]]) -> None:
    """Whatever is asked in whatever order, mirror and cache hold the same, and reuse is the best there is."""
    context = Context(MODEL, n_ctx=256, n_seq=3, n_batch=64, threads=1, threads_batch=1)
    sequences = Sequences(context, 3)
    for prompt, session in asked:
        best = max(common_prefix(sequence.tokens, list(prompt)) for sequence in sequences._all)
        sequence, reused = evaluate(context, sequences, prompt, session)
        assert reused == min(best, len(prompt) - 1)
        assert sequence.tokens == list(prompt)
        assert [context.length(s.id) for s in sequences._all] == [len(s.tokens) for s in sequences._all]


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_the_common_prefix_is_that(a: list[int], b: list[int]) -> None:
    """The halving search finds the first difference."""
    length = common_prefix(a, b)
    assert a[:length] == b[:length]
    assert a[length : length + 1] != b[length : length + 1] or length == min(len(a), len(b))
