"""Processes that write to one cache until they are killed: ``python dying_writers.py FOLDER ROUNDS SEED``.

Each round forks two writers, as two windows are, and kills both (SIGKILL) at random moments: while they open the
database, write, or read.  Prints what they had been told was stored, as JSON: key to value.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from fimble.store import Store

MAX_LIFE_S = 0.05


def value_of(key: str) -> str:
    """What every writer stores under *key*: long enough to fill several pages of the database."""
    return f"{key} = é😀\n" * (1 + int(key.rpartition("-")[2]) * 37 % 700)


def write(folder: Path, name: str, told: int) -> None:
    """Store values, and write the key of each that can be read back to *told*."""

    async def work() -> None:
        store = Store(folder, max_mb=64)
        for number in range(1_000_000):
            key = f"{name}-{number}"
            store.put(key, value_of(key))
            if await store.get(key) == value_of(key):
                os.write(told, f"{key}\n".encode())

    asyncio.run(work())


def begin(folder: Path, name: str) -> tuple[int, int]:
    """Fork a writer; returns its process id and where it tells what it has stored."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        write(folder, name, writing)
    os.close(writing)
    return pid, reading


def end(pid: int, reading: int) -> list[str]:
    """Kill a writer; returns the keys that it had stored."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with os.fdopen(reading) as told:
        return told.read().split()


def main(folder: Path, rounds: int, seed: int) -> None:
    """Let writers die in *folder*."""
    chance = random.Random(seed)
    stored: list[str] = []
    for number in range(rounds):
        writers = [begin(folder, f"{seed}-{number}-{which}") for which in "ab"]
        for writer in writers:
            time.sleep(chance.random() * MAX_LIFE_S)  # the random moment, which is what is tested
            stored += end(*writer)
    print(json.dumps({key: value_of(key) for key in stored}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
