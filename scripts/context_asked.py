"""An index of a project as `fimble` makes it, and what it answers at a task's cursor; plain BM25 beside it."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fimble.index.crawl import Crawl
from fimble.index.database import Database, FileRecord
from fimble.index.records import read
from fimble.index.retrieval import retrieve
from fimble.index.source import Sources
from fimble.index.terms import terms
from fimble.index.wire import Found, IndexSettings, Retrieve

_MAX_FILE_KB = 512
_MAX_FILES = 50_000

#: Of the baseline: the text around the cursor that it looks for, as many of its rarest words, and as many chunks.
_BASELINE_CHARS = (600, 200)
_BASELINE_TERMS = 24
_BASELINE_CHUNKS = 10
_BASELINE_LOOK = 60

Row = dict[str, Any]


def index_of(root: Path, file: Path, anew: bool) -> Database:
    """The index of the project in *root*, kept in *file*."""
    if anew:
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                file.with_name(file.name + suffix).unlink()
    file.parent.mkdir(parents=True, exist_ok=True)
    database = Database.open(file)
    if database.chunk_count():
        return database
    settings = IndexSettings(root=str(root), max_files=_MAX_FILES, max_file_kb=_MAX_FILE_KB, idle_minutes=1)
    with database.transaction():
        for candidate in Crawl(settings).files():
            record = read(root, candidate, _MAX_FILE_KB * 1024, None)
            if isinstance(record, FileRecord):
                database.put(record)
    return database


def sources_of(root: Path, database: Database) -> Sources:
    """The texts of a project's files, as the index's process gives them."""
    return Sources(root, database, _MAX_FILE_KB * 1024)


def ask(database: Database, sources: Sources, task: Row, budget_chars: int) -> tuple[list[Found], float]:
    """What Fimble finds for a task, and in how many milliseconds of computing: others on the machine do not count."""
    question = Retrieve(
        path=task["path"],
        language=task["language"],
        text=task["prefix"] + task["suffix"],
        offset=len(task["prefix"]),
        budget_chars=budget_chars,
    )
    start = time.thread_time()
    found = retrieve(database, sources, question)
    return found, (time.thread_time() - start) * 1e3


def ask_bm25(database: Database, sources: Sources, task: Row, budget_chars: int) -> tuple[list[Found], list[str]]:
    """What plain BM25 finds: the best chunks' first lines that fit into the budget, and the files of the best five."""
    before, after = _BASELINE_CHARS
    around = task["prefix"][-before:] + task["suffix"][:after]
    frequencies = database.frequencies(terms(around).split())
    rarest = sorted(frequencies, key=frequencies.__getitem__)[:_BASELINE_TERMS]
    chunks = [one for one in database.search(rarest, _BASELINE_LOOK) if one.path != task["path"]][:_BASELINE_CHUNKS]
    found, left = [], budget_chars
    for chunk in chunks:
        text = sources.lines(chunk.path, chunk.start_line, chunk.end_line) or ""
        taken = _whole_lines(text, left - len(chunk.path) - 2)
        if taken:
            left -= len(taken) + len(chunk.path) + 2
            found.append(Found(path=chunk.path, text=taken, start_line=chunk.start_line, kind="chunk"))
    return found, [one.path for one in chunks[:5]]


def _whole_lines(text: str, most: int) -> str:
    taken = ""
    for line in re.findall(r"[^\n]*\n|[^\n]+$", text):
        if len(taken) + len(line) > most:
            break
        taken += line
    return taken


def oracle(root: Path, task: Row, budget_chars: int) -> list[Row]:
    """The definition itself, as much of it as fits."""
    start, end = task["definition"]
    text = (root / task["defined_in"]).read_bytes().decode("utf-8")
    first = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1
    taken = _whole_lines(text[first:end] + "\n", budget_chars - len(task["defined_in"]) - 2)
    return [{"path": task["defined_in"], "text": taken, "kind": "oracle", "score": 1.0}] if taken else []


def has_definition(root: Path, task: Row, found: Sequence[Found]) -> bool:
    """Whether the line that gives the name its meaning is among the snippets, blanks not counted."""
    start, _ = task["definition"]
    text = (root / task["defined_in"]).read_bytes().decode("utf-8")
    named = re.compile(rf"(?<![\w$]){re.escape(task['name'])}(?![\w$])").search(text, start)
    if named is None:
        return False
    first = max(text.rfind("\n", 0, named.start()), text.rfind("\r", 0, named.start())) + 1
    line = re.match(r"[^\r\n]*", text[first:])
    wanted = _bare(line[0] if line else "")
    return any(wanted in _bare(one.text) for one in found if one.path == task["defined_in"])


def _bare(text: str) -> str:
    return re.sub(r"\s", "", text).rstrip("{:,;(=")
