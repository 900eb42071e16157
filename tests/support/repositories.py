"""A repository of a few files, its index, and a cursor in it: ``|`` marks where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fimble.index.crawl import Crawl
from fimble.index.database import Database, FileRecord
from fimble.index.records import read
from fimble.index.retrieval import retrieve
from fimble.index.source import Sources
from fimble.index.wire import Found, IndexSettings, Retrieve
from fimble.languages import language_of

_MAX_KB = 512


class Repository:
    """Files in a folder, read into an index as the real process does."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self.root = folder / "repository"
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8", newline="")
        self.database = Database.open(folder / "index.sqlite")
        settings = IndexSettings(root=str(self.root), max_files=1000, max_file_kb=_MAX_KB, idle_minutes=1)
        with self.database.transaction():
            for candidate in Crawl(settings).files():
                record = read(self.root, candidate, _MAX_KB * 1024, None)
                if isinstance(record, FileRecord):
                    self.database.put(record)
        self.sources = Sources(self.root, self.database, _MAX_KB * 1024)

    def question(self, path: str, marked: str, **more: Any) -> Retrieve:
        """The question that a window asks with the cursor at ``|``."""
        before, _, after = marked.partition("|")
        return Retrieve(path=path, language=language_of(path), text=before + after, offset=len(before), **more)

    def ask(self, path: str, marked: str, **more: Any) -> list[Found]:
        """What is found for the cursor at ``|``."""
        return retrieve(self.database, self.sources, self.question(path, marked, **more))
