"""The model as an engine's settings want it, and the contexts that compute with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fimble import digests, memory
from fimble.engine.adapted import Adapted
from fimble.engine.capacity import TOO_LARGE_FIX, check_room
from fimble.engine.generator import CHUNK_TOKENS, Generator
from fimble.engine.healing import Pieces
from fimble.engine.job import Job
from fimble.engine.llama import Context, Decoded, Model, can_use_gpu, sequence_bytes
from fimble.engine.shelf import Shelf
from fimble.engine.sizes import how_many_more_sequences, how_many_sequences
from fimble.engine.tuning import cores
from fimble.engine.wire import Counters, EngineSettings, Tuning
from fimble.errors import EngineError, ModelCorrupt, ModelTooLarge


class Loaded:
    """A model in memory; every context of it has the same settings, so that they can hand sequences to each other.

    Raises FimbleError, each with what to do about it.
    """

    def __init__(
        self, settings: EngineSettings, begin: Callable[[Model], Tuning], on_progress: Callable[[float], None]
    ) -> None:
        check_room(settings)
        # Here, because it may take as long as reading the file does, and no window waits for it.
        digests.check(Path(settings.model_path), settings.model_sha256, on_progress)
        self.model = Model(
            Path(settings.model_path),
            on_progress,
            mmap=settings.mmap,
            mlock=settings.mlock,
            gpu_layers=settings.gpu_layers,
        )
        self.n_ctx = min(settings.context_tokens, self.model.n_ctx_train or settings.context_tokens)
        self._settings = settings
        self._sequence_bytes = sequence_bytes(self.model, self.n_ctx, settings.kv_type)
        self._best = begin(self.model)
        self._is_simple = False
        self._adapted = Adapted(settings.adapter, self.model)
        self._shelf = Shelf(settings.cache_mb * 1_000_000)
        self.pieces = Pieces(self.model.vocab)

    @property
    def notice(self) -> str:
        """Why the adapter is not used, for a person."""
        return self._adapted.notice

    def first_generator(self, counters: Counters, prepare: Callable[[Job], None]) -> tuple[Context, Generator]:
        """What the first window writes with.  Raises ModelCorrupt if the weights compute nonsense."""
        count = how_many_sequences(self.model.size_bytes, self._sequence_bytes)
        context = self._new_context(count)
        self._is_simple = context.is_simple
        check_finite(self.model, context)
        self._adapted.use_in(context, lambda: check_finite(self.model, context))
        return context, self._new_generator(context, count, counters, prepare)

    @property
    def n_seq_more(self) -> int:
        """How many sequences a second lane has; 0 where one lane is better.

        That is so where there is one core or thread, where a GPU computes, which has no cores to divide, and where
        contexts cannot hand over what they evaluated.
        """
        has_one_core = min(self._settings.threads or cores(), cores()) < 2
        if has_one_core or (self._settings.gpu_layers and can_use_gpu()) or not self._is_simple:
            return 0
        return how_many_more_sequences(self.model.size_bytes, self._sequence_bytes, self._shelf.max_bytes)

    def next_generator(self, counters: Counters, prepare: Callable[[Job], None]) -> tuple[Context, Generator]:
        """The same for those who work at the same time.  Raises ModelTooLarge if there is no memory for it."""
        count = self.n_seq_more
        needed, free = count * self._sequence_bytes, memory.available()
        if 2 * needed > free.n_bytes:
            raise ModelTooLarge(f"{free.limit} leaves {free.n_bytes // 1_000_000} MB.", TOO_LARGE_FIX)
        context = self._new_context(count)
        self._adapted.use_in(context, lambda: None)
        return context, self._new_generator(context, count, counters, prepare)

    def _new_context(self, count: int) -> Context:
        return Context(
            self.model,
            n_ctx=self.n_ctx,
            n_seq=count,
            n_batch=CHUNK_TOKENS,
            threads=self._best.threads,
            threads_batch=self._best.threads_batch,
            flash_attention=self._best.flash_attention,
            kv_type=self._settings.kv_type,
        )

    def _new_generator(
        self, context: Context, count: int, counters: Counters, prepare: Callable[[Job], None]
    ) -> Generator:
        return Generator(self.model, context, self.n_ctx, count, counters, self._shelf, prepare, self.pieces)


def check_finite(model: Model, context: Context) -> None:
    """Refuse weights that compute nonsense: flipped bits load without a word and then give NaN."""
    tokens = model.vocab.tokenize("def add(a, b):\n    return a + b\n")
    try:
        status = context.decode(tokens[:CHUNK_TOKENS], 0, 0)
    except EngineError as failure:
        raise ModelCorrupt(f"{model.path} cannot be computed with: {failure.message}", "Download it again.") from None
    finite = status is Decoded.OK and bool(np.isfinite(context.logits()).all())
    context.clear(0)
    if not finite:
        raise ModelCorrupt(
            f"{model.path} is damaged: its weights give numbers that are not finite.", "Download it again."
        )
