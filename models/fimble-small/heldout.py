"""How well a model writes middles of projects that it never saw: the figure that training is steered by.

The samples are the same at every look: cut as the product cuts (anchor at a line start, typed text after the middle
token), with snippets of the same project, taken in turn from the held-out languages.  Measured is only what the model
would have to write: bits per byte of the true text (teacher-forced: -log2 p, summed, over its bytes; the end token not
counted), and how often *every* token, the end included, was the likeliest one, which is when greedy decoding writes
exactly the true text.
"""

from __future__ import annotations

import collections
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from model import Decoder
from samples import Frame, Recipe, Sample, Sampler
from store import Store

_SEED = 20_261_122


@dataclass(frozen=True, slots=True)
class Score:
    """A look at the held-out middles."""

    bits_per_byte: float
    exact: float
    middles: int


def draw(store: Store, count: int, context: int) -> list[Sample]:
    """*count* samples of at most *context* tokens, fewer if the store is small."""
    sampler = Sampler(store, Recipe(middles=1.0, anchored=1.0))
    rng = np.random.default_rng(_SEED)
    by_language: dict[str, list[int]] = collections.defaultdict(list)
    for number, file in enumerate(store.files):
        by_language[file.language].append(number)
    languages = sorted(by_language)
    samples: list[Sample] = []
    for attempt in range(20 * count):
        members = by_language[languages[attempt % len(languages)]]
        number = members[int(rng.integers(len(members)))]
        text = store.text(store.files[number])
        lines = store.safe_lines(text)
        room = int(sampler.room(number, context) * 0.7)
        if not len(lines) or room < 32:
            continue
        start = int(lines[int(rng.integers(len(lines)))])
        stop = int(lines[int(np.searchsorted(lines, start + room, side="right")) - 1])
        stop = len(text) if len(text) - start <= room else stop
        if stop - start < 32:
            continue
        sample = sampler.sample(number, text[start:stop], stop == len(text), context, Frame.SNIPPETS, rng)
        if sample.answer_text:
            samples.append(sample)
        if len(samples) == count:
            break
    return samples


class HeldOut:
    """A fixed set of middles."""

    def __init__(self, folder: Path, count: int, context: int) -> None:
        store = Store(folder)
        self._samples = draw(store, count, context)
        if not self._samples:
            raise ValueError(f"{folder} has no text to make held-out middles from")
        # Of similar length side by side: little is padded.
        self._samples.sort(key=lambda sample: len(sample.tokens))

    @torch.no_grad()
    def score(self, model: Decoder, rows: int = 8) -> Score:
        """Look once, *rows* samples at a time."""
        nats, exact = 0.0, 0
        for i in range(0, len(self._samples), rows):
            batch = self._samples[i : i + rows]
            lost, hits = _score_batch(model, batch)
            nats += lost
            exact += hits
        size = sum(len(sample.answer_text) for sample in self._samples)
        return Score(nats / math.log(2) / size, exact / len(self._samples), len(self._samples))


def _score_batch(model: Decoder, batch: list[Sample]) -> tuple[float, int]:
    """The sum of -ln p over the true answers, and how many are exactly what greedy decoding writes."""
    device = model.embedding.weight.device
    longest = max(len(sample.tokens) for sample in batch)
    tokens = torch.zeros(len(batch), longest, dtype=torch.long)
    for i, sample in enumerate(batch):
        tokens[i, : len(sample.tokens)] = torch.tensor(sample.tokens)
    tokens = tokens.to(device)
    with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
        logits = model(tokens[:, :-1])
    nats, exact = 0.0, 0
    for i, sample in enumerate(batch):
        truth = tokens[i, sample.answer : len(sample.tokens)]
        said = logits[i, sample.answer - 1 : len(sample.tokens) - 1].float()
        likely = said.log_softmax(-1).gather(1, truth[:, None])[:, 0]
        nats -= float(likely[:-1].sum())
        exact += int(bool((said.argmax(-1) == truth).all()))
    return nats, exact
