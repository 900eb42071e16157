"""Processes that write to one index until they are killed: ``python dying_indexers.py DATABASE ROUNDS SEED``.

Each round forks one, as one at a time holds the index's lock, and kills it (SIGKILL) at a random moment: while it
opens or makes the database, writes, or deletes.  Prints, as JSON, the files that it had been told were stored: path to
version.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from fimble.index.database import Database, Definition, FileRecord, FileStamp, Import

MAX_LIFE_S = 0.06
FILES = 40


def record(path: str, version: int) -> FileRecord:
    """What every writer stores for *path*: as much as fills several pages, all of it telling the version."""
    size = 3 + version * 7 % 30
    names = [f"name{version}_{number}" for number in range(size)]
    definitions = [
        Definition(path, "python", name, "function", "", n, n, n + 1, f"def {name}()", "é😀" * 20, (), "")
        for n, name in enumerate(names)
    ]
    chunks = [(n, n + 1, f"{name.replace('_', ' ')} {'word ' * 50}") for n, name in enumerate(names)]
    imports = [Import(path, "module", name, "") for name in names]
    return FileRecord(path, "python", FileStamp(version, size, b"d" * 16), definitions, imports, chunks)


def write(path: Path, seed: int, told: int) -> None:
    """Store new versions of files, a few in each transaction, and tell each that is committed."""
    chance = random.Random(seed)
    database = Database.open(path)
    while True:
        version = chance.randrange(1_000_000)
        files = {f"{chance.randrange(FILES)}.py" for _ in range(4)}
        with database.transaction():
            for file in files:
                database.put(record(file, version))
        os.write(told, "".join(f"{file} {version}\n" for file in files).encode())


def main(path: Path, rounds: int, seed: int) -> None:
    """Let writers die."""
    chance = random.Random(seed)
    stored: dict[str, int] = {}
    for number in range(rounds):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            write(path, seed * 1000 + number, writing)
        os.close(writing)
        time.sleep(chance.random() * MAX_LIFE_S)  # the random moment, which is what is tested
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with os.fdopen(reading) as told:
            stored.update((file, int(version)) for file, version in map(str.split, told))
    print(json.dumps(stored))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
