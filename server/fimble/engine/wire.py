"""What windows and the engine say to each other: llama-server's dialect with a few fields of our own.

The fields without a mark are llama-server's (its README, "POST /infill" and "POST /completion").  Ours:

- ``session``: a newer interactive request replaces everything of its session, finished or not; a newer
  speculative or warming one what is of its own kind.
- ``deadline_ms``: counted from arrival, prompt evaluation included (``t_max_predict_ms`` starts at the first token).
- ``priority``: ``interactive``, ``speculative`` or ``warming``: a lower class waits while a higher one is served.
  ``n_predict`` 0 is warming by itself.
- ``heal``: the answer may begin inside the last token of ``prompt`` (models/PROMPT.md).
- ``draft``: text that is expected to come next; the answer is the same, only sooner if it does.
- ``filename``, ``repo_name``: what the current file and its repository are called in the prompt.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

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
    priority: Literal["interactive", "speculative", "warming"] = "interactive"
    draft: str = ""


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
    heal: bool = True


class PromptPart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the list that ``POST /account`` (ours) answers to an InfillRequest: what its prompt is made of."""

    part: str
    """``repository``, ``snippet``, ``file`` (its name), ``prefix``, ``suffix`` or ``typed``."""
    name: str = ""
    """Of the repository or file."""
    tokens: int = 0
    """How many it takes."""
    left_out: int = 0
    """How many more it would take: there was no room for them."""


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
    """Where the time of one request went.

    ``cache_n`` tokens were reused, ``prompt_n`` evaluated, ``predicted_n`` written; of ``draft_n`` guesses that were
    checked ``draft_n_accepted`` were right.  ``queued_ms`` (ours) is the time in which others were served.
    """

    cache_n: int = 0
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0
    draft_n: int = 0
    draft_n_accepted: int = 0
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
    overloaded: int = 0
    """Requests that were refused, or thrown out of the queue for more urgent ones."""
    prompt_tokens_evaluated: int = 0
    prompt_tokens_reused: int = 0
    prompt_ms: float = 0.0
    tokens_predicted: int = 0
    predicted_ms: float = 0.0
    decodes: int = 0
    decode_sequences: int = 0
    """How many sequences took part in all decodes together."""
    decode_aborts: int = 0
    put_aside: int = 0
    """Sequences that were copied out of the cache; ``taken_back`` those that came back."""
    taken_back: int = 0
    short_prompts: int = 0
    """Answers that began from a short prompt, because the long one would have been too late."""
    draft_tokens: int = 0
    draft_tokens_accepted: int = 0


def total(counted: Iterable[Counters]) -> Counters:
    """All of them together."""
    rows = [msgspec.structs.astuple(each) for each in counted]
    return Counters(**dict(zip(Counters.__struct_fields__, map(sum, zip(*rows, strict=True)), strict=True)))


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
    can_roll_back: bool = True
    """Whether a sequence can be cut anywhere; if not, ``why_no_roll_back``, and a prompt goes on from checkpoints."""
    why_no_roll_back: str = ""
    tuning: Tuning | None = None
    load: Load | None = None
    settings: EngineSettings
    counters: Counters


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """The fastest of several decodes, in milliseconds: of one token, and of a chunk of a prompt."""

    threads: int
    flash_attention: bool
    token_ms: float
    chunk_ms: float


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine computes with on a quiet machine; None: llama.cpp's own choice.

    *measured* is empty while it is a guess.
    """

    threads: int
    threads_batch: int
    flash_attention: bool | None = None
    measured: list[Measurement] = []


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What else the machine does."""

    busy_cores: float = 0.0
    """How many cores other processes keep busy; those that run at low priority give way and do not count."""
    saves_power: bool = False
    """Whether nothing is computed that nobody has asked for yet."""

    def threads(self, wanted: int, cores: int) -> int:
        """How many threads to compute with, where *wanted* are best on a quiet machine with *cores*."""
        return max(1, min(wanted, round(cores - self.busy_cores)))

    @property
    def leaves_all_cores(self) -> bool:
        """Whether no core is so busy that a thread had better leave it."""
        return self.busy_cores < 0.5


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One of the list that ``GET /slots`` gives: a sequence of the cache.  Never its text (ours: ``session``)."""

    id: int
    n_ctx: int
    is_processing: bool
    n_prompt_tokens: int
    """How many tokens it holds."""
    session: str
    """A hash of the session that used it last; empty if there was none."""


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """A LoRA adapter (arXiv:2106.09685): what is added to a model's weights, *scale* times."""

    path: str
    digest: str
    scale: float = 1.0


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What makes one engine differ from another.  Windows that agree on all of it share a process."""

    model_path: str
    model_digest: str
    context_tokens: int
    threads: int
    idle_minutes: float
    transport: str
    cache_mb: int = 32
    power: str = "auto"
    flash_attention: str = "auto"
    kv_type: str = "f16"
    mmap: bool = True
    mlock: bool = False
    gpu_layers: int = -1
    model_sha256: str = ""
    """What the whole file must hash to, as far as it is known: else the engine refuses it."""
    adapter: Adapter | None = None

    @property
    def weights_digest(self) -> str:
        """Answers are kept by it: what decides what is written."""
        added = self.adapter
        return f"{self.model_digest}+{added.digest}*{added.scale:g}" if added else self.model_digest


class ErrorBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The inside of an error answer, as llama-server writes it; ``fix`` and ``needed_bytes`` are ours."""

    code: int
    message: str
    type: str
    fix: str = ""
    needed_bytes: int = 0


class ErrorAnswer(msgspec.Struct):
    """An answer with a status of 400 or more."""

    error: ErrorBody


class Health(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``GET /health``: 200 ``ok``, or 503 while the model loads or after it failed to."""

    status: str = ""
    progress: float = 0.0
    error: ErrorBody | None = None
    n_ctx: int = 0
    """The longest prompt with its answer, in tokens (ours)."""
    notice: str = ""
    """What a person should know though the engine works: an adapter that is not used, and why (ours)."""


class Probe(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What ``fimble.engine.probe`` found out about a model, or the error that it met."""

    path: str
    description: str = ""
    n_params: int = 0
    n_ctx_train: int = 0
    licence: str = ""
    fim_tokens: list[int] = []
    family: str = ""
    """Whose order its prompts have (models/PROMPT.md); empty if only its tokens are known."""
    system_info: str = ""
    gpu: bool = False
    why_no_roll_back: str = ""
    """See `Props`."""
    error: ErrorBody | None = None


class Trial(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What ``fimble.engine.canary`` found out about a model by using it, or the error that it met."""

    probe: Probe | None = None
    right_logprob: float = 0.0
    """Of a token of the true middles, the mean natural logarithm; ``wrong_logprob`` with another file's suffix."""
    wrong_logprob: float = 0.0
    guess_logprob: float = 0.0
    """What a guess among all tokens gives."""
    end_probability: float = 0.0
    """How likely the model ends where the middle ends, the mean."""
    load_s: float = 0.0
    prompt_tokens_per_s: float = 0.0
    decode_tokens_per_s: float = 0.0
    memory_bytes: int = 0
    """The most that the process had in memory; 0 where the system does not tell."""
    error: ErrorBody | None = None


class Quantising(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A line of ``fimble.engine.quantising``: what it would come to, how far it is, or the error that it met."""

    source_bytes: int = 0
    target_bytes: int = 0
    types: list[str] = []
    """How the source's tensors are kept, in llama.cpp's names."""
    progress: float = 0.0
    error: ErrorBody | None = None
