"""The engine process: ``python -m fimble.engine.server SETTINGS_JSON RUNTIME_DIR``.

It holds a lock for as long as it lives, so there is at most one engine per settings, and a socket that is
found while the lock is free is a leftover of an engine that was killed.  The operating system gives the lock
back however the process ends.

Exit status: 0 after a stop or when idle, 3 when another engine with these settings is already there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import msgspec
import psutil

from fimble.engine.endpoint import Endpoint, settings_key
from fimble.engine.wire import EngineSettings

if TYPE_CHECKING:
    import uvicorn

    from fimble.engine.app import App
    from fimble.engine.scheduler import Scheduler

ALREADY_RUNNING = 3

#: How long an engine whose model did not load stays, to tell every window why.
_FAILED_SECONDS = 20.0

#: Longer than clients keep a connection (aiohttp: 15 s), so that none sends a request into one that is being closed.
_KEEP_ALIVE_S = 120

#: How often an engine asks itself whether it is still of use.
_LOOK_EVERY_S = 1.0

_log = logging.getLogger("fimble.engine")


def main(argv: list[str]) -> int:
    """Run an engine until it is told to stop or nobody needs it."""
    # Uvicorn raises the signal that ended it again when it is done; as an exit, so that the cleaning up below runs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = msgspec.json.decode(argv[0], type=EngineSettings)
    folder = Path(argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    key = settings_key(settings)
    lock = filelock.FileLock(folder / f"{key}.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        return ALREADY_RUNNING
    try:
        _run(folder, settings, key)
    finally:
        lock.release()
    return 0


def _run(folder: Path, settings: EngineSettings, key: str) -> None:
    # Only now: an engine that finds another one in its place should be gone before it has loaded llama.cpp.
    from fimble.engine.app import App
    from fimble.engine.scheduler import Scheduler

    endpoint = Endpoint.for_engine(folder, settings)
    listener = _listen(endpoint)
    endpoint.pid, endpoint.command = os.getpid(), psutil.Process().cmdline()
    address = folder / f"{key}.json"
    endpoint.write(address)
    _log.info("engine %s for %s", key, settings.model_path)
    scheduler = Scheduler(settings)
    scheduler.start()
    try:
        asyncio.run(_serve(App(scheduler, endpoint.token), scheduler, listener, address))
    finally:
        # The address goes before the lock does: a window that finds no address starts an engine, and that one
        # must not find the lock free while this address still stands.
        _remove(address, Path(endpoint.socket) if endpoint.socket else None)
        scheduler.close()
        _log.info("engine %s ended", key)


def _listen(endpoint: Endpoint) -> socket.socket:
    if endpoint.socket:
        Path(endpoint.socket).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            listener.bind(endpoint.socket)
        finally:
            os.umask(mask)
    else:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0))
        endpoint.port = listener.getsockname()[1]
        endpoint.token = secrets.token_urlsafe(32)
    listener.listen(128)
    return listener


async def _serve(app: App, scheduler: Scheduler, listener: socket.socket, address: Path) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        """Told to stop, it stops computing too, instead of waiting for answers."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            scheduler.end_all()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    server = Server(config)
    ways_in = [address, *([Path(listener.getsockname())] if listener.family == socket.AF_UNIX else [])]
    watch = asyncio.create_task(_end_when_useless(app, scheduler, server, ways_in))
    await server.serve(sockets=[listener])
    watch.cancel()


async def _end_when_useless(app: App, scheduler: Scheduler, server: uvicorn.Server, ways_in: list[Path]) -> None:
    """End when nobody asks for anything, or nobody new can: somebody who cleans up took a way in away.

    Only when this engine is gone, and its lock with it, can a window start another one.
    """
    limit = scheduler.settings.idle_minutes * 60
    while not server.should_exit:
        await asyncio.sleep(min(limit / 4, _LOOK_EVERY_S))
        patience = min(limit, _FAILED_SECONDS) if scheduler.failure else limit
        if app.idle_seconds() > patience or not all(path.exists() for path in ways_in):
            server.should_exit = True


def _remove(*files: Path | None) -> None:
    for file in files:
        if file:
            with contextlib.suppress(OSError):
                file.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
