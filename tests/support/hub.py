"""A server that behaves like the Hugging Face hub and its content network, for models that are pulled in tests.

What it imitates, as huggingface_hub 2 asks for it: ``HEAD`` and ``GET /REPOSITORY/resolve/REVISION/FILE`` with
X-Repo-Commit, X-Linked-Size, X-Linked-Etag and a redirect to another host, where ranges are answered with 206; and
``GET /api/models/REPOSITORY`` for the licence.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"

_RESOLVE = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_API = re.compile(r"/api/models/(?P<repository>[^/]+/[^/]+)(/revision/[^/]+)?")
_PIECE_BYTES = 1 << 16


@dataclass
class Request:
    """What was asked, and how many bytes of a file went out for it."""

    host: str
    method: str
    path: str
    headers: dict[str, str]
    served_bytes: int = 0


@dataclass
class Hub:
    """The files of one repository, and what is wrong with the server today."""

    repository: str = "owner/model"
    commit: str = COMMIT
    files: dict[str, bytes] = field(default_factory=dict)
    licence: str = "apache-2.0"
    status: int = 0
    """Answered to everything; with *headers*."""
    headers: dict[str, str] = field(default_factory=dict)
    content_status: int = 0
    """The same, of the content network."""
    cut_at: list[int] = field(default_factory=list)
    """The connection breaks off when so many bytes of the file are out; one number for each time."""
    pause_s: float = 0.0
    """Between pieces of 64 kB."""
    wrong_bytes: bool = False
    """What is sent is as long as it should be, and something else."""
    ranges: bool = True
    is_silent: bool = False
    """Every connection is taken, and nothing is ever said."""
    linked_size: int = 0
    """What the hub says instead of the truth."""
    etag: str = ""
    requests: list[Request] = field(default_factory=list)
    hub_url: str = ""
    content_url: str = ""
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def served_bytes(self) -> int:
        """Of files, since the beginning."""
        return sum(request.served_bytes for request in self.requests)

    def sent(self, host: str, method: str = "GET") -> list[Request]:
        """The requests to ``hub`` or ``content``."""
        return [one for one in self.requests if (one.host, one.method) == (host, method)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    host: str

    def log_message(self, *_: Any) -> None:
        """Tests say what they saw."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        request = Request(self.host, self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        self.hub.requests.append(request)
        path = unquote(urlsplit(self.path).path)
        if self.hub.is_silent:
            self.hub.stopped.wait()
            self.close_connection = True
        elif self.host == "content":
            self._content(request, path.lstrip("/"))
        elif self.hub.status:
            self._say(self.hub.status, self.hub.headers)
        elif found := _RESOLVE.fullmatch(path):
            self._resolve(found["repository"], found["revision"], found["file"])
        elif found := _API.fullmatch(path):
            self._describe(found["repository"])
        else:
            self._say(404, {})

    def _resolve(self, repository: str, revision: str, file: str) -> None:
        if repository != self.hub.repository:
            self._say(401, {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", self.hub.commit):
            self._say(404, {"X-Error-Code": "RevisionNotFound"})
        elif file not in self.hub.files:
            self._say(404, {"X-Error-Code": "EntryNotFound"})
        else:
            data = self.hub.files[file]
            etag = self.hub.etag or hashlib.sha256(data).hexdigest()
            headers = {
                "Location": f"{self.hub.content_url}/{file}?signed={len(self.hub.requests)}",
                "X-Repo-Commit": self.hub.commit,
                "X-Linked-Size": str(self.hub.linked_size or len(data)),
                "X-Linked-Etag": f'"{etag}"',
                "ETag": '"the pointer"',
            }
            self._say(302, headers)

    def _describe(self, repository: str) -> None:
        if repository != self.hub.repository:
            self._say(401, {"X-Error-Code": "RepoNotFound"})
            return
        tags = [f"license:{self.hub.licence}"] if self.hub.licence else []
        card = {"license": self.hub.licence} if self.hub.licence else {}
        siblings = [{"rfilename": file} for file in self.hub.files]
        said = {
            "id": repository,
            "sha": self.hub.commit,
            "tags": tags,
            "cardData": card,
            "siblings": siblings,
            "private": False,
        }
        self._say(200, {"Content-Type": "application/json"}, json.dumps(said).encode())

    def _content(self, request: Request, file: str) -> None:
        if self.hub.content_status:
            self._say(self.hub.content_status, self.hub.headers)
            return
        data = self.hub.files[file]
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        start = int(asked[1]) if asked and self.hub.ranges else 0
        if start >= len(data):
            self._say(416, {"Content-Range": f"bytes */{len(data)}"})
            return
        headers = {"Content-Length": str(len(data) - start), "ETag": '"of the content network"'}
        if asked and self.hub.ranges:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._begin(206 if "Content-Range" in headers else 200, headers)
        self._pour(request, bytes(len(data)) if self.hub.wrong_bytes else data, start)

    def _pour(self, request: Request, data: bytes, start: int) -> None:
        end = self.hub.cut_at.pop(0) if self.hub.cut_at else len(data)
        for at in range(start, max(end, start), _PIECE_BYTES):
            piece = data[at : min(at + _PIECE_BYTES, end)]
            request.served_bytes += len(piece)  # before: who has all of it may look at once
            try:
                self.wfile.write(piece)
            except OSError:
                request.served_bytes -= len(piece)
                return
            if self.hub.pause_s and self.hub.stopped.wait(self.hub.pause_s):
                break
        if end < len(data):
            self.close_connection = True

    def _say(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self._begin(status, {"Content-Length": str(len(body)), **headers})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever goes away in the middle is no error here: tests end pulls on purpose."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def running_hub(files: dict[str, bytes]) -> Iterator[Hub]:
    """A hub on one port of this machine, and its content network on another."""
    hub = Hub(files=dict(files))
    servers = []
    for host in ("hub", "content"):
        server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub, "host": host}))
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    hub.hub_url, hub.content_url = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    try:
        yield hub
    finally:
        hub.stopped.set()
        for server in servers:
            server.shutdown()
            server.server_close()
