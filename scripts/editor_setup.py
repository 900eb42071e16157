"""What setting up any editor needs: running commands, a folder in the cache, and one installer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

COMMAND_TIMEOUT_S = 900


class EditorError(Exception):
    """An editor cannot be had; the text says why and what to do about it."""


def say(text: str) -> None:
    """Tell what happens; on stderr, so that stdout carries nothing but paths."""
    print(text, file=sys.stderr, flush=True)


def run(
    argv: list[str], env: dict[str, str] | None = None, stdin: bytes | None = None, folder: Path | None = None
) -> bytes:
    """Run a command to its end and return what it printed; raise with its last words if it fails."""
    try:
        done = subprocess.run(argv, env=env, input=stdin, cwd=folder, capture_output=True, timeout=COMMAND_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise EditorError(f"could not run `{argv[0]}`: {problem}") from problem
    if done.returncode != 0:
        last_words = (done.stderr.decode(errors="replace").strip() or done.stdout.decode(errors="replace").strip())[
            -1500:
        ]
        raise EditorError(f"`{' '.join(argv)}` failed (exit status {done.returncode}):\n{last_words}")
    return done.stdout


def editors_folder() -> Path:
    """Where the private editors live."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fimble-dev" / "editors"


@contextlib.contextmanager
def only_one_installer(folder: Path) -> Iterator[None]:
    """Let two test runs that start at once install an editor only once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
