"""The baseline that a network has to beat: a token 5-gram model of the same text.

    python ngram.py STORE --tasks TASKS.jsonl ... --out FOLDER

Interpolated modified Kneser-Ney smoothing as in S. F. Chen and J. Goodman, "An empirical study of smoothing techniques
for language modeling", Computer Speech & Language 13 (1999) 359-394, section 3 and appendix: three discounts for each
order, estimated from counts of counts; orders below the highest count in how many contexts an n-gram stands instead of
how often; the lowest is mixed with the uniform distribution.  The end of a file is no symbol of its own.

Fitting sorts every order once: 55 M tokens take about a minute and 4 GB.  For each file of tasks FOLDER gets one of the
same name with a line for each task, as `eval.py --mode logprob` writes it: {"id", "bits", "bytes"}.

What is measured: -log2 of the probability of the true text's bytes after the file's header and what stands left of the
cursor.  The model sees no suffix, no snippets and nothing further back than four tokens: that is what makes it a
baseline.  The network reads a word that the cursor cuts as tokens that only a cut makes, and was trained on such; an
n-gram model has never seen them.  So it gets the same bytes in a kinder form: left part and truth are cut into tokens
together, and the probability of those from the word at the cursor on is divided by that of all token sequences which
begin with what is typed of that word.  For all true texts together that is at most 1, so it is a fair code, and the
same bytes are counted.  ``--plain`` cuts left part and truth separately instead, as the product prompts.
"""

from __future__ import annotations

import argparse
import bisect
import heapq
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from store import Store, Tokens

Keys = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ORDER = 5

#: So much of the left part is cut into tokens: far more than four, and words are whole at its far end soon enough.
_LEFT_CHARS = 600

#: So many beginnings of a token sequence are followed at most.
_MOST_BEGINNINGS = 400

#: A vocabulary has 2**16 entries at most, so an n-gram is the number of its context, and this many bits of token.
_TOKEN_BITS = np.uint64(16)


class Level:
    """All n-grams of one length: ``keys`` are (number of the context << 16 | token), sorted; a number is an index."""

    def __init__(self, keys: Keys, counts: Counts) -> None:
        self.keys = keys
        self.counts = counts
        self.discounts = discounts(counts)

    def find(self, context: int, token: int) -> int | None:
        """The number of an n-gram; None if it was not seen."""
        key = np.uint64(context << int(_TOKEN_BITS) | token)
        at = int(np.searchsorted(self.keys, key))
        return at if at < len(self.keys) and self.keys[at] == key else None

    def followers(self, context: int) -> tuple[npt.NDArray[np.int64], Counts]:
        """The tokens seen after a context, and their counts."""
        edges = np.array([context, context + 1], dtype=np.uint64) << _TOKEN_BITS
        low, high = np.searchsorted(self.keys, edges)
        tokens = self.keys[low:high] & np.uint64((1 << int(_TOKEN_BITS)) - 1)
        return tokens.astype(np.int64), self.counts[low:high]


def discounts(counts: Counts) -> Floats:
    """What is taken off a count of 0, 1, 2, and 3 or more (Chen & Goodman 1999, equation 26).

    A corpus too small to have n-grams of every count from 1 to 4 gets fixed ones.
    """
    often = np.bincount(np.minimum(counts, 5), minlength=6).astype(np.float64)
    if not often[1:5].all():
        return np.array([0.0, 0.5, 1.0, 1.5])
    share = often[1] / (often[1] + 2 * often[2])
    taken = [k - (k + 1) * share * often[k + 1] / often[k] for k in (1, 2, 3)]
    return np.array([0.0, *(min(max(value, 0.0), float(k)) for k, value in enumerate(taken, 1))])


class Ngrams:
    """A fitted model."""

    def __init__(self, tokens: Tokens, vocabulary: int, order: int = ORDER) -> None:
        """Count *tokens*, one long text.  Raises ValueError if it is shorter than the order."""
        if len(tokens) < order:
            raise ValueError(f"{len(tokens)} tokens are too few for a {order}-gram model")
        self.vocabulary = vocabulary
        self.levels: list[Level] = []
        # The n-gram that ends at each place, by its number; 0 (and never used) where it would begin before the text.
        numbers = tokens.astype(np.uint32)
        keys = np.arange(vocabulary, dtype=np.uint64)
        for length in range(2, order + 1):
            pairs = numbers[:-1].astype(np.uint64) << _TOKEN_BITS | tokens[1:].astype(np.uint64)
            longer_keys, longer_numbers, first, counts = _number(pairs[length - 2 :])
            # In how many contexts?  Each longer n-gram, once, votes for the one that it ends with.
            ending = numbers[first + length - 1]
            self.levels.append(Level(keys, np.bincount(ending, minlength=len(keys))))
            keys = longer_keys
            numbers = np.concatenate([np.zeros(length - 1, dtype=np.uint32), longer_numbers])
        self.levels.append(Level(keys, counts))

    def distribution(self, context: Sequence[int]) -> Floats:
        """The probability of every token after *context*, of which the last tokens count."""
        chances = np.full(self.vocabulary, 1.0 / self.vocabulary)
        for length, level in enumerate(self.levels):
            number = self._number_of(context[len(context) - length :]) if length <= len(context) else None
            if number is None:
                break
            tokens, counts = level.followers(number)
            if not (total := int(counts.sum())):
                continue
            taken = level.discounts[np.minimum(counts, 3)]
            chances *= taken.sum() / total
            chances[tokens] += (counts - taken) / total
        return chances

    def _number_of(self, tokens: Sequence[int]) -> int | None:
        """The number of an n-gram as a context; 0 for none."""
        number: int | None = 0
        for level, token in zip(self.levels, tokens, strict=False):
            number = level.find(number, token)
            if number is None:
                break
        return number


def _number(keys: Keys) -> tuple[Keys, npt.NDArray[np.uint32], Counts, Counts]:
    """The different keys in order; for each place the number of its key; a place of, and how often, each key."""
    order = np.argsort(keys)
    in_order = keys[order]
    is_new = np.empty(len(keys), dtype=bool)
    is_new[0] = True
    np.not_equal(in_order[1:], in_order[:-1], out=is_new[1:])
    starts = np.flatnonzero(is_new)
    numbers = np.empty(len(keys), dtype=np.uint32)
    numbers[order] = np.cumsum(is_new, dtype=np.uint32) - np.uint32(1)
    return in_order[starts], numbers, order[starts], np.diff(starts, append=len(keys))


class Reader:
    """Says how many bits a true text costs."""

    def __init__(self, model: Ngrams, store: Store, is_plain: bool = False) -> None:
        self._model = model
        self._store = store
        self._is_plain = is_plain
        self._by_piece = sorted((piece, token) for token, piece in enumerate(store.pieces) if piece)
        self._token_of = dict(self._by_piece)

    def read(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """The bits that the true text of *task* costs, and its length in bytes."""
        left, truth = task["prefix"][-_LEFT_CHARS:], task["groundtruth"]
        header = self._store.encode(f"{task['path']}\n".encode()) if len(left) == len(task["prefix"]) else []
        word = self._last_word(left)
        together = self._store.encode((left + truth).encode())
        starts = [0, *np.cumsum(self._store.lengths[together]).tolist()]
        bits = 0.0
        if self._is_plain or word not in starts:
            known, asked = header + self._store.encode(left.encode()), self._store.encode(truth.encode())
        else:
            known, asked = header + together[: starts.index(word)], together[starts.index(word) :]
            bits = math.log2(self.begins_with(known, left.encode()[word:]))
        for token in asked:
            bits -= math.log2(self._model.distribution(known)[token])
            known.append(token)
        return {"id": task["id"], "bits": round(bits, 4), "bytes": len(truth.encode())}

    def _last_word(self, left: str) -> int:
        """The byte where the last word begins that is not blank: a token begins there, whatever follows *left*."""
        words = self._store.tokenizer.pre_tokenizer.pre_tokenize_str(left)
        start = next((span[0] for _, span in reversed(words) if left[span[0] : span[1]].strip()), 0)
        return len(left[:start].encode())

    def begins_with(self, known: Sequence[int], typed: bytes) -> float:
        """The probability that text after *known* begins with *typed*, by all token sequences, or up to 1 % more.

        The likeliest beginnings are followed first; what is left when they are many counts as if all of it would fit.
        """
        found, going_on = 0.0, [(-1.0, 0, ())]
        for _ in range(_MOST_BEGINNINGS):
            if -sum(chance for chance, _, _ in going_on) <= 0.01 * found:
                break
            negative, size, path = heapq.heappop(going_on)
            chances = -negative * self._model.distribution([*known, *path])
            rest = typed[size:]
            low, high = (bisect.bisect_left(self._by_piece, (edge,)) for edge in (rest, rest + b"\xff" * 64))
            found += float(chances[[token for _, token in self._by_piece[low:high]]].sum())
            for length in range(1, len(rest)):
                if (token := self._token_of.get(rest[:length])) is not None:
                    heapq.heappush(going_on, (-float(chances[token]), size + length, (*path, token)))
        return found - sum(chance for chance, _, _ in going_on)


def read_all(reader: Reader, tasks: Path, limit: int | None) -> Iterator[dict[str, Any]]:
    """A row for each of the first *limit* tasks of a file."""
    with tasks.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if limit is not None and number >= limit:
                return
            if line.strip():
                yield reader.read(json.loads(line))


def main() -> int:
    """Fit once, read every file of tasks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="what the network was trained on: a folder made by `store.py build`")
    parser.add_argument("--tasks", type=Path, nargs="+", required=True, metavar="TASKS.jsonl")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the answers go")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N tasks of each file")
    parser.add_argument("--plain", action="store_true", help="cut what is left of the cursor and the truth separately")
    args = parser.parse_args()
    store = Store(args.store)
    reader = Reader(Ngrams(store.tokens, len(store.pieces)), store, args.plain)
    args.out.mkdir(parents=True, exist_ok=True)
    for path in args.tasks:
        rows = list(read_all(reader, path, args.limit))
        (args.out / path.name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        bits, size = sum(row["bits"] for row in rows), sum(row["bytes"] for row in rows)
        print(f"{path.name}: {len(rows)} tasks, {size} bytes, {bits / max(size, 1):.3f} bits per byte", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
