"""A recorded typing session, key by key.  See bench.py.

A trace is a file NAME.jsonl.gz of rows ``{"txn", "pos", "del", "ins"}`` in order: at code point *pos* take *del*
characters away, put *ins* in.  Rows with one *txn* are one change.  The first row is the file as it stood.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench_engines import BenchFailed
from fimble.core import Ask, Document
from fimble.suggest.gate import Gate
from fimble.text import Text

_SUFFIX = ".jsonl.gz"

#: What an editor puts in at one key.
_PAIRS = ("()", "{}", "[]", '""', "''", "``")

_LANGUAGES = {"rustcode": ("skiplist.rs", "rust"), "sveltecomponent": ("App.svelte", "svelte")}

#: Gaps between keys in seconds: the logarithm is normal, the median 150 ms, 90 % are below 400 ms.
_MEDIAN_GAP_S = 0.15
_SIGMA = 0.7653
_SEED = 7


@dataclass(slots=True)
class Stroke:
    """The document after a key, and where the cursor stands."""

    document: Document
    offset: int
    left: Ask | None = None
    """The document before the next key, where something else was edited in between, and where that ended."""

    @property
    def before(self) -> str:
        """The text left of the cursor."""
        return self.document.text.source[: self.offset]

    @property
    def after(self) -> str:
        """The text right of it."""
        return self.document.text.source[self.offset :]


def traces(folder: Path, name: str | None) -> list[Path]:
    """The traces in *folder*, or the one called *name*.  Raises BenchFailed if there is none."""
    found = [path for path in sorted(folder.glob(f"*{_SUFFIX}")) if name in (None, trace_name(path))]
    if not found:
        raise BenchFailed(f"There is no trace {name or 'NAME'}{_SUFFIX} in {folder}.")
    return found


def trace_name(path: Path) -> str:
    """What a trace is called."""
    return path.name.removesuffix(_SUFFIX)


def strokes(path: Path, count: int, gate: Gate) -> tuple[list[Stroke], int]:
    """The first *count* keys after which a suggestion is asked for, and how many had none because of *gate*."""
    name = trace_name(path)
    file, language = _LANGUAGES.get(name, (name, ""))
    found: list[Stroke] = []
    silent = 0
    for version, (source, offset, is_key) in enumerate(_edits(path), 2):
        document = Document(f"file:///bench/{file}", file, language, version, Text(source))
        ask = Ask(document, offset)
        is_silent = bool(is_key and gate.why_silent(ask))
        silent += is_silent
        if is_key and not is_silent:
            if len(found) == count:
                break
            found.append(Stroke(document, offset))
        elif found:
            found[-1].left = ask
    return found, silent


def gaps_s(count: int) -> list[float]:
    """So many gaps between keys, always the same ones."""
    dice = random.Random(_SEED)
    return [_MEDIAN_GAP_S * dice.lognormvariate(0.0, _SIGMA) for _ in range(count)]


def _edits(path: Path) -> Iterator[tuple[str, int, bool]]:
    """The text after every change, where that ended, and whether it was a single key."""
    text = ""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            changes = itertools.groupby(map(json.loads, file), key=lambda row: row["txn"])
            for number, (_txn, rows) in enumerate(changes):
                kept = list(rows)
                for row in kept:
                    text = text[: row["pos"]] + row["ins"] + text[row["pos"] + row["del"] :]
                if number:
                    is_key = len(kept) == 1 and not kept[0]["del"] and _is_key(kept[0]["ins"])
                    yield text, kept[-1]["pos"] + len(kept[-1]["ins"]), is_key
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchFailed(f"{path} cannot be read as a trace: {error!r}.") from None


def _is_key(text: str) -> bool:
    is_enter = text.startswith("\n") and not text.strip()
    return len(text.strip(" \t")) <= 1 or text in _PAIRS or is_enter
