"""The text of files: decoded, and where somebody else may see it, with secrets masked."""

from __future__ import annotations

import codecs
import os
import stat
from collections import OrderedDict
from pathlib import Path

from fimble.index.database import Database, FileStamp
from fimble.index.secrets import mask_keys, mask_lines
from fimble.languages import language_of
from fimble.text import Text

#: As many bytes as git looks at to tell text from data (its buffer_is_binary).
_BINARY_LOOK_BYTES = 8000

#: UTF-32 first: its mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_KEPT_FILES = 64


def decode(data: bytes) -> str | None:
    """The text that *data* is; None if it is none.

    A byte order mark decides, then UTF-8; what is not UTF-8 is read as Latin-1, in which everything is text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                return None
    if b"\0" in data[:_BINARY_LOOK_BYTES]:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_bytes(path: Path, max_bytes: int) -> tuple[bytes, os.stat_result]:
    """A regular file's content, with how it was when it was opened; never more than *max_bytes* + 1 of it.

    Raises OSError, also for links, pipes and devices: nothing else may be opened, a pipe would never end.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode):
            raise OSError(f"{path.name} is no regular file")
        return file.read(max_bytes + 1), info


class Sources:
    """Gives pieces of the repository's files, as they were when they were indexed, secrets masked."""

    def __init__(self, root: Path, database: Database, max_bytes: int) -> None:
        self._root = root
        self._database = database
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, tuple[FileStamp, Text]] = OrderedDict()
        """Without private keys; what stands on one line is masked when it is asked for."""

    def lines(self, path: str, start_line: int, end_line: int) -> str | None:
        """Some lines of a file, the last one's ending included; None if the file is not what was indexed any more."""
        text = self._text(path)
        if text is None:
            return None
        first, end = max(start_line, 0), min(end_line, text.line_count)
        if first >= end:
            return ""
        stop = text.line_start(end) if end < text.line_count else len(text)
        return mask_lines(text.source[text.line_start(first) : stop], language_of(path))

    def _text(self, path: str) -> Text | None:
        known = self._database.stamp_of(path)
        if known is None or known.skipped:
            return None
        kept = self._kept.pop(path, None)
        if kept is None or kept[0] != known or not self._is_as(path, known):
            source = self._read(path, known)
            if source is None:
                return None
            kept = known, Text(mask_keys(source))
        self._kept[path] = kept
        if len(self._kept) > _KEPT_FILES:
            self._kept.popitem(last=False)
        return kept[1]

    def _is_as(self, path: str, known: FileStamp) -> bool:
        try:
            info = (self._root / path).lstat()
        except OSError:
            return False
        return (info.st_mtime_ns, info.st_size) == (known.mtime_ns, known.size)

    def _read(self, path: str, known: FileStamp) -> str | None:
        whole = self._root / path
        try:
            # A folder on the way may be a link by now, to anywhere.
            if whole.parent.resolve(strict=True) != whole.parent:
                return None
            data, info = read_bytes(whole, self._max_bytes)
        except OSError:
            return None
        return decode(data) if (info.st_mtime_ns, info.st_size) == (known.mtime_ns, known.size) else None
