"""What of a repository is learned from, and what is held out: whole files, drawn before anything is trained.

The files are those of the index: what git ignores, ``.fimbleignore`` and ``privacy.exclude`` name, links, data and
generated files stay out.  A line in which a secret stands is left out, too.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fimble.errors import ConfigError
from fimble.index.crawl import Crawl
from fimble.index.records import is_generated
from fimble.index.secrets import MASK, mask
from fimble.index.source import decode, read_bytes
from fimble.index.wire import IndexSettings
from fimble.languages import language_of
from fimble.suggest.place import unix_lines
from fimble.text import Text

#: Languages that nobody completes line by line, or that hold other people's data.
_LEFT_OUT = frozenset({"plaintext", "json"})

#: Shares of all text: what the gain is measured on, and what says when to stop.
_HELD_OUT_SHARE, _WATCHED_SHARE = 0.15, 0.07

#: Less is not worth it, in characters and files.
_LEAST_CHARS, _LEAST_FILES = 40_000, 6


@dataclass(frozen=True, slots=True)
class File:
    """A file's text, with line ends as the model sees them."""

    path: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Split:
    """The files by what they are for."""

    learned: tuple[File, ...]
    watched: tuple[File, ...]
    held_out: tuple[File, ...]


def read(settings: IndexSettings, on_progress: Callable[[int], None] = lambda _files: None) -> list[File]:
    """Every file that is source code, once: copies of a file would be on both sides of the split."""
    found: dict[bytes, File] = {}
    max_bytes = settings.max_file_kb * 1024
    for number, one in enumerate(Crawl(settings).files()):
        on_progress(number)
        language = language_of(one.path)
        if language in _LEFT_OUT:
            continue
        try:
            data, _ = read_bytes(Path(settings.root) / one.path, max_bytes)
        except OSError:
            continue
        source = decode(data) if len(data) <= max_bytes else None
        if source and not is_generated(Text(source)):
            text = _without_secrets(unix_lines(source), language)
            found.setdefault(hashlib.sha256(text.encode("utf-8", "replace")).digest(), File(one.path, language, text))
    return sorted(found.values(), key=lambda file: file.path)


def _without_secrets(text: str, language: str) -> str:
    masked = mask(text, language)
    if MASK not in masked:
        return text
    return "\n".join(line for line in masked.split("\n") if MASK not in line)


def split(files: Sequence[File], seed: int) -> Split:
    """Draw which files are held out and which are watched.  Raises ConfigError if there is too little."""
    whole = sum(len(file.text) for file in files)
    if whole < _LEAST_CHARS or len(files) < _LEAST_FILES:
        raise ConfigError(
            f"There is too little to learn from: {len(files)} files with {whole / 1000:,.0f} kB of source code.",
            f"At least {_LEAST_FILES} files, {_LEAST_CHARS // 1000} kB; `fimble index status` tells what is left out.",
        )
    drawn = list(files)
    random.Random(seed).shuffle(drawn)
    held_out, rest = _take(drawn, whole * _HELD_OUT_SHARE)
    watched, learned = _take(rest, whole * _WATCHED_SHARE)
    return Split(tuple(learned), tuple(watched), tuple(held_out))


def _take(files: list[File], chars: float) -> tuple[list[File], list[File]]:
    """The first files until they have *chars*, and the others.  A file that is too large for that is one of those."""
    taken: list[File] = []
    left: list[File] = []
    for file in files:
        room = chars - sum(len(one.text) for one in taken)
        (taken if room > 0 and len(file.text) <= max(2 * room, chars / 2) else left).append(file)
    return taken, left
