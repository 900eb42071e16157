"""Processes that outlive the window that started them: the engine, and the indexes of repositories."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from fimble import paths


def start(
    command: Sequence[str], log_name: str, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start *command* in *folder*, with nothing of this process's but what it says, which goes to the log *log_name*.

    Raises OSError if it cannot be started.
    """
    log = paths.open_log(log_name)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if log is None else log,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    finally:
        if log is not None:
            os.close(log)
