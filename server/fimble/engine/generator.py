"""From a prompt to an answer: evaluate what the cache does not have, then write token by token."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fimble.engine.answer import Answer
from fimble.engine.llama import Context, Decoded, Model
from fimble.engine.prompt import Prompt, render_completion, render_infill
from fimble.engine.sampling import Sampler, describe
from fimble.engine.sequences import Sequence, Sequences
from fimble.engine.wire import Chunk, CompletionRequest, Counters, InfillRequest, Timings
from fimble.errors import EngineError

#: Tokens in one llama_decode of a prompt.  Small enough that a long prompt yields soon, large enough that
#: llama.cpp's matrix kernels are busy.
CHUNK_TOKENS = 64


@dataclass(eq=False, slots=True)
class Job:
    """One request on its way.  *emit* is called on the inference thread; the last chunk has ``stop`` set."""

    request: InfillRequest | CompletionRequest
    emit: Callable[[Chunk | Exception], None]
    arrived: float = field(default_factory=time.monotonic)
    ended_by: str = ""
    """Why the job must end early (``cancelled`` or ``deadline``), empty while it may go on."""

    @property
    def is_warming(self) -> bool:
        return self.request.n_predict == 0


class Generator:
    """Evaluates one job's prompt and writes its answer.  Belongs to the inference thread."""

    def __init__(self, model: Model, context: Context, n_ctx: int, sequences: int, counters: Counters) -> None:
        self._model = model
        self._vocab = model.vocab
        self._context = context
        self._n_ctx = n_ctx
        self._counters = counters
        self._sequences = Sequences(context, sequences)

    def serve(self, job: Job) -> None:
        """Answer *job*, however it ends."""
        started = time.monotonic()
        prompt = self._render(job)
        run = _Run(job, prompt, queued_ms=(started - job.arrived) * 1000)
        if not job.ended_by:
            sequence, run.cached = self._sequences.acquire(prompt.tokens, job.request.session)
            self._counters.prompt_tokens_reused += run.cached
            if self._evaluate(run, sequence) and prompt.n_predict > 0:
                self._write(run, sequence)
        if job.ended_by == "cancelled":
            self._counters.cancelled += 1
        job.emit(run.last_chunk())

    def _render(self, job: Job) -> Prompt:
        request = job.request
        if isinstance(request, InfillRequest):
            prompt = render_infill(request, self._vocab, self._model.fim, self._n_ctx)
        else:
            prompt = render_completion(request, self._vocab, self._n_ctx)
        if not prompt.tokens:
            raise ValueError("the prompt is empty")
        return prompt

    def _evaluate(self, run: _Run, sequence: Sequence) -> bool:
        """Bring the cache to the end of the prompt, chunk by chunk; False if the job ended before."""
        began = time.monotonic()
        tokens = run.prompt.tokens
        done = False
        while not run.job.ended_by and not (done := len(sequence.tokens) == len(tokens)):
            chunk = tokens[len(sequence.tokens) : len(sequence.tokens) + CHUNK_TOKENS]
            if not self._append(sequence, chunk):
                break
            run.evaluated += len(chunk)
            self._counters.prompt_tokens_evaluated += len(chunk)
        run.prompt_ms = (time.monotonic() - began) * 1000
        return done

    def _append(self, sequence: Sequence, tokens: tuple[int, ...]) -> bool:
        """Decode *tokens* at the end of *sequence*; False if the job was ended meanwhile."""
        try:
            status = self._context.decode(tokens, sequence.id, len(sequence.tokens))
            while status is Decoded.FULL and self._sequences.evict_one(keep=sequence):
                status = self._context.decode(tokens, sequence.id, len(sequence.tokens))
        except EngineError:
            self._sequences.resync(sequence)
            raise
        if status is Decoded.OK:
            sequence.tokens.extend(tokens)
            return True
        self._sequences.resync(sequence)
        if status is Decoded.ABORTED:
            self._counters.decode_aborts += 1
            return False
        raise EngineError(f"The context of {self._n_ctx} tokens is full.", "Raise engine.context_tokens.")

    def _write(self, run: _Run, sequence: Sequence) -> None:
        request = run.job.request
        sampler = Sampler(request.temperature, request.top_k, request.top_p, request.seed)
        answer = Answer(request.stop)
        began = time.monotonic()
        deadline = began + request.t_max_predict_ms / 1000 if request.t_max_predict_ms > 0 else float("inf")
        while not run.job.ended_by:
            logits = self._context.logits()
            token = sampler.pick(logits)
            if self._vocab.is_end(token):
                run.stop_type = "eos"
                break
            run.predicted += 1
            self._counters.tokens_predicted += 1
            text = answer.feed(self._vocab.piece(token))
            details = [describe(logits, token, request.n_probs, self._vocab.piece)] if request.n_probs > 0 else None
            run.emit(text, details)
            if answer.stopping_word:
                run.stop_type, run.stopping_word = "word", answer.stopping_word
                break
            if run.predicted >= run.prompt.n_predict:
                run.stop_type = "limit"
                break
            if time.monotonic() > deadline:
                run.stop_type = "deadline"
                break
            if not self._append(sequence, (token,)):
                break
        run.emit(answer.finish(), None)
        run.predicted_ms = (time.monotonic() - began) * 1000


@dataclass(slots=True)
class _Run:
    """What is known of a job while it is served."""

    job: Job
    prompt: Prompt
    queued_ms: float
    cached: int = 0
    evaluated: int = 0
    predicted: int = 0
    prompt_ms: float = 0.0
    predicted_ms: float = 0.0
    stop_type: str = ""
    stopping_word: str = ""

    def emit(self, text: str, details: list[dict[str, object]] | None) -> None:
        if text or details:
            self.job.emit(Chunk(content=text, completion_probabilities=details))

    def last_chunk(self) -> Chunk:
        return Chunk(
            stop=True,
            stop_type=self.stop_type or self.job.ended_by or "limit",
            stopping_word=self.stopping_word,
            tokens_evaluated=len(self.prompt.tokens),
            truncated=self.prompt.truncated,
            timings=Timings(
                cache_n=self.cached,
                prompt_n=self.evaluated,
                prompt_ms=round(self.prompt_ms, 3),
                predicted_n=self.predicted,
                predicted_ms=round(self.predicted_ms, 3),
                queued_ms=round(self.queued_ms, 3),
            ),
        )
