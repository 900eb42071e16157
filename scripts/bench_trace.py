"""A recorded typing session, key by key: what the speed of a key is measured on.  See bench.py."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from bench_engines import BenchFailed
from fimble.core import Ask, Document
from fimble.suggest.gate import Gate
from fimble.text import Text
from typists import changes

_SUFFIX = ".jsonl.gz"

#: What a recorded session is a session of, and the id of its language.
LANGUAGES = {"rustcode": ("skiplist.rs", "rust"), "sveltecomponent": ("App.svelte", "svelte")}

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
    file, language = LANGUAGES.get(name, (name, ""))
    found: list[Stroke] = []
    silent = 0
    for version, event in enumerate(changes(path), 2):
        document = Document(f"file:///bench/{file}", file, language, version, Text(event.text))
        ask = Ask(document, event.offset)
        is_silent = bool(event.is_key and gate.why_silent(ask))
        silent += is_silent
        if event.is_key and not is_silent:
            if len(found) == count:
                break
            found.append(Stroke(document, event.offset))
        elif found:
            found[-1].left = ask
    return found, silent


def gaps_s(count: int) -> list[float]:
    """So many gaps between keys, always the same ones."""
    dice = random.Random(_SEED)
    return [_MEDIAN_GAP_S * dice.lognormvariate(0.0, _SIGMA) for _ in range(count)]
