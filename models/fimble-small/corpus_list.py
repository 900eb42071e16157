"""The list of packages that the corpus is made of: reads ``corpus.toml`` and ``corpus.lock.json``."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIST_FILE = HERE / "corpus.toml"
LOCK_FILE = HERE / "corpus.lock.json"

KINDS = ("pypi", "pypi-source", "npm", "debian-source")
LANGUAGES = ("python", "typescript", "javascript", "svelte", "vue", "go", "rust", "java", "c", "cpp")
SPLITS = ("train", "heldout")


class CorpusError(Exception):
    """The corpus cannot be made as asked; the text says why and what to do about it."""


@dataclass(frozen=True)
class Package:
    """One line of the list: an exact version of a package, and what is expected of it."""

    kind: str
    name: str
    version: str
    licence: str
    languages: tuple[str, ...]
    split: str

    @property
    def folder_name(self) -> str:
        """A name for this version's folder; npm scopes contain a slash."""
        return f"{self.name.replace('/', '+')}@{self.version.replace(':', '+')}"

    @property
    def key(self) -> str:
        """What the package is called in the lock."""
        return f"{self.kind}:{self.name}@{self.version}"


def default_cache() -> Path:
    """Where archives and intermediate results live: outside the checkout."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fimble-train"


def archive_folder(cache: Path, package: Package) -> Path:
    """The folder that holds the archives of one package."""
    return cache / "archives" / package.kind / package.folder_name


def parse_package(split: str, kind: str, row: dict[str, object]) -> Package:
    """Check one table of the list."""
    try:
        languages = row["languages"]
        if not isinstance(languages, list) or not languages:
            raise CorpusError(f"{row.get('name')}: languages must be a list with at least one entry")
        package = Package(
            kind, str(row["name"]), str(row["version"]), str(row["licence"]), tuple(map(str, languages)), split
        )
    except KeyError as missing:
        raise CorpusError(f"{kind} package {row.get('name', '?')!r} has no {missing}") from missing
    unknown = set(package.languages) - set(LANGUAGES)
    if kind not in KINDS or unknown:
        raise CorpusError(f"{package.name}: unknown kind {kind!r} or languages {sorted(unknown)}")
    return package


def read_packages(list_file: Path = LIST_FILE) -> list[Package]:
    """Read the list: every package once, in the order of the file."""
    with list_file.open("rb") as stream:
        document = tomllib.load(stream)
    packages = [
        parse_package(split, kind, row)
        for split in SPLITS
        for kind, rows in document.get(split, {}).items()
        for row in rows
    ]
    keys = [(package.kind, package.name) for package in packages]
    doubled = {name for kind, name in keys if keys.count((kind, name)) > 1}
    doubled |= {p.name for p in packages if p.split == "train"} & {p.name for p in packages if p.split == "heldout"}
    if doubled:
        raise CorpusError(f"named more than once in {list_file.name}: {', '.join(sorted(doubled))}")
    return packages


def only_named(packages: Iterable[Package], names: list[str]) -> list[Package]:
    """The packages with these names, or all when no name is given."""
    chosen = [package for package in packages if not names or package.name in names]
    if missing := sorted(set(names) - {package.name for package in chosen}):
        raise CorpusError(f"not in the list: {', '.join(missing)}")
    return chosen


def read_lock(lock_file: Path = LOCK_FILE) -> dict[str, dict[str, str]]:
    """The lock: for each package the SHA-256 of every archive."""
    if not lock_file.exists():
        return {}
    lock: dict[str, dict[str, str]] = json.loads(lock_file.read_text(encoding="utf-8"))
    return lock


def write_lock(lock: dict[str, dict[str, str]], lock_file: Path = LOCK_FILE) -> None:
    """Write the lock, sorted, so that its difference can be read."""
    lock_file.write_text(json.dumps(lock, indent=1, sort_keys=True) + "\n", encoding="utf-8")
