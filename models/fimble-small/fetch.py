#!/usr/bin/env python3
"""Fetch the packages that the corpus is made of, exactly the versions that corpus.toml names.

    python models/fimble-small/fetch.py

Wheels and source distributions come through pip, npm packages through npm, Debian source packages through apt (with a
private state: nothing of the system changes, and root is not needed).  No code of a package runs.  Archives go to
a cache folder outside the checkout; what is there already is not fetched again, so an interrupted run just goes on.

Each package is refused if its own metadata names no licence, a copyleft one, or another than the list expects.
The SHA-256 of every archive is compared with corpus.lock.json; `--update-lock` writes it for packages that are new.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import registries
from corpus_list import (
    LIST_FILE,
    LOCK_FILE,
    CorpusError,
    Package,
    archive_folder,
    default_cache,
    only_named,
    read_lock,
    read_packages,
    write_lock,
)
from licences import check_licence


@dataclass(frozen=True)
class Outcome:
    """How it went with one package."""

    package: Package
    state: str
    megabytes: float = 0.0
    licence: str = ""


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every archive of a package."""
    found = {}
    for archive in sorted(folder.iterdir()):
        with archive.open("rb") as stream:
            found[archive.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def check_lock(package: Package, found: dict[str, str], lock: dict[str, dict[str, str]], update: bool) -> None:
    """Compare archives with the lock; raise when they differ."""
    expected = lock.get(package.key)
    if expected is None:
        if not update:
            raise CorpusError(f"{package.name} {package.version}: not in {LOCK_FILE.name}; add it with --update-lock")
        lock[package.key] = found
    elif expected != found:
        raise CorpusError(
            f"{package.name} {package.version}: the registry gave other archives than {LOCK_FILE.name} names.\n"
            f"Look at them before you remove `{package.key}` from the lock and run again with --update-lock."
        )


def fetch(package: Package, cache: Path, lock: dict[str, dict[str, str]], update: bool) -> Outcome:
    """Bring one package into the cache and check it."""
    folder = archive_folder(cache, package)
    known = folder.is_dir()
    if not known:
        registries.download(package, folder, cache)
    try:
        licence = check_licence(package, folder)
    except CorpusError:
        shutil.rmtree(folder)  # what is refused does not stay where prepare.py would find it
        raise
    check_lock(package, hashes(folder), lock, update)
    size = sum(archive.stat().st_size for archive in folder.iterdir()) / 1e6
    return Outcome(package, "was here" if known else "fetched", size, licence)


def print_row(number: int, count: int, outcome: Outcome) -> None:
    """Print one row of the table."""
    package = outcome.package
    print(
        f"{number:>3}/{count} {package.kind:<14}{package.name[:32]:<33}{package.version[:24]:<25}{package.split:<8}"
        f"{outcome.megabytes:>7.1f} MB  {outcome.state:<9} {outcome.licence[:48]}",
        flush=True,
    )


def fetch_all(packages: list[Package], cache: Path, update: bool) -> list[str]:
    """Fetch all packages, with a table of how it goes; return what went wrong."""
    lock = read_lock()
    problems = []
    for number, package in enumerate(packages, start=1):
        try:
            outcome = fetch(package, cache, lock, update)
        except CorpusError as problem:
            outcome = Outcome(package, "FAILED")
            problems.append(str(problem))
        print_row(number, len(packages), outcome)
    if update:
        wanted = {package.key for package in read_packages()}
        write_lock({key: value for key, value in lock.items() if key in wanted})
    return problems


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where archives go (default: %(default)s)")
    parser.add_argument("--list", type=Path, default=LIST_FILE, help="the list of packages (default: corpus.toml)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these packages")
    parser.add_argument("--update-lock", action="store_true", help="write the hashes of new packages into the lock")
    arguments = parser.parse_args(argv)
    try:
        packages = only_named(read_packages(arguments.list), arguments.only)
        arguments.cache.mkdir(parents=True, exist_ok=True)
        problems = fetch_all(packages, arguments.cache, arguments.update_lock)
    except CorpusError as problem:
        problems = [str(problem)]
    for text in problems:
        print(f"\nfetch: {text}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
