"""Find files that say nearly the same: MinHash over shingles of five tokens, bands of four.

64 minima per file; files that agree in one of 16 bands of 4 minima are compared (a pair of similarity 0.8 is
missed once in 5,000), and count as duplicates when at least 80 % of their minima agree (an estimate of the Jaccard
similarity of their shingle sets, with a standard error of 0.05).  Files of less than ten tokens are left alone.
"""

from __future__ import annotations

import re
import zlib

import numpy as np
from numpy.typing import NDArray

SHINGLE = 5
MINIMA = 64
BAND = 4
SIMILAR = 0.8
BUCKET_LIMIT = 16  # the first files of a bucket stand for the rest

Signature = NDArray[np.uint32]
TOKEN = re.compile(r"\w+|[^\w\s]")
_RANDOM = np.random.Generator(np.random.PCG64(20261122))
_FACTORS = _RANDOM.integers(1, 2**63, MINIMA, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _RANDOM.integers(0, 2**63, MINIMA, dtype=np.uint64)
_BASE = np.uint64(0x9E3779B97F4A7C15)


def shingle_hashes(text: str) -> NDArray[np.uint64]:
    """One hash for each distinct run of five tokens; white space does not count."""
    hashes: dict[str, int] = {}
    tokens = TOKEN.findall(text)
    for token in tokens:
        if token not in hashes:
            hashes[token] = zlib.crc32(token.encode())
    numbers = np.fromiter(map(hashes.__getitem__, tokens), dtype=np.uint64, count=len(tokens))
    if len(numbers) < SHINGLE:
        return numbers
    count = len(numbers) - SHINGLE + 1
    mixed = np.zeros(count, dtype=np.uint64)
    for place in range(SHINGLE):  # wraps around, as hashes do
        mixed = (mixed ^ numbers[place : place + count]) * _BASE
        mixed ^= mixed >> np.uint64(29)
    return np.unique(mixed)


def signature(text: str) -> Signature:
    """The 64 minima of a text; all zero when it is too short to be compared."""
    shingles = shingle_hashes(text)
    if len(shingles) < 2 * SHINGLE:
        return np.zeros(MINIMA, dtype=np.uint32)
    minima = np.empty(MINIMA, dtype=np.uint32)
    for place in range(MINIMA):
        minima[place] = ((shingles * _FACTORS[place] + _OFFSETS[place]) >> np.uint64(32)).min()
    return minima


class NearDuplicates:
    """Takes files one after the other and says which are nearly the same as one taken before."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[int, bytes], list[int]] = {}
        self._kept: list[Signature] = []
        self._names: list[str] = []

    def like(self, minima: Signature) -> str | None:
        """The name of an earlier file that is nearly the same."""
        seen: set[int] = set()
        for band in self._bands(minima):
            for number in self._buckets.get(band, ()):
                if number not in seen:
                    seen.add(number)
                    if np.count_nonzero(self._kept[number] == minima) >= SIMILAR * MINIMA:
                        return self._names[number]
        return None

    def add(self, minima: Signature, name: str) -> None:
        """Remember a file that stays."""
        if not minima.any():
            return
        self._kept.append(minima)
        self._names.append(name)
        for band in self._bands(minima):
            bucket = self._buckets.setdefault(band, [])
            if len(bucket) < BUCKET_LIMIT:
                bucket.append(len(self._kept) - 1)

    @staticmethod
    def _bands(minima: Signature) -> list[tuple[int, bytes]]:
        if not minima.any():
            return []
        return [(start, minima[start : start + BAND].tobytes()) for start in range(0, MINIMA, BAND)]
