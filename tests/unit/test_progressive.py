"""Progressive context: how much of a prompt can be evaluated before its deadline."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fimble.engine.costs import Costs
from fimble.engine.progressive import context_for


def costs_of(tokens_per_s: float) -> Costs:
    costs = Costs()
    costs.note(64, 64_000 / tokens_per_s)
    return costs


def test_what_can_be_evaluated_in_time_is_not_shortened() -> None:
    """A prompt whose evaluation leaves a quarter of the deadline for writing is taken whole."""
    assert context_for(750, 64, 4096, 1000, costs_of(1000)) == 4096
    assert context_for(760, 64, 4096, 1000, costs_of(1000)) < 4096
    assert context_for(1, 64, 4096, 50, costs_of(1000)) == 4096


def test_a_short_prompt_takes_about_half_of_the_deadline() -> None:
    """Its size is a power of two, so that small changes of what is affordable do not cut it anew."""
    assert context_for(3000, 64, 4096, 1000, costs_of(1000)) == 512
    assert context_for(3000, 64, 4096, 1100, costs_of(1010)) == 512
    assert context_for(3000, 64, 4096, 10, costs_of(1000)) == 128
    assert context_for(3000, 64, 4096, -10, costs_of(1000)) == 128


@given(
    st.integers(1, 8000), st.integers(0, 512), st.integers(256, 8192), st.floats(-100, 60_000), st.floats(1, 100_000)
)
def test_the_context_is_never_longer_than_the_models(
    pending: int, n_predict: int, n_ctx: int, left_ms: float, rate: float
) -> None:
    """Whatever was measured, the size is one that a prompt can be rendered in."""
    assert 128 <= context_for(pending, n_predict, n_ctx, left_ms, costs_of(rate)) <= n_ctx
