"""How surprised a model is by the true text: teacher-forced bits per byte, after the prompt that the product sends."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval_window import EvalFailed
from fimble.context.anchor import Anchors
from fimble.core import Document
from fimble.engine.healing import Healing, Pieces, take_back
from fimble.engine.llama import Context, Decoded, Model
from fimble.engine.prompt import render_infill
from fimble.engine.sampling import log_probabilities
from fimble.engine.wire import ExtraFile, InfillRequest
from fimble.settings import EngineConfig
from fimble.text import Text

_BATCH_TOKENS = 512
_SMALL_MODEL_PARAMS = 200e6
_RESAMPLES = 2000

Row = dict[str, Any]


class Reader:
    """A model that reads true texts and says how likely each was.

    *layout* is ``product`` (anchored, with token healing), ``unhealed`` (anchored, without), or ``plain`` (the prefix
    reaches to the cursor and nothing stands after the middle token, as other tools prompt).
    """

    def __init__(self, model: Path, layout: str = "product") -> None:
        self._model = Model(model)
        self._layout = layout
        self._pieces = Pieces(self._model.vocab)
        self._n_ctx = min(EngineConfig().context_tokens, self._model.n_ctx_train)
        # Threads wait for each other by spinning, which beside other work costs a small model far more than it gains.
        threads = 1 if self._model.n_params < _SMALL_MODEL_PARAMS else min(os.cpu_count() or 1, 8)
        batch = min(_BATCH_TOKENS, self._n_ctx)
        self._context = Context(
            self._model, n_ctx=self._n_ctx, n_seq=1, n_batch=batch, threads=threads, threads_batch=threads
        )

    def read(self, task: Row, with_context: bool) -> Row:
        """The bits that the true text of *task* costs, and its length in bytes.

        Where the end of what was typed is written anew, every probability is among the tokens that agree with it,
        as when the engine writes.  A text longer than half of the context counts as far as it fits.
        """
        request = self._request(task, with_context)
        prompt = render_infill(request, self._model.vocab, self._model.fim, self._n_ctx)
        if self._layout == "product":
            tokens, healing = take_back(prompt, request.prompt, self._model.vocab, self._pieces)
            bits = self._bits(tokens, healing, task["groundtruth"])
            if bits is not None:
                return {"id": task["id"], **bits}
        bits = self._bits(prompt.tokens, Healing(self._pieces, (), b""), task["groundtruth"])
        assert bits is not None
        return {"id": task["id"], **bits}

    def _request(self, task: Row, with_context: bool) -> InfillRequest:
        # Snippets stand in the prompt from the oldest to the newest; tasks name their best piece first.
        chunks = task.get("crossfile") or [] if with_context else []
        # As much of both sides as the product takes, so that snippets find the same room.
        document = Document(task["path"], task["path"], "", 1, Text(task["prefix"] + task["suffix"]))
        window = Anchors().window(document, len(task["prefix"]))
        is_plain = self._layout == "plain"
        return InfillRequest(
            input_prefix=window.prefix + (window.typed if is_plain else ""),
            prompt="" if is_plain else window.typed,
            input_suffix=window.suffix,
            input_extra=[ExtraFile(chunk["path"], chunk["text"]) for chunk in reversed(chunks)],
            filename=task["path"],
            n_predict=min(len(self._model.vocab.tokenize(task["groundtruth"])) + 2, self._n_ctx // 2),
        )

    def _bits(self, prompt: Sequence[int], healing: Healing, truth: str) -> Row | None:
        """None if the true text's own tokens cannot continue what was taken back."""
        vocab = self._model.vocab
        try:
            text = healing.rest.decode() + truth
        except UnicodeDecodeError:
            return None
        answer = vocab.tokenize(text)[: self._n_ctx // 2]
        size = -len(healing.rest) + sum(len(vocab.piece(token)) for token in answer)
        self._context.clear(0)
        for start in range(0, len(prompt), self._context.n_batch):
            self._decode(prompt[start : start + self._context.n_batch], start)
        bits = 0.0
        for place, token in enumerate(answer):
            likely = log_probabilities(self._context.logits())
            allowed = healing.allowed()
            if allowed is not None:
                if token not in allowed:
                    return None
                bits += float(np.logaddexp.reduce(likely[allowed])) / math.log(2)
            bits -= float(likely[token]) / math.log(2)
            healing.take(token, vocab.piece(token))
            if place + 1 < len(answer):
                self._decode((token,), len(prompt) + place)
        return {"bits": round(bits, 4), "bytes": size}

    def _decode(self, tokens: Sequence[int], start: int) -> None:
        if self._context.decode(tokens, 0, start) is not Decoded.OK:
            raise EvalFailed("The context is too small for a task.")


def bits_per_byte(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float, float]:
    """All bits by all bytes, with its bootstrap 95 % interval over tasks (Efron 1979, percentiles)."""

    def ratio(chosen: Sequence[Mapping[str, Any]]) -> float:
        return float(sum(row["bits"] for row in chosen) / max(sum(row["bytes"] for row in chosen), 1))

    dice = random.Random(7)
    again = sorted(ratio(dice.choices(rows, k=len(rows))) for _ in range(_RESAMPLES))
    return ratio(rows), again[int(0.025 * _RESAMPLES)], again[int(0.975 * _RESAMPLES)]
