"""Progressive context: when a prompt is too long for its deadline, the answer begins from a short one.

The long prompt is evaluated when nobody asks for anything, and takes over from there.
"""

from __future__ import annotations

from fimble.engine.costs import Costs

#: A deadline has to leave time to write, too: this share of it may go into the prompt ...
_MOST_OF_DEADLINE = 0.75

#: ... and a short prompt is made to take this share of it.
_SHORT_SHARE = 0.5

#: Less context than this is not worth an answer.
_SHORTEST_TOKENS = 128


def context_for(pending: int, n_predict: int, n_ctx: int, left_ms: float, costs: Costs) -> int:
    """The context, in tokens, that an answer can be given from in *left_ms* milliseconds.

    *n_ctx* when the *pending* tokens of the whole prompt can be evaluated in time.  Else a power of two, so that
    the short prompts of several keys are cut alike and share their evaluation.
    """
    if costs.prompt_ms(pending) <= _MOST_OF_DEADLINE * left_ms:
        return n_ctx
    affordable = int(_SHORT_SHARE * left_ms / costs.prompt_ms(1)) + n_predict
    return min(1 << max(affordable, _SHORTEST_TOKENS).bit_length() - 1, n_ctx)
