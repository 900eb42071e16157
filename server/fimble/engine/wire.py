"""What windows and the engine say to each other: llama-server's dialect with a few fields of our own.

The fields without a mark are llama-server's (its README, "POST /infill" and "POST /completion").  Ours:

- ``session``: the newest request of a session replaces the older ones, finished or not.
- ``deadline_ms``: counted from arrival, prompt evaluation included (``t_max_predict_ms`` starts at the first token).
- ``filename``, ``repo_name``: what the current file and its repository are called in the prompt.
"""

from __future__ import annotations

from typing import Any

import msgspec

#: Bumped when a window and an engine of different versions could not understand each other.
PROTOCOL = 1


class ExtraFile(msgspec.Struct, frozen=True):
    """A snippet of another file."""

    filename: str = ""
    text: str = ""


class Generation(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What every request for text may say about how it is written."""

    n_predict: int = 64
    stop: list[str] = []
    stream: bool = False
    n_probs: int = 0
    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    seed: int = 0
    t_max_predict_ms: int = 0
    session: str = ""
    deadline_ms: int = 0


class InfillRequest(Generation, kw_only=True, omit_defaults=True):
    """``POST /infill``: complete between a prefix and a suffix.

    The prompt is ``input_extra``, ``input_prefix``, ``input_suffix``, then ``prompt`` *after* the middle token:
    what was typed since the prefix was cut, so that a keystroke only ever appends (models/PROMPT.md).
    """

    input_prefix: str = ""
    input_suffix: str = ""
    input_extra: list[ExtraFile] = []
    prompt: str = ""
    filename: str = ""
    repo_name: str = ""


class CompletionRequest(Generation, kw_only=True, omit_defaults=True):
    """``POST /completion``: continue a prompt, given as text or as token ids."""

    prompt: str | list[int] = ""


class OpenAIRequest(msgspec.Struct, kw_only=True):
    """``POST /v1/completions`` (OpenAI's completions API, with its ``suffix``)."""

    prompt: str = ""
    suffix: str | None = None
    max_tokens: int = 64
    stop: str | list[str] | None = None
    stream: bool = False
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of one request went.  ``cache_n`` tokens were reused, ``prompt_n`` evaluated."""

    cache_n: int = 0
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0
    queued_ms: float = 0.0


class Chunk(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One streamed piece, or with ``stop`` the end of an answer.

    ``stop_type`` is llama-server's ``eos``, ``word`` or ``limit``, or ours: ``deadline`` and ``cancelled``.
    """

    content: str = ""
    stop: bool = False
    stop_type: str = ""
    stopping_word: str = ""
    tokens_evaluated: int = 0
    truncated: bool = False
    timings: Timings | None = None
    completion_probabilities: list[dict[str, Any]] | None = None


class Counters(msgspec.Struct, kw_only=True):
    """What an engine has done since it started.  Tokens are counted when their evaluation has finished."""

    requests: int = 0
    cancelled: int = 0
    prompt_tokens_evaluated: int = 0
    prompt_tokens_reused: int = 0
    tokens_predicted: int = 0
    decode_aborts: int = 0


class Props(msgspec.Struct, kw_only=True):
    """``GET /props``: who this engine is (ours: everything but ``model_path``)."""

    fimble: str
    protocol: int
    pid: int
    model_path: str
    model_digest: str
    model_description: str = ""
    n_params: int = 0
    n_ctx: int = 0
    settings: EngineSettings
    counters: Counters


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What makes one engine differ from another.  Windows that agree on all of it share a process."""

    model_path: str
    model_digest: str
    context_tokens: int
    threads: int
    idle_minutes: float
    transport: str


class ErrorBody(msgspec.Struct, kw_only=True):
    """The inside of an error answer, as llama-server writes it; ``fix`` is ours."""

    code: int
    message: str
    type: str
    fix: str = ""


class ErrorAnswer(msgspec.Struct):
    """An answer with a status of 400 or more."""

    error: ErrorBody


class Health(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``GET /health``: 200 ``ok``, or 503 while the model loads or after it failed to."""

    status: str = ""
    progress: float = 0.0
    error: ErrorBody | None = None


class Probe(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What ``fimble.engine.probe`` found out about a model, or the error that it met."""

    path: str
    description: str = ""
    n_params: int = 0
    n_ctx_train: int = 0
    licence: str = ""
    fim_tokens: list[int] = []
    system_info: str = ""
    gpu: bool = False
    error: ErrorBody | None = None
