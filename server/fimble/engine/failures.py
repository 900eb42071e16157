"""Failures on their way between processes."""

from __future__ import annotations

from fimble.engine.wire import ErrorBody
from fimble.errors import MODEL_ERRORS, EngineError, FimbleError, ModelTooLarge

#: How llama.cpp, the C++ library and Python say that there is no memory.
NO_MEMORY = (
    *("failed to allocate", "unable to allocate", "cannot allocate memory", "out of memory", "bad_alloc"),
    "memoryerror",
)


def error_body(failure: FimbleError, code: int) -> ErrorBody:
    """*failure*, ready to be sent; `as_error` makes one of its class again."""
    needed = failure.needed_bytes if isinstance(failure, ModelTooLarge) else 0
    kind = type(failure).__name__
    return ErrorBody(code=code, message=failure.message, type=kind, fix=failure.fix, needed_bytes=needed)


def as_error(body: ErrorBody, default: type[FimbleError] = EngineError) -> FimbleError:
    """The failure that was sent; of class *default*, if it is none of a model's."""
    kind = MODEL_ERRORS.get(body.type, default)
    if kind is ModelTooLarge:
        return ModelTooLarge(body.message, body.fix, body.needed_bytes)
    return kind(body.message, body.fix)
