"""Use a model on a few built-in prompts, in a process of its own, before anybody depends on it.

``python -m fimble.engine.canary SETTINGS_JSON`` prints one line of JSON, a `Trial`.  llama.cpp may end the process;
then the exit status is the finding.  The process takes no more memory than was free when it began.

What a model must do is little, so that every one that was trained to fill in passes, the smallest too, and random
weights do not (`check`).  It says nothing about how good the model is.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np
import numpy.typing as npt

from fimble import memory
from fimble.engine.capacity import TOO_LARGE_FIX, check_room
from fimble.engine.failures import error_body
from fimble.engine.generator import CHUNK_TOKENS
from fimble.engine.llama import Context, Decoded, Model, Part, can_use_gpu, sequence_bytes
from fimble.engine.loading import check_finite
from fimble.engine.probe import describe
from fimble.engine.prompt import render_infill
from fimble.engine.sampling import log_probabilities
from fimble.engine.sizes import how_many_sequences
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
#: bundled one: 0.93; one of 7 million weights: 0.44; random weights: 0.0005 and less.
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
    if not can_use_gpu():  # its drivers reserve address space by the hundred gigabytes
        # Let this process fail rather than the machine.  Of address space, a mapped file has its size for free.
        memory.limit(memory.available().n_bytes + Path(settings.model_path).stat().st_size)
    model = Model(Path(settings.model_path), mmap=settings.mmap, mlock=settings.mlock, gpu_layers=settings.gpu_layers)
    trying = _Trying(model, settings)
    trial = Trial(probe=describe(model), load_s=perf_counter() - began)
    for step in (trying.fill_gaps, trying.write, trying.read):
        step(trial)
    trial.memory_bytes = memory.peak_bytes()
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


class _Trying:
    """A model in use, with as many threads as suit what else the machine does."""

    def __init__(self, model: Model, settings: EngineSettings) -> None:
        self._tuner = Tuner(settings, lambda: False)
        self._tuner.go_on()
        self._model = model
        self._context = _open(model, settings, self._tuner.begin(model))
        check_finite(model, self._context)

    def fill_gaps(self, trial: Trial) -> None:
        """How likely the true middles are, with their own suffix and with another, and the end behind them."""
        right, wrong, ends = list[float](), list[float](), list[float]()
        for gap, other in zip(GAPS, (*GAPS[1:], GAPS[0]), strict=True):
            right += self._logprobs(gap, gap.suffix)
            ends.append(self._end_probability())
            wrong += self._logprobs(gap, other.suffix)
        trial.right_logprob, trial.wrong_logprob = float(np.mean(right)), float(np.mean(wrong))
        trial.guess_logprob = -float(np.log(self._model.vocab.size))
        trial.end_probability = float(np.mean(ends))

    def write(self, trial: Trial) -> None:
        """Let it fill some gaps: text must come, and not one token for ever; how fast it comes is timed."""
        answers, seconds = list[list[int]](), list[float]()
        for gap in GAPS[:3]:
            tokens, _ = self._prompt(gap, gap.suffix, "")
            self._evaluate(tokens, 0)
            answer = list[int]()
            for at in itertools.count(len(tokens)):
                token = int(np.argmax(self._log_probabilities()))
                if self._model.vocab.is_end(token) or len(answer) == _WRITTEN_TOKENS:
                    break
                answer.append(token)
                began = perf_counter()
                self._evaluate((token,), at)
                self._context.logits()  # waits for a GPU
                seconds.append(perf_counter() - began)
            answers.append(answer)
        # The fastest, as the engine's tuner has it: what another program delays says nothing about the model.
        trial.decode_tokens_per_s = 1 / min(seconds) if seconds else 0.0
        if all(_is_nonsense(self._model, answer) for answer in answers):
            raise ModelCorrupt(
                f"{self._model.path.name} writes nothing that can be read.",
                "Download it again, or choose another model.",
            )

    def read(self, trial: Trial) -> None:
        """Time the reading of a prompt."""
        text = "".join(gap.prefix + gap.middle + gap.suffix for gap in GAPS)
        tokens = self._model.vocab.tokenize(text)[:CHUNK_TOKENS]
        self._context.clear(0)
        began, seconds = perf_counter(), list[float]()
        for at in range(0, _READ_TOKENS, len(tokens)):
            before = perf_counter()
            if before - began > _READ_S or self._context.decode(tokens, 0, at) is not Decoded.OK:
                break
            self._context.logits()
            seconds.append(perf_counter() - before)
        trial.prompt_tokens_per_s = len(tokens) / min(seconds) if seconds else 0.0

    def _logprobs(self, gap: Gap, suffix: str) -> Iterator[float]:
        """Of each token of the true middle, with *suffix* behind it.  Then the context stands behind the middle."""
        tokens, n_middle = self._prompt(gap, suffix, gap.middle)
        at = len(tokens) - n_middle
        self._evaluate(tokens[:at], 0)
        yield float(self._log_probabilities()[tokens[at]])
        self._context.decode_together((Part(tokens[at:], 0, at, outputs=n_middle),))
        for row, token in enumerate(tokens[at + 1 :]):
            yield float(self._log_probabilities(row)[token])

    def _prompt(self, gap: Gap, suffix: str, typed: str) -> tuple[tuple[int, ...], int]:
        """The prompt's tokens, and how many of them are *typed*."""
        request = InfillRequest(input_prefix=gap.prefix, input_suffix=suffix, prompt=typed, filename=gap.filename)
        prompt = render_infill(request, self._model.vocab, self._model.fim, _CONTEXT_TOKENS)
        return prompt.tokens, prompt.typed

    def _end_probability(self) -> float:
        found = self._log_probabilities()
        likeliest = np.argsort(found)[-_LOOKED_AT:]
        return float(sum(np.exp(found[token]) for token in likeliest if self._model.vocab.is_end(int(token))))

    def _log_probabilities(self, row: int = -1) -> npt.NDArray[np.float32]:
        logits = self._context.logits(row)
        if not np.isfinite(logits).all():
            raise ModelCorrupt(
                f"{self._model.path} is damaged: its weights give numbers that are not finite.", "Download it again."
            )
        return log_probabilities(logits)

    def _evaluate(self, tokens: tuple[int, ...], start: int) -> None:
        """Decode *tokens* from position *start* on; 0 begins anew."""
        if start == 0:
            self._tuner.adapt(self._context)
            self._context.clear(0)
        for at in range(0, len(tokens), CHUNK_TOKENS):
            if self._context.decode(tokens[at : at + CHUNK_TOKENS], 0, start + at) is not Decoded.OK:
                raise ModelTooLarge("The context has no room for a short prompt.", "Raise engine.context_tokens.")


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
