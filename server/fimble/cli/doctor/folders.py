"""The program on PATH, the settings, and the folders that are written to."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fimble.cli.doctor.finding import Finding


def command() -> Iterator[Finding]:
    """Whether editors find ``fimble``."""
    found = shutil.which("fimble")
    fix = "Put the folder of your environment's scripts on PATH, or give editors the full path."
    missing = "`fimble` is not on PATH, so editors do not find it"
    yield Finding(what="Command", ok=bool(found), found=found or missing, fix="" if found else fix)


def settings() -> Iterator[Finding]:
    """Where they are read from, and which cannot be used."""
    from fimble import config

    loaded = config.load(project=Path.cwd())
    file = config.user_file()
    found = f"{file}" if file.exists() else f"defaults ({file} would hold yours)"
    yield Finding(what="Settings", ok=True, found=found)
    for problem in loaded.problems:
        yield Finding(what="Settings", ok=False, found=problem, fix="Correct or remove it.")


def sockets() -> Iterator[Finding]:
    """The folder of the engines' sockets."""
    from fimble import paths

    folder = paths.runtime_dir()
    _write_to(folder)
    yield Finding(what="Socket folder", ok=True, found=str(folder))


def logs() -> Iterator[Finding]:
    """The folder of the logs."""
    from fimble import paths

    folder = paths.log_dir()
    paths.make_private_dir(folder)
    _write_to(folder)
    yield Finding(what="Log folder", ok=True, found=str(folder))


def _write_to(folder: Path) -> None:
    """Raises OSError where the disk is full, read-only or no more allowed."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"works" * 1000)
        file.flush()


def cache() -> Iterator[Finding]:
    """Whether what is suggested is remembered between sessions."""
    import asyncio
    import os
    import secrets
    import sqlite3

    from fimble import config, paths
    from fimble.store import Store

    wanted = config.load(project=Path.cwd()).config.cache
    if not wanted.enabled:
        yield Finding(what="Cache", ok=True, found="switched off (cache.enabled)")
        return
    folder = paths.cache_dir() / "suggestions"
    store = Store(folder, wanted.max_mb)

    async def try_it() -> str | None:
        probe = f"doctor-{os.getpid()}-{secrets.token_hex(4)}"
        store.put(probe, "works")
        return await store.get(probe)

    works = asyncio.run(try_it()) == "works"
    store.close()
    found = f"{folder}, SQLite {sqlite3.sqlite_version}"
    problem = store.problem or f"{folder} does not keep what is written to it"
    fix = "Make the folder writable, or delete it; until then nothing is remembered between sessions."
    yield Finding(what="Cache", ok=works, found=found if works else problem, fix="" if works else fix)
