"""Whether PyTorch computes what llama.cpp computes: looked at before every training, for models differ."""

from __future__ import annotations

import numpy as np
import torch

from fimble.engine.llama import Context, Decoded, Model
from fimble.engine.sampling import log_probabilities
from fimble.errors import ConfigError, EngineError
from fimble.models.personal.network import Network

#: In nats, the mean divergence.  Rounding alone gives 0.0006 (llama.cpp rounds what goes into quantised products).
_MOST_DIVERGENCE = 0.02
_TOKENS = 128


def check(network: Network, model: Model, text: str) -> None:
    """Compare both on the beginning of *text*.  Raises ConfigError if they differ by more than rounding."""
    found = divergence(network, model, model.vocab.tokenize(text[:2000])[:_TOKENS])
    if not found <= _MOST_DIVERGENCE:  # not a number is no agreement either
        raise ConfigError(
            f"An adapter for {model.path.name} cannot be trained here: PyTorch and llama.cpp do not agree about it.",
            "Train it elsewhere and bring it with `fimble adapters add`, or use the bundled model.",
        )


def divergence(network: Network, model: Model, tokens: tuple[int, ...]) -> float:
    """The mean Kullback-Leibler divergence of PyTorch's from llama.cpp's next-token odds, in nats."""
    context = Context(model, n_ctx=len(tokens), n_seq=1, n_batch=64, threads=1, threads_batch=1)
    with torch.no_grad():
        ours = network.logits(torch.tensor([tokens]))[0].float().numpy()
    total = 0.0
    for place, token in enumerate(tokens):
        if context.decode((token,), 0, place) is not Decoded.OK:
            raise EngineError("The context is too small to compare models.")
        theirs = log_probabilities(context.logits())
        total += float((np.exp(theirs) * (theirs - log_probabilities(ours[place]))).sum())
    context.close()
    return total / len(tokens)
