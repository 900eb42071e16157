"""Batches for the trainer: rows of fixed length, packed by worker processes, the same for the same seed.

An *epoch* goes through every file once, in an order of its own.  Files are walked in *units* of up to 8,192 tokens; a
*chunk* is 16 units, packed into rows by one worker with a random generator of its own, made from (seed, epoch, chunk).
So a chunk is the same whoever makes it and whenever, each epoch draws new cuts, and a position in the data is two
numbers: the chunk and the row in it.

Samples are drawn to fit the room that is left in a row, so that little is padded.  Samples in one row see each other;
the end token stands between them.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from samples import Frame, Recipe, Sample, Sampler
from store import Flags, Store, Tokens

_UNIT_TOKENS = 8192
_CHUNK_UNITS = 16

#: A row with less room than this is closed.
_LEAST_ROOM = 48

#: Shortest sample that is drawn on purpose, in tokens.
_SHORTEST_SAMPLE = 192


@dataclass(frozen=True, slots=True)
class Position:
    """Where in the data a run stands: rows of earlier chunks are used up, and *row* rows of this one."""

    chunk: int = 0
    row: int = 0


class Packer:
    """Makes the rows of any chunk."""

    def __init__(self, store: Store, recipe: Recipe, context: int, seed: int) -> None:
        self._store = store
        self._sampler = Sampler(store, recipe)
        self._row_length = context + 1
        self._seed = seed
        self._units = [
            (number, part) for number, file in enumerate(store.files) for part in range(-(-file.text // _UNIT_TOKENS))
        ]
        self.chunks = -(-len(self._units) // _CHUNK_UNITS)
        self._order: tuple[int, npt.NDArray[np.int64]] = (-1, np.zeros(0, dtype=np.int64))

    def rows(self, chunk: int) -> tuple[Tokens, Flags]:
        """Tokens and loss flags, each [rows, context + 1], of chunk number *chunk* (counted through all epochs)."""
        epoch, index = divmod(chunk, self.chunks)
        if self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng((self._seed, epoch)).permutation(len(self._units)))
        rng = np.random.default_rng((self._seed, epoch, index + 1))
        rows: list[Sample] = [Sample()]
        for unit in self._order[1][index * _CHUNK_UNITS : (index + 1) * _CHUNK_UNITS]:
            self._add_unit(*self._units[int(unit)], rows, rng)
        tokens = np.full((len(rows), self._row_length), self._sampler.control.pad, dtype=np.uint16)
        flags = np.zeros((len(rows), self._row_length), dtype=bool)
        for i, row in enumerate(rows):
            tokens[i, : len(row.tokens)] = row.tokens
            flags[i, : len(row.loss)] = row.loss
        return tokens, flags

    def _add_unit(self, number: int, part: int, rows: list[Sample], rng: np.random.Generator) -> None:
        """Walk through one unit of a file, sample by sample; lines that no row can hold are passed over."""
        text = self._store.text(self._store.files[number])
        lines = self._store.safe_lines(text)
        stops = np.append(lines, len(text))
        place = int(stops[np.searchsorted(stops, part * _UNIT_TOKENS)])
        stop = int(stops[min(int(np.searchsorted(stops, (part + 1) * _UNIT_TOKENS)), len(stops) - 1)])
        while place < stop:
            frame = self._sampler.recipe.frame(rng)
            share = float(rng.uniform(0.5, 0.9)) if frame is Frame.SNIPPETS else 1.0
            for budget in self._budgets(rows, rng):
                room = int(self._sampler.room(number, budget) * share)
                end = int(stops[int(np.searchsorted(stops, min(place + max(room, 0), stop), side="right")) - 1])
                if end > place:
                    break
            else:
                place = int(stops[int(np.searchsorted(stops, place, side="right"))])
                continue
            if budget > self._row_length - len(rows[-1].tokens):
                rows.append(Sample())
            sample = self._sampler.sample(number, text[place:end], end == len(text), budget, frame, rng)
            rows[-1].tokens += sample.tokens
            rows[-1].loss += sample.loss
            place = end

    def _budgets(self, rows: list[Sample], rng: np.random.Generator) -> Iterator[int]:
        """Lengths for the next sample, to be tried in turn until a line fits: drawn, this row's room, a whole row.

        What is drawn is all of this row's room in half of the cases, else anything from short to that.
        """
        room = self._row_length - len(rows[-1].tokens)
        if room > 2 * _SHORTEST_SAMPLE and rng.random() < 0.5:
            drawn = int(np.exp(rng.uniform(np.log(_SHORTEST_SAMPLE), np.log(room))))
            if room - drawn >= _LEAST_ROOM:
                yield drawn
        if room >= _LEAST_ROOM:
            yield room
        yield self._row_length


_packer: Packer | None = None


def _start_worker(folder: Path, recipe: Recipe, context: int, seed: int) -> None:
    global _packer
    _packer = Packer(Store(folder), recipe, context, seed)


def _make_rows(chunk: int) -> tuple[Tokens, Flags]:
    assert _packer is not None
    return _packer.rows(chunk)


class Feed:
    """An endless stream of batches, prepared ahead by *workers* processes (0: made here, when asked for)."""

    def __init__(self, folder: Path, recipe: Recipe, context: int, seed: int, workers: int) -> None:
        self._arguments = (folder, recipe, context, seed)
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def batches(self, rows: int, start: Position) -> Iterator[tuple[Tokens, Flags, Position]]:
        """Batches of *rows* rows from *start* on, each with the position after it."""
        chunk, skip = start.chunk, start.row
        held: list[tuple[Tokens, Flags]] = []
        count = 0
        for tokens, flags in self._chunks(chunk):
            held.append((tokens[skip:], flags[skip:]))
            count += len(tokens) - skip
            skip = 0
            while count >= rows:
                all_tokens, all_flags = (np.concatenate(part) for part in zip(*held, strict=True))
                count -= rows
                yield all_tokens[:rows], all_flags[:rows], Position(chunk, len(tokens) - count)
                held = [(all_tokens[rows:], all_flags[rows:])]
            chunk += 1

    def _chunks(self, first: int) -> Iterator[tuple[Tokens, Flags]]:
        if self._workers == 0:
            packer = Packer(Store(self._arguments[0]), *self._arguments[1:])
            while True:
                yield packer.rows(first)
                first += 1
        # Workers start afresh rather than as copies of a process that holds a GPU and threads.
        self._pool = ProcessPoolExecutor(
            self._workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=self._arguments
        )
        pending: collections.deque[Future[tuple[Tokens, Flags]]] = collections.deque()
        while True:
            while len(pending) < 3 * self._workers:
                pending.append(self._pool.submit(_make_rows, first))
                first += 1
            yield pending.popleft().result()

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
