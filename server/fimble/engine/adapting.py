"""Try an adapter in a process of its own: ``python -m fimble.engine.adapting MODEL ADAPTER`` prints one line of JSON.

llama.cpp may end the process on a broken file; then the exit status is the finding.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from fimble.engine.llama import Context, LoraAdapter, Model, damaged
from fimble.engine.loading import check_finite
from fimble.engine.wire import ErrorBody, Health
from fimble.errors import ModelCorrupt, ModelError


def main(argv: list[str]) -> int:
    """Load both, compute something with them, and say whether that works."""
    try:
        model = Model(Path(argv[0]))
        adapter = LoraAdapter(model, Path(argv[1]))
        context = Context(model, n_ctx=64, n_seq=1, n_batch=64, threads=1, threads_batch=1)
        check_finite(model, context)
        context.use_adapter(adapter)
        try:
            check_finite(model, context)
        except ModelCorrupt:
            raise damaged(adapter.path) from None
        found = Health(status="ok")
    except ModelError as failure:
        body = ErrorBody(code=1, message=failure.message, type=type(failure).__name__, fix=failure.fix)
        found = Health(status="error", error=body)
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
