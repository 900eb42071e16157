"""Sampling: from logits to tokens and probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble.engine.sampling import Logits, Sampler, describe, log_probabilities

LOGITS: Logits = np.array([0.0, 3.0, 1.0, 2.0, -5.0], np.float32)

rows = st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=40).map(lambda row: np.array(row, np.float32))


def piece(token: int) -> bytes:
    return bytes([97 + token])


def drawn(sampler: Sampler, times: int = 400) -> set[int]:
    """The tokens that come up in many draws; a fixed seed makes them the same every time."""
    return {sampler.pick(LOGITS) for _ in range(times)}


@given(rows, st.integers(-3, 50), st.floats(0, 1))
def test_without_temperature_the_likeliest_token_is_taken(logits: Logits, top_k: int, top_p: float) -> None:
    """Greedy means greedy, whatever else was asked for."""
    assert Sampler(0, top_k, top_p, seed=1).pick(logits) == int(np.argmax(logits))


@given(rows, st.floats(0.05, 5), st.integers(1, 50), st.floats(0, 1), st.integers(-1, 9))
def test_a_draw_is_one_of_the_k_likeliest(logits: Logits, temperature: float, k: int, top_p: float, seed: int) -> None:
    """Nothing beyond the top k is ever drawn, for any logits and settings."""
    token = Sampler(temperature, k, top_p, seed).pick(logits)
    assert 0 <= token < logits.size
    assert int((logits > logits[token]).sum()) < k


def test_one_candidate_is_greedy() -> None:
    """With top_k 1, and with a tiny top_p, only the likeliest token is left."""
    assert drawn(Sampler(2.0, 1, 1.0, seed=3)) == {1}
    assert drawn(Sampler(2.0, 5, 0.0, seed=3)) == {1}


def test_top_k_zero_limits_nothing() -> None:
    """As in llama-server, a top_k of 0 means every token and not one."""
    assert drawn(Sampler(5.0, 0, 1.0, seed=3)) == {0, 1, 2, 3, 4}


def test_top_p_keeps_the_fewest_that_reach_it() -> None:
    """The nucleus holds the likeliest tokens up to the asked share, the one that crosses it included."""
    shares = np.sort(np.exp(LOGITS) / np.exp(LOGITS).sum())[::-1]
    for keep in (1, 2, 3):
        just_above, just_below = shares[:keep].sum() + 1e-4, shares[:keep].sum() - 1e-4
        assert len(drawn(Sampler(1.0, 5, float(just_below), seed=3), 2000)) == keep
        assert len(drawn(Sampler(1.0, 5, float(just_above), seed=3), 2000)) == keep + 1


def test_the_seed_decides() -> None:
    """The same seed draws the same tokens, another one others."""

    def tokens(seed: int) -> list[int]:
        sampler = Sampler(2.0, 5, 1.0, seed)
        return [sampler.pick(LOGITS) for _ in range(40)]

    assert tokens(7) == tokens(7)
    assert tokens(7) != tokens(8)


def test_draws_follow_the_softmax() -> None:
    """Tokens come up about as often as their probability at the given temperature says."""
    sampler = Sampler(2.0, 5, 1.0, seed=5)
    counts = np.bincount([sampler.pick(LOGITS) for _ in range(4000)], minlength=5) / 4000
    expected = np.exp(LOGITS / 2.0) / np.exp(LOGITS / 2.0).sum()
    assert np.abs(counts - expected).max() < 0.03


@given(rows)
def test_log_probabilities_sum_to_one(logits: Logits) -> None:
    """The exponentials of the log-probabilities are a distribution in the order of the logits."""
    found = log_probabilities(logits)
    assert math.isclose(float(np.exp(found.astype(np.float64)).sum()), 1.0, abs_tol=1e-4)
    assert found[np.argmax(logits)] == found.max()


def test_huge_logits_do_not_overflow() -> None:
    """Large numbers are no reason for infinities."""
    found = log_probabilities(np.array([1000.0, 999.0], np.float32))
    assert np.allclose(found, [math.log(1 / (1 + math.e**-1)), math.log(1 / (1 + math.e))], atol=1e-4)


def test_a_description_names_the_taken_and_the_likeliest() -> None:
    """The answer's probabilities hold the token taken and the best ones in order, with text and bytes."""
    entry = describe(LOGITS, 2, 3, piece)
    assert (entry["id"], entry["token"], entry["bytes"]) == (2, "c", [99])
    assert [one["id"] for one in entry["top_logprobs"]] == [1, 3, 2]
    assert entry["logprob"] == pytest.approx(entry["top_logprobs"][2]["logprob"])


@pytest.mark.parametrize("count", [5, 6, 100_000])
def test_more_probabilities_than_tokens_are_all_of_them(count: int) -> None:
    """As in llama-server, asking for more than the vocabulary gives the vocabulary."""
    assert [one["id"] for one in describe(LOGITS, 0, count, piece)["top_logprobs"]] == [1, 3, 2, 0, 4]
