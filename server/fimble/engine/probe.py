"""Try a model in a process of its own: ``python -m fimble.engine.probe PATH`` prints one line of JSON.

llama.cpp may end the process on a broken file; then the exit status is the finding.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from fimble.engine.failures import error_body
from fimble.engine.llama import Context, Model, can_use_gpu, system_info
from fimble.engine.loading import check_finite
from fimble.engine.wire import Probe
from fimble.errors import ModelError


def main(argv: list[str]) -> int:
    """Load the model, compute something with it, and say what it is."""
    path = Path(argv[0])
    try:
        model = Model(path)
        check_finite(model, Context(model, n_ctx=64, n_seq=1, n_batch=64, threads=1, threads_batch=1))
    except ModelError as failure:
        found = Probe(path=str(path), error=error_body(failure, 1), system_info=system_info())
    else:
        found = describe(model)
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 0


def describe(model: Model) -> Probe:
    """What a model says of itself."""
    return Probe(
        path=str(model.path),
        description=model.description,
        n_params=model.n_params,
        n_ctx_train=model.n_ctx_train,
        licence=model.metadata("general.license"),
        family=model.vocab.family,
        fim_tokens=[token for token in model.fim[:3] if token is not None],
        system_info=system_info(),
        gpu=can_use_gpu(),
        why_no_roll_back=model.why_no_roll_back,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
