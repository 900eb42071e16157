"""Starting the language server: stdout belongs to the protocol, everything else goes to the log."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pygls.io_ import StdinAsyncReader, StdoutWriter, run_async

from fimble import paths
from fimble.lsp.features import new_server

_MAX_LOGGED_CHARS = 200


def run_stdio(flags: Mapping[str, Any] | None = None) -> None:
    """Serve one editor over stdin and stdout until it goes away."""
    start_logging()
    # Whatever prints by mistake must not end up between the protocol's messages.
    protocol_out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    reader = StdinAsyncReader(sys.stdin.buffer, ThreadPoolExecutor(1, "stdin"))
    asyncio.run(_serve(reader, StdoutWriter(protocol_out), flags))


def run_tcp(port: int, flags: Mapping[str, Any] | None = None) -> None:
    """Serve one client on a loopback port, for debugging."""
    start_logging()
    asyncio.run(_serve_tcp(port, flags))


async def _serve(reader: Any, writer: Any, flags: Mapping[str, Any] | None) -> None:
    server = new_server(flags)
    server.protocol.set_writer(writer)
    try:
        await run_async(threading.Event(), reader, server.protocol, error_handler=server.report_server_error)
    except BrokenPipeError:
        pass  # the editor is gone
    finally:
        await server.session.close()
        await asyncio.to_thread(server.diary.keep)


async def _serve_tcp(port: int, flags: Mapping[str, Any] | None) -> None:
    gone = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.close()
        try:
            await _serve(reader, writer, flags)
        finally:
            gone.set()

    listener = await asyncio.start_server(connected, "127.0.0.1", port)
    address = listener.sockets[0].getsockname()
    print(f"fimble lsp waits for one client on {address[0]}:{address[1]}", file=sys.stderr, flush=True)
    await gone.wait()


def start_logging() -> None:
    """Log to a private file; to stderr where that cannot be written."""
    descriptor = paths.open_log("lsp.log")
    stream = sys.stderr if descriptor is None else os.fdopen(descriptor, "a", encoding="utf-8")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(f"%(asctime)s {os.getpid()} %(levelname)s %(name)s %(message)s"))
    handler.addFilter(_without_source)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)


def _without_source(record: logging.LogRecord) -> bool:
    """Keep source code out of the log: pygls logs whole messages when something fails."""
    if record.name.startswith("pygls"):
        record.msg, record.args = record.getMessage().partition("\n")[0][:_MAX_LOGGED_CHARS], ()
    return True
