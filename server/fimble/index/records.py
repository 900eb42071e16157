"""From a file to what the index keeps of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from fimble.index.crawl import Candidate
from fimble.index.database import Definition, FileRecord, FileStamp, Import
from fimble.index.secrets import mask
from fimble.index.source import decode, read_bytes
from fimble.index.terms import terms
from fimble.languages import language_of
from fimble.syntax.outline import outline
from fimble.syntax.symbols import Outline
from fimble.text import Text

BINARY = "binary"
GENERATED = "generated or minified (very long lines)"
DATA = "data of more than 64 kB"
VANISHED = "vanished while it was read"
UNREADABLE = "cannot be read"

#: Languages, and files of unknown kind, in which what is large is hardly ever written by hand.
_DATA = frozenset({"json", "plaintext", "yaml"})
_MAX_DATA_CHARS = 64_000

#: Nobody writes such lines by hand, and no prompt has room for one.
_MAX_LINE_CHARS = 5_000
_MAX_MEAN_LINE_CHARS = 300

#: Definitions are cut into pieces of this many lines, and gathered until they have as many as that.
_MAX_CHUNK_LINES = 40
_MIN_CHUNK_LINES = 6

#: A signature that is longer is data.
_MAX_SIGNATURE_CHARS = 400
_MAX_DOC_CHARS = 200


def read(root: Path, candidate: Candidate, max_bytes: int, known: FileStamp | None) -> FileRecord | FileStamp | str:
    """What the index keeps of a file; only its stamp if it has the content that is *known*.

    Text is the reason why it was not read.  A reason that is in the content itself is kept in a record.
    """
    try:
        data, info = read_bytes(root / candidate.path, max_bytes)
    except FileNotFoundError:
        return VANISHED
    except OSError:
        return UNREADABLE
    digest = hashlib.blake2b(data, digest_size=16).digest()
    stamp = FileStamp(info.st_mtime_ns, info.st_size, digest)
    if known is not None and known.digest == digest:
        return stamp
    if len(data) > max_bytes:
        return VANISHED  # it grew; the next scan sees how large it is
    return _record(candidate.path, data, stamp)


def left_out(path: str, stamp: FileStamp, reason: str) -> FileRecord:
    """What the index keeps of a file whose content it leaves out: that it need not be read again."""
    return FileRecord(path, language_of(path), FileStamp(stamp.mtime_ns, stamp.size, stamp.digest, reason))


def _record(path: str, data: bytes, stamp: FileStamp) -> FileRecord:
    source = decode(data)
    if source is None:
        return left_out(path, stamp, BINARY)
    text = Text(source)
    if is_generated(text):
        return left_out(path, stamp, GENERATED)
    language = language_of(path)
    if language in _DATA and len(source) > _MAX_DATA_CHARS:
        return left_out(path, stamp, DATA)
    masked = mask(source, language)
    if masked != source:
        source, text = masked, Text(masked)
    seen = outline(source, language, with_references=False) or Outline()
    definitions = [
        Definition(
            path=path,
            language=language,
            name=one.name,
            kind=str(one.kind),
            container=one.container,
            start_line=text.line_of(one.start),
            body_line=text.line_of(one.body_start) if one.body_start < one.end else _line_after(text, one.end),
            end_line=_line_after(text, one.end),
            signature=one.signature[:_MAX_SIGNATURE_CHARS],
            doc=one.doc[:_MAX_DOC_CHARS],
            bases=one.bases,
            type=one.type,
        )
        for one in seen.definitions
    ]
    imports = [
        Import(path, one.module, name, alias)
        for one in seen.imports
        for name, alias in (one.names or (("", one.alias),))
    ]
    cuts = sorted({one.start_line for one in definitions})
    chunks = [(start, end, terms(_lines(text, start, end))) for start, end in _chunks(cuts, text.line_count)]
    return FileRecord(path, language, stamp, definitions, imports, [chunk for chunk in chunks if chunk[2]])


def is_generated(text: Text) -> bool:
    """Whether lines are longer than anybody writes."""
    if len(text) > _MAX_MEAN_LINE_CHARS * (text.line_count + 10):
        return True
    return len(text) > _MAX_LINE_CHARS and max(map(len, text.source.replace("\r", "\n").split("\n"))) > _MAX_LINE_CHARS


def _line_after(text: Text, end: int) -> int:
    return text.line_of(max(end - 1, 0)) + 1


def _lines(text: Text, start: int, end: int) -> str:
    return text.source[text.line_start(start) : text.line_start(end) if end < text.line_count else len(text)]


def _chunks(cuts: list[int], line_count: int) -> Iterator[tuple[int, int]]:
    """All lines in pieces: cut where definitions begin, if that leaves enough lines, and where one gets too long."""
    start = 0
    for cut in [*cuts, line_count]:
        if cut != line_count and cut - start < _MIN_CHUNK_LINES:
            continue
        while cut - start > _MAX_CHUNK_LINES:
            # Halves rather than a long piece and the rest.
            pieces = -(-(cut - start) // _MAX_CHUNK_LINES)
            end = start + -(-(cut - start) // pieces)
            yield start, end
            start = end
        if start < cut:
            yield start, cut
            start = cut
