"""A file over HTTP, gone on with where it broke off.

huggingface_hub 2 throws a half file away when it ends, so this is ours: a range request at the hub's own address, which
leads to a fresh address on its content network each time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import httpx2
from huggingface_hub import constants, get_session
from huggingface_hub.utils import hf_raise_for_status

#: So many times in a row nothing may come before we give up, with a longer pause each time.
_MOST_FAILURES = 5
_PAUSE_S = 0.5

Report = Callable[[int, int], None]
"""Hears how many bytes are there, and of how many."""

_PART, _NO_SUCH_RANGE = 206, 416

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


def receive(url: str, headers: dict[str, str], part: Path, size_bytes: int, on_progress: Report) -> None:
    """Bring *part* to *size_bytes*; what it holds already is kept.

    Raises what httpx2, huggingface_hub and the disk raise.  Whatever ends it, *part* holds what came.
    """
    failures = 0
    with part.open("ab") as file:
        if file.tell() > size_bytes:
            _empty(file)
        while (before := file.tell()) < size_bytes:
            try:
                _go_on(url, headers, file, size_bytes, on_progress)
                if file.tell() < size_bytes:
                    raise httpx2.RemoteProtocolError("it ended early")
            except (httpx2.TransportError, httpx2.DecodingError):
                # One who is not there is not there in three seconds either; one who was there may be.
                if before == 0 and file.tell() == 0:
                    raise
                failures = failures + 1 if file.tell() == before else 0
                if failures > _MOST_FAILURES:
                    raise
                # A server that fell over needs a moment; this is a command of its own, and no window waits for it.
                time.sleep(_PAUSE_S * 2 ** max(failures - 1, 0))


def _go_on(url: str, headers: dict[str, str], file: BinaryIO, size_bytes: int, on_progress: Report) -> None:
    done = file.tell()
    wanted = {**headers, "Accept-Encoding": "identity", **({"Range": f"bytes={done}-"} if done else {})}
    with get_session().stream(
        "GET", url, headers=wanted, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT, follow_redirects=True
    ) as answer:
        if answer.status_code == _NO_SUCH_RANGE:
            _empty(file)
            raise httpx2.RemoteProtocolError("it has no such range")
        hf_raise_for_status(answer)
        if done and not _continues(answer, done, size_bytes):
            # Somebody on the way does not know ranges: the whole comes anew.
            _empty(file)
            if answer.status_code == _PART:
                raise httpx2.RemoteProtocolError("it sent another range")
        for piece in answer.iter_bytes():
            file.write(piece)
            on_progress(file.tell(), size_bytes)
            if file.tell() > size_bytes:
                _empty(file)
                raise httpx2.RemoteProtocolError("it sent more than it said")


def _continues(answer: httpx2.Response, done: int, size_bytes: int) -> bool:
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return bool(answer.status_code == _PART and found and int(found[1]) == done and found[2] in ("*", str(size_bytes)))


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()
