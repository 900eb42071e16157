"""Which files belong to a repository: what git would track, less what nobody wrote by hand or wants to be read.

Nothing is opened here but ignore files; a link is never followed, so there are no loops.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pathspec

from fimble.index.wire import IndexSettings
from fimble.languages import language_of
from fimble.privacy import Exclusions

#: In one folder, what is written in the later one has the last word.
IGNORE_FILES = (".gitignore", ".fimbleignore")

#: Folders that are left out without anybody's saying so.
_NEVER = frozenset({".git", ".hg", ".svn", ".jj", "node_modules", "__pycache__"})
_NEVER_REASON = "folder of dependencies, caches or versions"

#: Files that mark their folder: a Python environment (PEP 405), a cache (bford.info/cachedir).
_FOLDER_MARKS = frozenset({"pyvenv.cfg", "CACHEDIR.TAG"})


#: An ignore file that is larger is something else.
_MAX_IGNORE_BYTES = 1_000_000


class Candidate(NamedTuple):
    """A file that is to be in the index."""

    path: str
    """Relative to the repository, with ``/``."""
    mtime_ns: int
    size: int


@dataclass(frozen=True)
class _Rules:
    """The ignore files of a folder and of those around it."""

    prefix: str
    """The folder, with a ``/`` at its end; empty for the repository itself."""
    specs: tuple[tuple[int, pathspec.GitIgnoreSpec], ...]
    """The innermost first, each with the length of the folder's prefix that it speaks about."""

    def ignores(self, path: str) -> bool:
        """Whether git would ignore *path*, a file's or, with ``/`` at its end, a folder's."""
        for length, spec in self.specs:
            verdict = spec.check_file(path[length:]).include
            if verdict is not None:
                return verdict
        return False


class Crawl:
    """One walk through a repository.

    ``skipped`` counts what was left out by reason.
    """

    def __init__(self, settings: IndexSettings) -> None:
        self.skipped: Counter[str] = Counter()
        self._root = Path(settings.root)
        self._exclusions = Exclusions(settings.exclude)
        self._languages_off = frozenset(settings.languages_off)
        self._max_files = settings.max_files
        self._max_bytes = settings.max_file_kb * 1024
        self._found = 0

    def files(self, under: str = "") -> Iterator[Candidate]:
        """The files below the folder *under*, or *under* itself if it is a file.  What has vanished is left out."""
        outer, _, name = under.rpartition("/")
        rules = self._rules_of(outer)
        if rules is None:
            return
        if not under:
            yield from self._walk(rules)
        elif (entry := _entry_of(self._root / outer, name)) is not None:
            yield from self._below(entry, rules)

    def _rules_of(self, folder: str) -> _Rules | None:
        """The rules for what is in *folder*; None if one of them, or a link on the way, keeps it out."""
        rules = self._outermost()
        for name in filter(None, folder.split("/")):
            entry = _entry_of(self._root / rules.prefix, name)
            if entry is None or self._why_not_enter(entry, rules):
                return None
            rules = self._inner(rules, name)
        return rules

    def _walk(self, rules: _Rules) -> Iterator[Candidate]:
        waiting = [rules]
        while waiting:
            rules = waiting.pop()
            folders = []
            for entry in self._entries(rules.prefix):
                if self._found >= self._max_files:
                    self.skipped[f"everything beyond {self._max_files} files (index.max_files)"] = 1
                    return
                if not _is_folder(entry):
                    yield from self._file(entry, rules)
                elif reason := self._why_not_enter(entry, rules):
                    self.skipped[reason] += 1
                else:
                    folders.append(self._inner(rules, entry.name))
            waiting += reversed(folders)

    def _below(self, entry: os.DirEntry[str], rules: _Rules) -> Iterator[Candidate]:
        if not _is_folder(entry):
            yield from self._file(entry, rules)
        elif not self._why_not_enter(entry, rules):
            yield from self._walk(self._inner(rules, entry.name))

    def _entries(self, prefix: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._root / prefix) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except FileNotFoundError:
            return []
        except OSError:
            self.skipped["folder that cannot be read"] += 1
            return []
        if any(entry.name in _FOLDER_MARKS for entry in entries) and prefix:
            self.skipped["folder of a cache or an environment"] += 1
            return []
        return entries

    def _why_not_enter(self, entry: os.DirEntry[str], rules: _Rules) -> str:
        if entry.is_symlink():
            return "link"
        if entry.name in _NEVER:
            return _NEVER_REASON
        if not _is_utf8(entry.name):
            return "name that is not UTF-8"
        return "folder that is ignored" if rules.ignores(f"{rules.prefix}{entry.name}/") else ""

    def _file(self, entry: os.DirEntry[str], rules: _Rules) -> Iterator[Candidate]:
        try:
            info = entry.stat(follow_symlinks=False)
            reason = self._why_not_read(entry, rules, info)
        except OSError:
            return  # gone meanwhile
        if reason:
            self.skipped[reason] += 1
        else:
            self._found += 1
            yield Candidate(rules.prefix + entry.name, info.st_mtime_ns, info.st_size)

    def _why_not_read(self, entry: os.DirEntry[str], rules: _Rules, info: os.stat_result) -> str:
        path = rules.prefix + entry.name
        if entry.is_symlink():
            return "link"
        if not entry.is_file(follow_symlinks=False):
            return "no regular file"
        if entry.name in _NEVER:  # a work tree's .git is a file
            return _NEVER_REASON
        if not _is_utf8(entry.name):
            return "name that is not UTF-8"
        if self._exclusions.covers(path):
            return "excluded (privacy.exclude)"
        if rules.ignores(path):
            return "ignored (.gitignore, .fimbleignore)"
        if self._languages_off and language_of(path) in self._languages_off:
            return "language that is off (privacy.languages_off)"
        if info.st_size > self._max_bytes:
            return f"larger than {self._max_bytes // 1024} kB (index.max_file_kb)"
        return ""

    def _outermost(self) -> _Rules:
        rules = _Rules("", ())
        exclude = _read_spec([_git_folder(self._root) / "info/exclude"])
        return self._with_own(_Rules("", ((0, exclude),)) if exclude else rules)

    def _inner(self, rules: _Rules, name: str) -> _Rules:
        return self._with_own(_Rules(f"{rules.prefix}{name}/", rules.specs))

    def _with_own(self, rules: _Rules) -> _Rules:
        spec = _read_spec([self._root / rules.prefix / name for name in IGNORE_FILES])
        return _Rules(rules.prefix, ((len(rules.prefix), spec), *rules.specs)) if spec else rules


def _git_folder(root: Path) -> Path:
    """Where git keeps what all work trees of the repository share (gitrepository-layout(5))."""
    folder = root / ".git"
    with contextlib.suppress(OSError, ValueError):
        if folder.is_file():
            folder = root / folder.read_text("utf-8").removeprefix("gitdir:").strip()
            folder = folder / (folder / "commondir").read_text("utf-8").strip()
    return folder


def _read_spec(files: list[Path]) -> pathspec.GitIgnoreSpec | None:
    """The patterns of these files; a line that is no pattern is passed over, as git does."""
    lines: list[str] = []
    for file in files:
        with contextlib.suppress(OSError):
            text = file.read_bytes()[:_MAX_IGNORE_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")
            lines += [line for line in text.split("\n") if _is_pattern(line)]
    return pathspec.GitIgnoreSpec.from_lines(lines) if lines else None


def _is_pattern(line: str) -> bool:
    try:
        return any(pattern.include is not None for pattern in pathspec.GitIgnoreSpec.from_lines([line]).patterns)
    except ValueError:
        return False


def _entry_of(folder: Path, name: str) -> os.DirEntry[str] | None:
    try:
        with os.scandir(folder) as entries:
            return next((entry for entry in entries if entry.name == name), None)
    except OSError:
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
