"""One answer in the making: what was asked, how far it is, and what is known of it at its end."""

from __future__ import annotations

import time

from fimble.engine.answer import Answer
from fimble.engine.drafts import Draft, Drafts
from fimble.engine.healing import Healing
from fimble.engine.job import Job
from fimble.engine.llama import Vocab
from fimble.engine.prompt import Prompt
from fimble.engine.sampling import Ids, Logits, Sampler, describe
from fimble.engine.sequences import Sequence
from fimble.engine.wire import Chunk, Timings


class Run:
    """A job with its prompt: *tokens* are to be in the cache, then one more is written at a time.

    *tokens* is the prompt as it is evaluated (*healing* may want some of it written anew), *draft* what is
    expected to be written.  Belongs to the inference thread.
    """

    def __init__(self, job: Job, prompt: Prompt, tokens: tuple[int, ...], healing: Healing, draft: Draft) -> None:
        request = job.request
        self.job, self.prompt = job, prompt
        self.tokens = list(tokens)
        self.draft = draft
        self.sequence: Sequence | None = None
        self.owner = request.session
        # One token earlier than they seem to belong: the last token of a prompt is always evaluated.
        self.checkpoints = (len(prompt.tokens) - prompt.typed - 1, len(tokens) - 1)
        """Where the next prompts of this session may go on: before what was typed, and before the answer."""
        self.stop_type = ""
        self.cached: int | None = None
        self.evaluated = self.predicted = self.guessed = self.guessed_right = 0
        self._stopping_word = ""
        self._prompt_tokens = len(tokens)
        self._most_tokens = len(prompt.tokens) + prompt.n_predict
        self._healing = healing
        self._sampler = Sampler(request.temperature, request.top_k, request.top_p, request.seed)
        self._answer = Answer(request.stop)
        self._clock = _Clock(job.arrived)

    @property
    def pending(self) -> int:
        """How many tokens still have to be evaluated before the next one can be written."""
        return len(self.tokens) - (len(self.sequence.tokens) if self.sequence else 0)

    @property
    def spent_ms(self) -> dict[str, float]:
        """The time spent ``queued``, on the ``prompt`` and on what was ``predicted``, up to the last change."""
        return self._clock.spent_ms

    @property
    def is_writing(self) -> bool:
        """Whether the prompt is evaluated and the answer has begun."""
        return len(self.tokens) > self._prompt_tokens

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return bool(self.stop_type or self.job.ended_by)

    def seat(self, sequence: Sequence) -> None:
        """Go on in *sequence*, which holds the beginning already."""
        if self.cached is None:
            self.cached = len(sequence.tokens)
        self.sequence = sequence
        sequence.is_held = True
        self._clock.enter("predicted" if self.predicted else "prompt")

    def leave(self) -> None:
        """Let go of the sequence: others come first, or this is the end.  What it holds may be found again."""
        if self.sequence:
            self.sequence.is_held = False
            self.sequence = None
        self._clock.enter("queued")

    def write(self, logits: Logits, vocab: Vocab, drafts: Drafts) -> bool:
        """Choose the next token and emit its text; ``stop_type`` is set at the end of the answer.

        Returns whether it is the one that was guessed.  A token that does no more than repeat typed text is not
        counted, and its time belongs to the prompt.
        """
        allowed = self._healing.allowed()
        token = self._sampler.pick(logits, allowed)
        is_guessed = self._compare(token, drafts)
        if vocab.is_end(token):
            self.stop_type = "eos"
            return is_guessed
        self.tokens.append(token)
        typed = len(self._healing.rest)
        added = self._healing.take(token, vocab.piece(token))
        if added:
            self.predicted += 1
            self._clock.enter("predicted")
        self._emit(self._answer.feed(added), self._details(logits, token, allowed, typed, vocab))
        self._look_for_the_end()
        return is_guessed

    def _compare(self, token: int, drafts: Drafts) -> bool:
        """Whether *token* is what the draft says."""
        if not self.draft.guesses:
            return self.draft.follow(token)
        stage = next(self.draft.stages())
        is_right = self.draft.follow(token)
        drafts.note(stage, is_right)
        return is_right

    def finish(self) -> Chunk:
        """The last chunk, after what was still held back."""
        self.leave()
        self._emit(self._answer.finish(), None)
        return self.last_chunk()

    def last_chunk(self) -> Chunk:
        """How the answer ended, or would end now."""
        spent = self.spent_ms
        return Chunk(
            stop=True,
            stop_type=self.stop_type or self.job.ended_by or "limit",
            stopping_word=self._stopping_word,
            tokens_evaluated=self._prompt_tokens,
            truncated=self.prompt.truncated,
            timings=Timings(
                cache_n=self.cached or 0,
                prompt_n=self.evaluated,
                predicted_n=self.predicted,
                draft_n=self.guessed,
                draft_n_accepted=self.guessed_right,
                prompt_ms=round(spent["prompt"], 3),
                predicted_ms=round(spent["predicted"], 3),
                queued_ms=round(spent["queued"], 3),
            ),
        )

    def _look_for_the_end(self) -> None:
        limit_ms = self.job.request.t_max_predict_ms
        if self._answer.stopping_word:
            self.stop_type, self._stopping_word = "word", self._answer.stopping_word
        elif self.predicted >= self.prompt.n_predict or len(self.tokens) >= self._most_tokens:
            self.stop_type = "limit"
        elif limit_ms > 0 and self._clock.now_ms("predicted") > limit_ms:
            self.stop_type = "deadline"

    def _details(
        self, logits: Logits, token: int, allowed: Ids | None, typed: int, vocab: Vocab
    ) -> list[dict[str, object]] | None:
        count = self.job.request.n_probs
        if count <= 0:
            return None
        return [describe(logits, token, count, lambda other: vocab.piece(other)[typed:], allowed)]

    def _emit(self, text: str, details: list[dict[str, object]] | None) -> None:
        if text or details:
            self.job.emit(Chunk(content=text, completion_probabilities=details))


class _Clock:
    """Adds up what was spent in which phase, in milliseconds."""

    def __init__(self, started: float) -> None:
        self.spent_ms = {"queued": 0.0, "prompt": 0.0, "predicted": 0.0}
        self._phase, self._since = "queued", started

    def enter(self, phase: str) -> None:
        if phase != self._phase:
            now = time.monotonic()
            self.spent_ms[self._phase] += (now - self._since) * 1000
            self._phase, self._since = phase, now

    def now_ms(self, phase: str) -> float:
        running = (time.monotonic() - self._since) * 1000 if phase == self._phase else 0.0
        return self.spent_ms[phase] + running
