#!/usr/bin/env python3
"""Make the corpus: read the archives, keep what is worth learning from, write it in one fixed order.

    python models/fimble-small/prepare.py --out FOLDER

For every package that fetch.py brought: source files by language; left out are code of others, generated, minified
and compiled files, data, files under another licence (by their header or by debian/copyright); e-mail addresses and
secrets are scrubbed.  Then, over all of it: exact and near duplicates go (of a pair between training and held-out
side, the training file), tests are held under a share of each project, and no project gives more than a limit.

Writes train.jsonl.zst and heldout.jsonl.zst (project, path, language, text) and manifest.json.  The same archives
give the same files, byte for byte.  What was read from a package is kept in the cache: a second run goes on there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

import archives
import filters
import licences
import neardup
from corpus_list import (
    LANGUAGES,
    LIST_FILE,
    CorpusError,
    Package,
    archive_folder,
    default_cache,
    only_named,
    read_packages,
)
from records import Record, read_records, write_records

TEST_SHARE = 0.25  # of a project's bytes
PROJECT_LIMIT = 12_000_000  # bytes; breadth is worth more than one more driver of the same kind


@dataclass
class Prepared:
    """What one package gives: where its files stand, and what was left out or scrubbed on the way."""

    package: Package
    file: Path
    signatures: Path
    counts: dict[str, int] = field(default_factory=dict)


def fingerprint(folder: Path, package: Package) -> str:
    """Names the input of `prepare_package`: archives by name and size, and the rules' version."""
    parts = [f"{path.name} {path.stat().st_size}" for path in sorted(folder.iterdir())]
    parts += [*LANGUAGES, package.name, str(filters.VERSION)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def judge(path: str, content: bytes, package: Package, stanzas: list[licences.Stanza]) -> Record | str:
    """Turn a file into a record, or tell why it is left out (an empty reason: it is no source file)."""
    if filters.language_of(path) is None:
        return ""
    if refusal := filters.path_refusal(path):
        return refusal
    if stanzas and licences.file_is_refused(path, stanzas):
        return "debian/copyright names another licence"
    text = filters.decode(content)
    if text is None:
        return "not UTF-8 text"
    language = filters.language_of(path, text)
    assert language is not None
    if refusal := filters.text_refusal(text, language):
        return refusal
    text, _ = filters.scrub(text)
    if filters.still_holds_private_key(text):
        return "holds a private key"
    return Record(package.name, path, language, text)


def read_package(package: Package, folder: Path) -> tuple[list[Record], Counter[str]]:
    """Read all source files of a package; return those that stay, by path, and why others did not."""
    _, stanzas = licences.declared_licence(package, folder)
    stanzas = licences.copyleft_stanzas(stanzas)
    kept: dict[str, Record] = {}
    counts: Counter[str] = Counter()
    for path, content in archives.members(folder):
        result = judge(path, content, package, stanzas)
        if isinstance(result, str):
            counts[result] += bool(result)
            continue
        kept[path] = result
        for what, number in filters.scrub(filters.decode(content) or "")[1].items():
            counts[f"scrubbed: {what}"] += number
    written = {path.rsplit(".", 1)[0] for path in kept if path.endswith((".ts", ".tsx"))}
    for path in [path for path in kept if path.endswith((".js", ".mjs", ".cjs")) and path.rsplit(".", 1)[0] in written]:
        del kept[path]
        counts["compiled script"] += 1
    return [kept[path] for path in sorted(kept)], +counts


def prepare_package(package: Package, cache: Path) -> Prepared:
    """Filter one package into the cache, unless that was done before."""
    folder = archive_folder(cache, package)
    if not folder.is_dir():
        raise CorpusError(f"{package.name}: not fetched yet; run fetch.py first, or leave it out with --skip-missing")
    stem = cache / "prepared" / f"{package.kind}+{package.folder_name}-{fingerprint(folder, package)}"
    prepared = Prepared(package, stem.with_name(stem.name + ".jsonl.zst"), stem.with_name(stem.name + ".npy"))
    counts_file = stem.with_name(stem.name + ".json")
    if not counts_file.exists():  # written last
        records, counts = read_package(package, folder)
        write_records(prepared.file, records, level=3)
        signatures = np.array([neardup.signature(record.text) for record in records], dtype=np.uint32)
        np.save(prepared.signatures, signatures.reshape(-1, neardup.MINIMA))
        counts_file.write_text(json.dumps(counts, sort_keys=True), encoding="utf-8")
    prepared.counts = json.loads(counts_file.read_text(encoding="utf-8"))
    return prepared


def prepare_all(packages: list[Package], cache: Path, jobs: int) -> list[Prepared]:
    """Filter every package, some at a time, and tell how it goes on."""
    (cache / "prepared").mkdir(parents=True, exist_ok=True)
    done: list[Prepared] = []
    started = time.monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        waiting = [pool.submit(prepare_package, package, cache) for package in packages]
        for number, finished in enumerate(as_completed(waiting), start=1):
            done.append(finished.result())
            minutes = (time.monotonic() - started) / 60
            show(f"  {number}/{len(packages)} packages read, {minutes:.1f} min: {done[-1].package.name}")
    # The held-out side first: it keeps its files when a training file says the same.
    return sorted(done, key=lambda one: (one.package.split != "heldout", one.package.name, one.package.kind))


def show(text: str) -> None:
    """Tell what happens; on stderr."""
    print(text, file=sys.stderr, flush=True)


def in_asked_language(record: Record, package: Package) -> Record | None:
    """The record, if its language is asked for; a plain header in a project that is C++ only is C++."""
    if record.language == "c" and record.path.endswith(".h") and "c" not in package.languages:
        record = replace(record, language="cpp")
    return record if record.language in package.languages else None


def drop_duplicates(prepared: list[Prepared], drops: Counter[str]) -> dict[str, list[Record]]:
    """Keep the first of equal and of nearly equal files; the held-out packages come first in the list."""
    digests: set[str] = set()
    near = neardup.NearDuplicates()
    kept: dict[str, list[Record]] = {"train": [], "heldout": []}
    held_out_digests: set[str] = set()
    for one in prepared:
        split = one.package.split
        for read, minima in zip(read_records(one.file), np.load(one.signatures), strict=True):
            record = in_asked_language(read, one.package)
            if record is None:
                drops["language not asked for"] += 1
            elif record.digest in digests:
                drops["equal to a held-out file" if record.digest in held_out_digests else "equal to another"] += 1
            elif (twin := near.like(minima)) is not None:
                drops["nearly a held-out file" if twin == "heldout" and split == "train" else "nearly another"] += 1
            else:
                digests.add(record.digest)
                if split == "heldout":
                    held_out_digests.add(record.digest)
                near.add(minima, split)
                kept[split].append(record)
    return kept


def by_lot(records: list[Record], limit: float) -> tuple[list[Record], int]:
    """Take files in an order that only their text decides until the limit (bytes); return how many did not fit."""
    taken, size = [], 0
    for record in sorted(records, key=lambda record: record.digest):
        if size + record.size <= limit:
            taken.append(record)
            size += record.size
    return taken, len(records) - len(taken)


def balance(records: list[Record], drops: Counter[str]) -> list[Record]:
    """Hold tests under their share and every project under its limit; return in the order of the file."""
    projects: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        projects[record.project].append(record)
    balanced: list[Record] = []
    for _, files in sorted(projects.items()):
        code = [record for record in files if not filters.is_test(record.path)]
        tests = [record for record in files if filters.is_test(record.path)]
        code, over = by_lot(code, PROJECT_LIMIT * (1 - TEST_SHARE))
        drops["over the project's limit"] += over
        code_bytes = sum(record.size for record in code)
        tests, over = by_lot(tests, code_bytes * TEST_SHARE / (1 - TEST_SHARE))
        drops["over the share of tests"] += over
        balanced += sorted(code + tests, key=lambda record: (record.path, record.digest))
    return balanced


def summary(records: list[Record]) -> dict[str, object]:
    """Counts and bytes by language and by project."""
    tables: dict[str, dict[str, list[int]]] = {"languages": {}, "projects": {}}
    for record in records:
        for table, name in (("languages", record.language), ("projects", record.project)):
            row = tables[table].setdefault(name, [0, 0])
            row[0] += 1
            row[1] += record.size
    total = {"files": len(records), "bytes": sum(record.size for record in records)}
    named = {
        table: {name: {"files": files, "bytes": size} for name, (files, size) in sorted(rows.items())}
        for table, rows in tables.items()
    }
    return {**total, **named}


def manifest(kept: dict[str, list[Record]], drops: Counter[str], prepared: list[Prepared]) -> dict[str, object]:
    """All that is needed to see whether another build gave the same corpus."""
    lines = [f"{split} {r.project} {r.path} {r.digest}" for split in ("train", "heldout") for r in kept[split]]
    packages = {
        f"{one.package.kind}:{one.package.name}": {
            "version": one.package.version, "licence": one.package.licence, "split": one.package.split,
        }
        for one in prepared
    }  # fmt: skip
    return {
        "corpus_sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        "rules": {"version": filters.VERSION, "test_share": TEST_SHARE, "project_limit": PROJECT_LIMIT},
        "splits": {split: summary(records) for split, records in kept.items()},
        "dropped_or_scrubbed": dict(sorted(drops.items())),
        "packages": packages,
        "files": {split: {f"{r.project}/{r.path}": r.digest for r in records} for split, records in kept.items()},
    }


def build(packages: list[Package], cache: Path, out: Path, jobs: int) -> dict[str, object]:
    """Run the whole step and return the manifest."""
    prepared = prepare_all(packages, cache, jobs)
    drops: Counter[str] = Counter()
    for one in prepared:
        drops.update(one.counts)
    show("Dropping duplicates ...")
    kept = {split: balance(records, drops) for split, records in drop_duplicates(prepared, drops).items()}
    out.mkdir(parents=True, exist_ok=True)
    for split, records in kept.items():
        show(f"Writing {split}.jsonl.zst: {len(records)} files ...")
        write_records(out / f"{split}.jsonl.zst", records)
    result = manifest(kept, drops, prepared)
    (out / "manifest.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def print_result(result: dict[str, object]) -> None:
    """Print what came out as tables."""
    splits = result["splits"]
    assert isinstance(splits, dict)
    for split, table in splits.items():
        print(f"{split}: {table['files']} files, {table['bytes'] / 1e6:.1f} MB, {len(table['projects'])} projects")
        for language, row in table["languages"].items():
            print(f"  {language:<12}{row['files']:>8} files {row['bytes'] / 1e6:>8.1f} MB")
    drops = result["dropped_or_scrubbed"]
    assert isinstance(drops, dict)
    print("left out or scrubbed:")
    for reason, count in sorted(drops.items(), key=lambda item: -item[1]):
        print(f"  {count:>8}  {reason}")
    print(f"corpus {result['corpus_sha256']}")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the corpus; keep it out of the checkout")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where fetch.py put the archives")
    parser.add_argument("--list", type=Path, default=LIST_FILE, help="the list of packages (default: corpus.toml)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these packages, for a quick look")
    parser.add_argument("--skip-missing", action="store_true", help="go on without packages that were not fetched")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="packages read at a time")
    arguments = parser.parse_args(argv)
    try:
        packages = only_named(read_packages(arguments.list), arguments.only)
        if arguments.skip_missing:
            packages = [one for one in packages if archive_folder(arguments.cache, one).is_dir()]
        print_result(build(packages, arguments.cache, arguments.out, arguments.jobs))
    except CorpusError as problem:
        show(f"prepare: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
