#!/usr/bin/env python3
"""Make the training text small enough to travel to another machine, and unpack it there.

    python models/fimble-small/pack.py pack --corpus FOLDER --out PACKED      in pieces of at most 16 MiB
    python models/fimble-small/pack.py unpack PACKED --corpus FOLDER          the same text again
    python models/fimble-small/pack.py choose --corpus FOLDER --out CHOSEN    only the choice of files, as a corpus

If all of it does not fit (52 MiB by default), every language gets its share of the room (the table SHARES), and files
are drawn from every project alike, by a seed: so breadth stays.  What was packed is unpacked again and compared before
the command says that it is done.  The held-out files travel too if there is room for them (--heldout).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import zstandard

from corpus_list import CorpusError
from records import Record, read_records, write_records

MIB = 1024 * 1024
LIMIT = 52 * MIB
PIECE = 16 * MIB
WINDOW_LOG = 27  # what `zstd --long` uses: repeats are found 128 MiB back
PROBE_BYTES = 3_000_000  # of each language, to learn how well it compresses
MARGIN = 0.97
SHARES = {  # of the packed bytes, when not everything fits; what a language does not use goes to the others
    "python": 0.30, "typescript": 0.14, "javascript": 0.08, "svelte": 0.01, "vue": 0.01, "go": 0.11, "rust": 0.12,
    "java": 0.07, "c": 0.07, "cpp": 0.09,
}  # fmt: skip
INDEX = "pack.json"


def compressor(size: int = -1) -> zstandard.ZstdCompressor:
    """zstd -19 --long; one thread, so that the result is the same everywhere."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        19, source_size=max(size, 0), window_log=WINDOW_LOG, enable_ldm=True
    )
    return zstandard.ZstdCompressor(compression_params=parameters)


def compress(records: list[Record]) -> tuple[bytes, str]:
    """Return the compressed lines and the SHA-256 of what they were."""
    digest = hashlib.sha256()
    parts = []
    stream = compressor().compressobj()
    for record in records:
        line = record.line()
        digest.update(line)
        parts.append(stream.compress(line))
    parts.append(stream.flush())
    return b"".join(parts), digest.hexdigest()


def lot(record: Record, seed: int) -> str:
    """A number that only seed and file decide: files are drawn in its order."""
    return hashlib.sha256(f"{seed} {record.project} {record.path}".encode()).hexdigest()


def by_language(records: list[Record], seed: int) -> dict[str, list[Record]]:
    """The files of every language in the order in which they are drawn."""
    files: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: lot(record, seed)):
        files[record.language].append(record)
    return files


def ratios(files: dict[str, list[Record]]) -> dict[str, float]:
    """Compressed bytes per byte of text, by language, from a probe of neighbouring files."""
    found = {}
    for language, records in files.items():
        probe, size = [], 0
        for record in sorted(records, key=lambda record: (record.project, record.path)):
            if size < PROBE_BYTES:
                probe.append(record)
                size += record.size
        found[language] = len(compress(probe)[0]) / size
    return found


def rooms(needs: dict[str, float], limit: float) -> dict[str, float]:
    """Share compressed bytes out: a language that needs less than its share leaves the rest to the others."""
    given: dict[str, float] = {}
    waiting = dict(needs)
    while waiting:
        left = limit - sum(given.values())
        weight = sum(SHARES.get(language, 0.01) for language in waiting)
        content = {
            language: need for language, need in waiting.items() if need <= left * SHARES.get(language, 0.01) / weight
        }
        if not content:
            return given | {language: left * SHARES.get(language, 0.01) / weight for language in waiting}
        given |= content
        waiting = {language: need for language, need in waiting.items() if language not in content}
    return given


def choose(records: list[Record], limit: float, seed: int, measured: dict[str, float]) -> list[Record]:
    """Draw the files whose compressed size should stay under the limit; in the order of the corpus."""
    files = by_language(records, seed)
    needs = {name: measured[name] * sum(record.size for record in group) for name, group in files.items()}
    room = rooms(needs, limit)
    taken: set[tuple[str, str]] = set()
    for language, group in files.items():
        left = room[language] / measured[language]
        for record in group:
            if record.size <= left:
                left -= record.size
                taken.add((record.project, record.path))
    return [record for record in records if (record.project, record.path) in taken]


def write_pieces(out: Path, stem: str, packed: bytes) -> list[dict[str, object]]:
    """Write the pieces and describe them."""
    pieces: list[dict[str, object]] = []
    for number, start in enumerate(range(0, len(packed), PIECE)):
        piece = packed[start : start + PIECE]
        name = f"{stem}.{number:02}.zst-part"
        (out / name).write_bytes(piece)
        pieces.append({"name": name, "bytes": len(piece), "sha256": hashlib.sha256(piece).hexdigest()})
    return pieces


def pack_train(records: list[Record], limit: int, seed: int) -> tuple[bytes, str, list[Record]]:
    """Compress everything, or as much as the limit allows."""
    measured = ratios(by_language(records, seed))
    room = limit * MARGIN
    while True:
        chosen = choose(records, room, seed, measured)
        say(f"compressing {sum(record.size for record in chosen) / 1e6:.0f} MB of {len(chosen)} files; minutes ...")
        packed, digest = compress(chosen)
        if len(packed) <= limit:
            return packed, digest, chosen
        say(f"{len(packed) / MIB:.1f} MiB is too much; once more with less")
        room *= MARGIN * limit / len(packed)


def pack(corpus: Path, out: Path, limit: int, seed: int, heldout: bool) -> dict[str, object]:
    """Pack a corpus into a folder; return the index."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.zst-part"):
        old.unlink()
    parts: dict[str, object] = {}
    if heldout:
        records = list(read_records(corpus / "heldout.jsonl.zst"))
        packed, digest = compress(records)
        limit -= len(packed)
        if limit <= 0:
            raise CorpusError(f"the held-out files alone take {len(packed) / MIB:.1f} MiB")
        parts["heldout"] = {"sha256": digest, "files": len(records), "pieces": write_pieces(out, "heldout", packed)}
    everything = list(read_records(corpus / "train.jsonl.zst"))
    packed, digest, chosen = pack_train(everything, limit, seed)
    sizes: dict[str, int] = defaultdict(int)
    for record in chosen:
        sizes[record.language] += record.size
    parts["train"] = {
        "sha256": digest, "files": len(chosen), "left_out": len(everything) - len(chosen),
        "bytes_by_language": dict(sorted(sizes.items())), "pieces": write_pieces(out, "train", packed),
    }  # fmt: skip
    index: dict[str, object] = {"seed": seed, "parts": parts}
    (out / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    for split in parts:  # raises when a byte is wrong
        for _ in unpacked_lines(out, split):
            pass
    return index


def choose_corpus(corpus: Path, out: Path, limit: int, seed: int) -> dict[str, int]:
    """Write the files that would be packed within *limit* bytes as a corpus of their own; return bytes by language."""
    records = list(read_records(corpus / "train.jsonl.zst"))
    chosen = choose(records, limit, seed, ratios(by_language(records, seed)))
    out.mkdir(parents=True, exist_ok=True)
    write_records(out / "train.jsonl.zst", chosen, level=3)
    sizes: dict[str, int] = defaultdict(int)
    for record in chosen:
        sizes[record.language] += record.size
    return dict(sorted(sizes.items()))


def unpacked_lines(packed: Path, split: str) -> Iterator[bytes]:
    """Yield the lines of one part; raise when pieces or text are not what the index says."""
    part = json.loads((packed / INDEX).read_text(encoding="utf-8"))["parts"][split]
    pieces = []
    for piece in part["pieces"]:
        content = (packed / piece["name"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != piece["sha256"]:
            raise CorpusError(f"{piece['name']} was damaged on its way: bring it again")
        pieces.append(content)
    digest = hashlib.sha256()
    reader = zstandard.ZstdDecompressor(max_window_size=2**WINDOW_LOG).stream_reader(b"".join(pieces))
    rest = b""
    while block := reader.read(MIB):
        digest.update(block)
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    if digest.hexdigest() != part["sha256"] or rest:
        raise CorpusError(f"{split}: the unpacked text is not what was packed")


def unpack(packed: Path, corpus: Path) -> None:
    """Write every part as a ``.jsonl.zst`` file again."""
    corpus.mkdir(parents=True, exist_ok=True)
    for split in json.loads((packed / INDEX).read_text(encoding="utf-8"))["parts"]:
        records = (Record(**json.loads(line)) for line in unpacked_lines(packed, split))
        write_records(corpus / f"{split}.jsonl.zst", records, level=3)
        say(f"wrote {corpus / f'{split}.jsonl.zst'}")


def say(text: str) -> None:
    """Tell what happens; on stderr."""
    print(text, file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="corpus folder -> pieces")
    choosing = commands.add_parser("choose", help="corpus folder -> a smaller one, of what would be packed")
    for command in (packing, choosing):
        command.add_argument("--corpus", type=Path, required=True, help="folder with train.jsonl.zst, from prepare.py")
        command.add_argument("--out", type=Path, required=True, help="the folder to write")
        command.add_argument("--limit-mib", type=float, default=LIMIT / MIB, help="once compressed (default: 52)")
        command.add_argument("--seed", type=int, default=1, help="decides which files are drawn when not all fit")
    packing.add_argument("--heldout", action="store_true", help="pack the held-out files too, within the limit")
    unpacking = commands.add_parser("unpack", help="pieces -> corpus folder")
    unpacking.add_argument("packed", type=Path, help="folder with the pieces")
    unpacking.add_argument("--corpus", type=Path, required=True, help="where to write")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "unpack":
            unpack(arguments.packed, arguments.corpus)
            return 0
        limit = int(arguments.limit_mib * MIB)
        if arguments.command == "choose":
            print(json.dumps(choose_corpus(arguments.corpus, arguments.out, limit, arguments.seed), indent=1))
            return 0
        index = pack(arguments.corpus, arguments.out, limit, arguments.seed, arguments.heldout)
        print(json.dumps(index, indent=1))
    except (CorpusError, FileNotFoundError) as problem:
        say(f"pack: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
