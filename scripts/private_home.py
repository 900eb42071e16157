"""Surroundings of its own for a script that runs Fimble: no settings of the user are seen, nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

FIMBLE = Path(sys.executable).with_name("fimble")


class EngineFailed(Exception):
    """The engine did not start; the text says why."""


@contextlib.contextmanager
def private_home(folders: Sequence[str]) -> Iterator[tuple[Path, dict[str, str]]]:
    """A new folder, and an environment whose XDG *folders* (``CACHE_HOME``, ...) and sockets lie in it.

    Whatever happens, the engine that was started with that environment ends, and the folder goes.
    """
    # A Unix socket's path holds 108 bytes, and some systems' own temporary folders use most of them.
    short = "/tmp" if Path("/tmp").is_dir() else None
    home = Path(tempfile.mkdtemp(prefix="fimble-", dir=short)).resolve()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FIMBLE_")}
    for name in (*folders, "RUNTIME_DIR"):
        folder = home / name.partition("_")[0].lower()
        folder.mkdir(mode=0o700)
        environ[f"XDG_{name}"] = str(folder)
    environ["FIMBLE_ENGINE_IDLE_MINUTES"] = "2"  # should the script itself be killed
    try:
        yield home, environ
    finally:
        stop = [str(FIMBLE), "engine", "stop"]
        # In a session of its own: a second Ctrl-C must not interrupt the cleaning up.
        subprocess.run(stop, env=environ, capture_output=True, timeout=30, start_new_session=True, check=False)
        _end_leftovers(environ["XDG_RUNTIME_DIR"])
        shutil.rmtree(home, ignore_errors=True)


def _end_leftovers(runtime: str) -> None:
    """End what was started here and still runs: an engine that was interrupted while it started, for one."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get("XDG_RUNTIME_DIR") == runtime:
                process.kill()
                process.wait(5)


async def start_engine(environ: Mapping[str, str], *options: str) -> dict[str, Any]:
    """Wait for the engine that `fimble lsp` has asked for; returns what it says about itself.  Raises EngineFailed."""
    process = await asyncio.create_subprocess_exec(
        *(str(FIMBLE), "engine", "start", "--json", *options),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise EngineFailed(err.decode("utf-8", "replace").strip())
    props: dict[str, Any] = json.loads(out)
    return props


def end_orderly_on_signals() -> None:
    """Let SIGTERM and SIGHUP cancel the present task: as orderly an end as that of Ctrl-C."""
    me = asyncio.current_task()
    assert me
    for name in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, me.cancel)
