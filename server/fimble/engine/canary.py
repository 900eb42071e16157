"""Use a model on a few built-in prompts, in a process of its own, before anybody depends on it.

``python -m fimble.engine.canary SETTINGS_JSON`` prints one line of JSON, a `Trial`.  llama.cpp may end the process;
then the exit status is the finding.  The process takes no more memory than was free when it began.

What a model must do is little, so that every one that was trained to fill in passes, the smallest too, and random
weights do not (`check`).  It says nothing about how good the model is.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np
import numpy.typing as npt
import psutil

from fimble import memory
from fimble.engine.capacity import TOO_LARGE_FIX, check_room, how_many_sequences
from fimble.engine.failures import error_body
from fimble.engine.generator import CHUNK_TOKENS
from fimble.engine.llama import Context, Decoded, Model, Part, can_use_gpu, sequence_bytes
from fimble.engine.probe import describe
from fimble.engine.prompt import render_infill
from fimble.engine.sampling import log_probabilities
from fimble.engine.scheduler import check_finite
from fimble.engine.tuner import Tuner
from fimble.engine.wire import EngineSettings, InfillRequest, Trial, Tuning
from fimble.errors import EngineError, ModelCorrupt, ModelError, ModelNoFim, ModelTooLarge


@dataclass(frozen=True, slots=True)
class Gap:
    """A middle that what stands around it all but says, by repeating its pattern; it ends where a line ends."""

    filename: str
    prefix: str
    middle: str
    suffix: str


#: Several languages, 40 tokens each: a model of seven billion weights reads them all in half a minute on two cores.
GAPS = (
    Gap(
        "user.py",
        "class User:\n    def __init__(self, name, email, age):\n        ",
        "self.name = name",
        "\n        self.email = email\n        self.age = age\n",
    ),
    Gap("point.rs", "struct Point {\n    ", "x: f64,", "\n    y: f64,\n    z: f64,\n}\n"),
    Gap(
        "colors.js",
        "const colors = {\n  ",
        'red: "#ff0000",',
        '\n  green: "#00ff00",\n  blue: "#0000ff",\n};\n',
    ),
    Gap(
        "stack.c",
        "int stack_size(struct stack *s);\n",
        "int stack_pop(struct stack *s);",
        "\nint stack_top(struct stack *s);\nint stack_empty(struct stack *s);\n",
    ),
    Gap(
        "day.go",
        'switch day {\n\tcase "sat":\n\t\t',
        "return true",
        '\n\tcase "sun":\n\t\treturn true\n\tdefault:\n\t\treturn false\n\t}\n',
    ),
    Gap(
        "Pair.java",
        "class Pair {\n    private int left;\n    ",
        "private int right;",
        "\n\n    int right() {\n        return right;\n    }\n}\n",
    ),
)

#: The mean probability of ending where the middle ends, that any model reaches which was taught to end there.  The
#: bundled one of 7 million weights: 0.44; random weights: 0.0005 and less.
_LEAST_END_PROBABILITY = 0.01

#: Where a control token is looked for: the likeliest so many.
_LOOKED_AT = 64

_CONTEXT_TOKENS = 512
_WRITTEN_TOKENS = 24

#: Reading is timed on so many tokens, or for so long.
_READ_TOKENS, _READ_S = 512, 2.0


def main(argv: list[str]) -> int:
    """Load the model as the engine would, use it, and say how it did."""
    settings = msgspec.json.decode(argv[0], type=EngineSettings)
    try:
        trial = run(settings)
        check(Path(settings.model_path).name, trial)
    except ModelError as failure:
        trial = Trial(error=error_body(failure, 1))
    except EngineError as failure:
        broken = ModelCorrupt(f"{settings.model_path} cannot be computed with: {failure.message}", "Download it again.")
        trial = Trial(error=error_body(broken, 1))
    except MemoryError:
        too_large = ModelTooLarge(f"There is not enough memory for {settings.model_path}.", TOO_LARGE_FIX)
        trial = Trial(error=error_body(too_large, 1))
    sys.stdout.write(msgspec.json.encode(trial).decode() + "\n")
    return 0


def run(settings: EngineSettings) -> Trial:
    """Use the model.  Raises the ModelError of what cannot be loaded, or writes nonsense."""
    began = perf_counter()
    check_room(settings)
    _limit_memory(Path(settings.model_path).stat().st_size)
    model = Model(Path(settings.model_path), mmap=settings.mmap, mlock=settings.mlock, gpu_layers=settings.gpu_layers)
    tuner = Tuner(settings, lambda: False)
    tuner.go_on()
    context = _open(model, settings, tuner.begin(model))
    check_finite(model, context)
    trial = Trial(probe=describe(model), load_s=perf_counter() - began)
    for step in (_fill_gaps, _write, _read):
        tuner.adapt(context)  # on a busy machine fewer threads are faster
        step(model, context, trial)
    trial.memory_bytes = int(getattr(psutil.Process().memory_info(), "peak_wset", 0)) or _peak_bytes()
    return trial


def check(name: str, trial: Trial) -> None:
    """Refuse a model that does not fill in.  Three things, each of all prompts together:

    the true middles are likelier than a guess among all tokens (random weights: about as likely, or less); they are
    likelier with what follows them than with what follows elsewhere (else the suffix is not understood, or the family
    is asked in the wrong order); and where they end, ending is a likely choice (a model whose tokens exist but were
    never trained writes on).  Raises ModelNoFim.
    """
    why = ""
    if not trial.right_logprob > trial.guess_logprob:
        why = "it knows nothing about code"
    elif not trial.right_logprob > trial.wrong_logprob:
        why = "it does not regard what follows the cursor"
    elif not trial.end_probability >= _LEAST_END_PROBABILITY:
        why = "it does not end where the gap ends"
    if why:
        raise ModelNoFim(
            f"{name} does not fill in the middle: {why} (the true text {trial.right_logprob:.2f}, with another suffix "
            f"{trial.wrong_logprob:.2f}, a guess {trial.guess_logprob:.2f} a token; ends {trial.end_probability:.4f}).",
            "Choose a base (not a chat) model that was trained for it.",
        )


def _limit_memory(file_bytes: int) -> None:
    """Let this process fail rather than the machine: by address space, of which a mapped file has its size for free."""
    if can_use_gpu():
        return  # drivers reserve address space by the hundred gigabytes
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = int(psutil.Process().memory_info().vms) + memory.available().n_bytes + file_bytes
        if soft == resource.RLIM_INFINITY or most < soft:
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _open(model: Model, settings: EngineSettings, threads: Tuning) -> Context:
    """A context as large as the engine's: whether there is memory for it is part of the question."""
    n_ctx = min(settings.context_tokens, model.n_ctx_train or settings.context_tokens)
    return Context(
        model,
        n_ctx=n_ctx,
        n_seq=how_many_sequences(model.size_bytes, sequence_bytes(model, n_ctx, settings.kv_type)),
        n_batch=CHUNK_TOKENS,
        threads=threads.threads,
        threads_batch=threads.threads_batch,
        flash_attention=threads.flash_attention,
        kv_type=settings.kv_type,
    )


def _fill_gaps(model: Model, context: Context, trial: Trial) -> None:
    right, wrong, ends = list[float](), list[float](), list[float]()
    for gap, other in zip(GAPS, (*GAPS[1:], GAPS[0]), strict=True):
        right += _logprobs(model, context, gap, gap.suffix)
        ends.append(_end_probability(model, context))
        wrong += _logprobs(model, context, gap, other.suffix)
    trial.right_logprob, trial.wrong_logprob = float(np.mean(right)), float(np.mean(wrong))
    trial.guess_logprob = -float(np.log(model.vocab.size))
    trial.end_probability = float(np.mean(ends))


def _logprobs(model: Model, context: Context, gap: Gap, suffix: str) -> Iterator[float]:
    """Of each token of the true middle, with *suffix* behind it.  Afterwards the context stands behind the middle."""
    tokens, n_middle = _prompt(model, gap, suffix, gap.middle)
    at = len(tokens) - n_middle
    _evaluate(context, tokens[:at], 0)
    yield float(_log_probabilities(model, context)[tokens[at]])
    context.decode_together((Part(tokens[at:], 0, at, outputs=n_middle),))
    for row, token in enumerate(tokens[at + 1 :]):
        yield float(_log_probabilities(model, context, row)[token])


def _prompt(model: Model, gap: Gap, suffix: str, typed: str) -> tuple[tuple[int, ...], int]:
    """The prompt's tokens, and how many of them are *typed*."""
    request = InfillRequest(input_prefix=gap.prefix, input_suffix=suffix, prompt=typed, filename=gap.filename)
    prompt = render_infill(request, model.vocab, model.fim, _CONTEXT_TOKENS)
    return prompt.tokens, prompt.typed


def _end_probability(model: Model, context: Context) -> float:
    found = _log_probabilities(model, context)
    likeliest = np.argsort(found)[-_LOOKED_AT:]
    return float(sum(np.exp(found[token]) for token in likeliest if model.vocab.is_end(int(token))))


def _log_probabilities(model: Model, context: Context, row: int = -1) -> npt.NDArray[np.float32]:
    logits = context.logits(row)
    if not np.isfinite(logits).all():
        raise ModelCorrupt(
            f"{model.path} is damaged: its weights give numbers that are not finite.", "Download it again."
        )
    return log_probabilities(logits)


def _evaluate(context: Context, tokens: tuple[int, ...], start: int) -> None:
    """Decode *tokens* from position *start* of the first sequence; 0 begins anew."""
    if start == 0:
        context.clear(0)
    for at in range(0, len(tokens), CHUNK_TOKENS):
        if context.decode(tokens[at : at + CHUNK_TOKENS], 0, start + at) is not Decoded.OK:
            raise ModelTooLarge("The context has no room for a short prompt.", "Raise engine.context_tokens.")


def _write(model: Model, context: Context, trial: Trial) -> None:
    """Let it fill some gaps: text must come, and not one token for ever; how fast it comes is timed."""
    answers, seconds = list[list[int]](), list[float]()
    for gap in GAPS[:3]:
        tokens, _ = _prompt(model, gap, gap.suffix, "")
        _evaluate(context, tokens, 0)
        answer = list[int]()
        for at in itertools.count(len(tokens)):
            token = int(np.argmax(_log_probabilities(model, context)))
            if model.vocab.is_end(token) or len(answer) == _WRITTEN_TOKENS:
                break
            answer.append(token)
            began = perf_counter()
            _evaluate(context, (token,), at)
            context.logits()  # waits for a GPU
            seconds.append(perf_counter() - began)
        answers.append(answer)
    # The fastest, as the engine's tuner has it: what another program delays says nothing about the model.
    trial.decode_tokens_per_s = 1 / min(seconds) if seconds else 0.0
    if all(_is_nonsense(model, answer) for answer in answers):
        raise ModelCorrupt(
            f"{model.path.name} writes nothing that can be read.", "Download it again, or choose another model."
        )


def _is_nonsense(model: Model, answer: list[int]) -> bool:
    """One token for ever, or bytes that are not UTF-8; a character that the last token began is not complete yet."""
    if len(answer) == _WRITTEN_TOKENS and len(set(answer)) == 1:
        return True
    data = b"".join(map(model.vocab.piece, answer))
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as failure:
        return failure.reason != "unexpected end of data"
    return False


def _read(model: Model, context: Context, trial: Trial) -> None:
    """Time the reading of a prompt."""
    text = "".join(gap.prefix + gap.middle + gap.suffix for gap in GAPS)
    tokens = model.vocab.tokenize(text)[:CHUNK_TOKENS]
    context.clear(1)
    began, seconds = perf_counter(), list[float]()
    for at in range(0, _READ_TOKENS - CHUNK_TOKENS, len(tokens)):
        before = perf_counter()
        if context.decode(tokens, 1, at) is not Decoded.OK or before - began > _READ_S:
            break
        context.logits()
        seconds.append(perf_counter() - before)
    trial.prompt_tokens_per_s = len(tokens) / min(seconds) if seconds else 0.0


def _peak_bytes() -> int:
    """The most that this process had in memory (getrusage(2): kilobytes on Linux, bytes on macOS)."""
    with contextlib.suppress(ImportError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
