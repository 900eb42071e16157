"""From prompts to answers: one decode after another, each with tokens of every job that is served."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fimble.engine.costs import Costs
from fimble.engine.drafts import Draft, Drafts
from fimble.engine.healing import Healing, Pieces, take_back
from fimble.engine.job import Job, Priority
from fimble.engine.llama import Context, Decoded, Model, Part
from fimble.engine.progressive import context_for
from fimble.engine.prompt import render_completion, render_infill
from fimble.engine.run import Run
from fimble.engine.sequences import Sequences
from fimble.engine.shelf import Shelf
from fimble.engine.wire import Chunk, Counters, InfillRequest
from fimble.errors import EngineError, FimbleError

_log = logging.getLogger("fimble.engine")

#: The most tokens in one llama_decode.  From 64 on, llama.cpp's attention works in tiles: a prompt of 1,900
#: tokens is evaluated 1.75 times as fast as with 63 (45 M, one core), for which logits may be accepted to differ
#: by the rounding of another order of sums.  128 gains another 4 % and would double the wait for a place.
CHUNK_TOKENS = 64


class Turn(NamedTuple):
    """What one run gets in a decode; *guesses* are the last of its *tokens*."""

    run: Run
    tokens: list[int]
    outputs: int
    guesses: int = 0


class Generator:
    """Serves jobs, several at a time.  Belongs to its lane's thread.

    Sequences are put aside on the *shelf*; *prepare* is given jobs that are for later.
    """

    def __init__(
        self,
        model: Model,
        context: Context,
        n_ctx: int,
        sequences: int,
        counters: Counters,
        shelf: Shelf | None = None,
        prepare: Callable[[Job], None] = lambda _job: None,
        pieces: Pieces | None = None,
    ) -> None:
        self._model = model
        self._vocab = model.vocab
        self._context = context
        self._n_ctx = n_ctx
        self._counters = counters
        self._can_roll_back = not model.why_no_roll_back
        self.sequences = Sequences(
            context, sequences, shelf=shelf, can_roll_back=self._can_roll_back, counters=counters
        )
        self._seated: list[Run] = []
        self._whose_turn = 0
        self._prepare = prepare
        self.costs = Costs(model.n_params)
        self._drafts = Drafts(self.costs)
        self.pieces = pieces or Pieces(model.vocab)

    def step(self, jobs: Sequence[Job], may_decode: Callable[[Sequence[Job]], bool] = lambda _jobs: True) -> None:
        """One decode for *jobs*, of equal priority; those that are over get the end of their answer.

        *may_decode* hears whose tokens are in the decode just before it begins, and may refuse it.
        """
        self._end_those_that_are_over()
        self._seat(jobs)
        if not self._seated:
            return
        turns = self._with_guesses(self._worth_it(plan(self._seated, has_checkpoints=not self._can_roll_back)))
        try:
            if may_decode([turn.run.job for turn in turns]) and self._decode(turns):
                self._write(turns)
        except Exception as failure:
            for turn in turns:
                self._end(turn.run, as_answer(failure))
        self._end_those_that_are_over()

    def _end_those_that_are_over(self) -> None:
        for run in [run for run in self._seated if run.is_over]:
            self._end(run)

    def _seat(self, jobs: Sequence[Job]) -> None:
        """Give a sequence to everyone for whom there is room; take it from those who are to wait."""
        for run in [run for run in self._seated if run.job not in jobs]:
            self._seated.remove(run)
            run.leave()
        for job in [job for job in jobs if not job.is_done]:
            if job.ended_by and not (job.run and job.run.sequence):
                self._counters.cancelled += job.ended_by == "cancelled"
                job.finish(job.run.last_chunk() if job.run else Chunk(stop=True, stop_type=job.ended_by))
            elif not (job.run and job.run.sequence):
                self._begin(job)

    def _begin(self, job: Job) -> None:
        try:
            run = job.run = job.run or self._new_run(job)
        except Exception as failure:
            job.finish(as_answer(failure))
            return
        if not all(sequence.is_held for sequence in self.sequences):
            is_new = run.cached is None
            sequence, shared = self.sequences.acquire(run.tokens, run.owner)
            run.seat(sequence)
            self._seated.append(run)
            self._counters.prompt_tokens_reused += shared if is_new else 0

    def _new_run(self, job: Job) -> Run:
        request = job.request
        run = self._render(job, self._n_ctx)
        if job.priority is Priority.INTERACTIVE and request.session and request.deadline_ms > 0:
            pending = len(run.tokens) - self.sequences.reusable(run.tokens)
            left_ms = request.deadline_ms - (time.monotonic() - job.arrived) * 1000
            n_ctx = context_for(pending, run.prompt.n_predict, self._n_ctx, left_ms, self.costs)
            if n_ctx < self._n_ctx and len((short := self._render(job, n_ctx)).tokens) < pending:
                self._counters.short_prompts += 1
                self._prepare(Job(request, lambda _item: None, is_preparation=True))
                # A sequence of its own: the long prompt's, as far as it is, must not be cut for this.
                short.owner += " short"
                return short
        return run

    def _render(self, job: Job, n_ctx: int) -> Run:
        request = job.request
        if isinstance(request, InfillRequest):
            prompt = render_infill(request, self._vocab, self._model.fim, n_ctx)
        else:
            prompt = render_completion(request, self._vocab, n_ctx)
        if not prompt.tokens:
            raise ValueError("the prompt is empty")
        tokens, healing = prompt.tokens, Healing(self.pieces, (), b"")
        if isinstance(request, InfillRequest) and request.heal:
            tokens, healing = take_back(prompt, request.prompt, self._vocab, self.pieces)
        draft = Draft(b"", self._vocab)
        if request.temperature <= 0:  # a random choice is not checked against a guess
            taken = prompt.tokens[len(tokens) :]
            draft = Draft(healing.rest + request.draft.encode("utf-8", "replace"), self._vocab, taken)
        return Run(job, prompt, tokens, healing, draft)

    def _worth_it(self, turns: list[Turn]) -> list[Turn]:
        """All of them, or one after the other where writing together is slower."""
        if len(turns) == 1 or any(len(turn.tokens) > 1 for turn in turns) or self.costs.pays_together(len(turns)):
            return turns
        self._whose_turn += 1
        return [turns[self._whose_turn % len(turns)]]

    def _with_guesses(self, turns: list[Turn]) -> list[Turn]:
        """Let a run that is alone have some of its draft checked, where there is room and it is worth it."""
        run, tokens, outputs, _ = turns[0]
        guesses = run.draft.guesses
        if len(turns) > 1 or not outputs or not guesses or not self._can_roll_back:
            return turns
        # The last token that may be written needs no guess, and no check; those that were taken back are not counted.
        left = run.prompt.n_predict and run.prompt.n_predict - run.predicted - 1 + run.draft.taken
        room = min(CHUNK_TOKENS - len(tokens), left, len(guesses))
        count = self._drafts.how_many(run.draft.stages(), max(room, 0), len(tokens))
        return [Turn(run, [*tokens, *list(guesses)[:count]], 1 + count, count)]

    def _decode(self, turns: Sequence[Turn]) -> bool:
        """Evaluate what was planned; False if it was aborted.  Raises EngineError when there is no room for it."""
        parts = [Part(tokens, s.id, len(s.tokens), outputs) for run, tokens, outputs, _ in turns if (s := run.sequence)]
        try:
            began = time.perf_counter()
            status = self._context.decode_together(parts)
        except EngineError:
            self._resync(turns)
            raise
        if status is Decoded.OK:
            self._note_evaluated(turns, (time.perf_counter() - began) * 1000)
            return True
        self._resync(turns)
        if status is Decoded.ABORTED:
            self._counters.decode_aborts += 1
            return False
        raise EngineError(f"The context of {self._n_ctx} tokens is full.", "Raise engine.context_tokens.")

    def _note_evaluated(self, turns: Sequence[Turn], ms: float) -> None:
        self.costs.note(sum(len(turn.tokens) for turn in turns), ms)
        self._counters.decodes += 1
        self._counters.decode_sequences += len(turns)
        for run, tokens, _, guesses in turns:
            assert run.sequence is not None
            run.sequence.tokens.extend(tokens)
            if not self._can_roll_back and len(run.sequence.tokens) in run.checkpoints:
                self.sequences.checkpoint(run.sequence)
            if not run.is_writing:
                run.evaluated += len(tokens) - guesses
                self._counters.prompt_tokens_evaluated += len(tokens) - guesses

    def _resync(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            assert turn.run.sequence is not None
            self.sequences.resync(turn.run.sequence)

    def _write(self, turns: Sequence[Turn]) -> None:
        """Write a token for everyone whose prompt is evaluated, and more where guesses were right."""
        row = 0
        for turn in turns:
            row += len(turn.tokens)
            if turn.outputs and (turn.run.job.is_preparation or not turn.run.prompt.n_predict):
                turn.run.stop_type = "limit"
            elif turn.outputs and not turn.run.job.ended_by:
                before = turn.run.predicted
                self._write_one(turn, row - turn.outputs)
                self._counters.tokens_predicted += turn.run.predicted - before

    def _write_one(self, turn: Turn, row: int) -> None:
        """Write what the logits from *row* on say, until a guess was wrong; forget what was evaluated in vain."""
        run, sequence = turn.run, turn.run.sequence
        assert sequence is not None
        right, taken = 0, min(run.draft.taken, turn.guesses)
        while run.write(self._context.logits(row + right), self._vocab, self._drafts) and right < turn.guesses:
            right += 1
            if run.stop_type:
                break
        run.guessed += turn.guesses - taken
        run.guessed_right += max(right - taken, 0)
        self._counters.draft_tokens += turn.guesses - taken
        self._counters.draft_tokens_accepted += max(right - taken, 0)
        if right < turn.guesses:
            self.sequences.truncate(sequence, len(sequence.tokens) - turn.guesses + right)

    def _end(self, run: Run, failure: Exception | None = None) -> None:
        """Let go of what *run* holds and emit the end of its answer, unless it was told while the run waited."""
        if run in self._seated:
            self._seated.remove(run)
        if run.job.is_done:
            run.leave()
            return
        self._counters.cancelled += run.job.ended_by == "cancelled" and not run.job.is_preparation
        last = run.finish()
        self._counters.prompt_ms += run.spent_ms["prompt"]
        self._counters.predicted_ms += run.spent_ms["predicted"]
        run.job.finish(failure or last)


def plan(runs: Sequence[Run], has_checkpoints: bool = False) -> list[Turn]:
    """Who gets how much of the next decode: a token for each who writes, equal shares of the rest for prompts.

    What a short prompt does not need of its share goes to the longer ones.  With *has_checkpoints* no share goes
    beyond a place where the sequence is to be copied.
    """
    runs = sorted(runs, key=lambda run: run.pending)
    turns = []
    room = CHUNK_TOKENS
    for n, run in enumerate(runs):
        assert run.sequence is not None
        share = min(run.pending, max(room // (len(runs) - n), 1))
        start = len(run.sequence.tokens)
        if has_checkpoints:
            share = min([share, *(place - start for place in run.checkpoints if place > start)])
        turns.append(Turn(run, run.tokens[start : start + share], int(share == run.pending)))
        room -= share
    # llama.cpp computes together what is of neighbouring sequences, in their order (llama_batch_allocr::split_equal).
    return sorted(turns, key=lambda turn: turn.run.sequence.id if turn.run.sequence else 0)


def as_answer(failure: Exception) -> Exception:
    """What is told of *failure*.  A bug leaves its traceback in the log and costs the answer that it met."""
    if isinstance(failure, FimbleError | ValueError):
        return failure
    _log.error("a request failed", exc_info=failure)
    return EngineError(f"The engine failed: {failure!r}.")
