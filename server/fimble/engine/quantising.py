"""Quantise a model in a process of its own, as lines of JSON on stdout.

    python -m fimble.engine.quantising size SOURCE KIND             one line: the sizes, or the error
    python -m fimble.engine.quantising write SOURCE KIND TARGET     a line for each step, then the end

llama.cpp may end the process on a broken file; then the exit status is the finding.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from fimble.engine.llama import quantise, quantised_size
from fimble.engine.tuning import cores
from fimble.engine.wire import ErrorBody, Quantising
from fimble.errors import ModelError


def main(argv: list[str]) -> int:
    """Do it, and say how far it is."""
    what, source, kind = argv[0], Path(argv[1]), argv[2]
    try:
        if what == "size":
            size = quantised_size(source, kind)
            _say(Quantising(source_bytes=size.source_bytes, target_bytes=size.target_bytes, types=size.types))
        else:
            quantise(source, Path(argv[3]), kind, cores(), lambda share: _say(Quantising(progress=share)))
    except ModelError as failure:
        _say(Quantising(error=ErrorBody(code=1, message=failure.message, type=type(failure).__name__, fix=failure.fix)))
        return 1
    return 0


def _say(line: Quantising) -> None:
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
