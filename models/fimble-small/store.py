"""The corpus as tokens: made once, read by every worker, small enough to travel.

A store is a folder with three files:

- ``tokens.u16``: for each file of the corpus its header (``path\\n``) and its text, as 16-bit token ids;
- ``index.json``: where each file lies, what it is called, and which project it belongs to (files of one project stand
  side by side);
- ``tokenizer.json``: the tokenizer that made them.

Header and text are tokenised by themselves, as models/PROMPT.md asks.  Text can be cut without tokenising again at a
*safe* line start: one where the next line has something to say.  Byte-level BPE with the qwen2 pattern never merges
across such a place: a newline belongs to what stands before it, and only blank lines draw it further.
``tests/model/test_training.py`` checks that for the tokenizer at hand.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import itertools
import json
import lzma
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

Tokens = npt.NDArray[np.uint16]
Flags = npt.NDArray[np.bool_]

#: Files tokenised per batch; `tokenizers` spreads a batch over the cores.
_BATCH = 256

#: A travelling piece holds this many tokens (16 MiB before compression), so that all cores can unpack at once.
_PIECE_TOKENS = 8 * 1024 * 1024

#: LZMA for pairs of bytes: the position's lowest bit tells the halves of a token apart.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 3, "lp": 1, "pb": 1}]


@dataclass(frozen=True, slots=True)
class File:
    """One file of the corpus; ``start`` is its header's first token in ``tokens.u16``."""

    project: int
    path: str
    language: str
    start: int
    header: int
    text: int


@dataclass(frozen=True, slots=True)
class Control:
    """The ids of the control tokens."""

    end: int
    prefix: int
    suffix: int
    middle: int
    pad: int
    repo: int
    file: int


def control_tokens(tokenizer: Tokenizer) -> Control:
    """Find the control tokens by their text; raises ValueError if one is missing."""
    names = ("endoftext", "fim_prefix", "fim_suffix", "fim_middle", "fim_pad", "repo_name", "file_sep")
    ids = [tokenizer.token_to_id(f"<|{name}|>") for name in names]
    if None in ids:
        raise ValueError(f"the tokenizer lacks one of {names}")
    return Control(*ids)


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer, told that text never spells a control token (models/PROMPT.md)."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    return tokenizer


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of every token; byte-level BPE writes byte b as a printable character (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(256 + i): byte for i, byte in enumerate(others)})
    control = {i for i, added in tokenizer.get_added_tokens_decoder().items() if added.special}
    pieces: list[bytes] = []
    for i in range(tokenizer.get_vocab_size()):
        text = tokenizer.id_to_token(i) or ""
        pieces.append(b"" if i in control else bytes(table[character] for character in text))
    return pieces


class Store:
    """A corpus as tokens, mapped into memory."""

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "index.json").read_text("utf-8"))
        self.folder = folder
        self.projects: list[str] = index["projects"]
        self.files = [File(*row) for row in index["files"]]
        self.tokens: Tokens = np.memmap(folder / "tokens.u16", dtype=np.uint16, mode="r")
        self.tokenizer = load_tokenizer(folder / "tokenizer.json")
        self.pieces = token_bytes(self.tokenizer)
        self.lengths = np.array([len(piece) for piece in self.pieces], dtype=np.int64)
        self._ends_line = np.array([piece.endswith(b"\n") for piece in self.pieces])
        self._indents = np.array([piece != b"" and not piece.strip(b" \t") for piece in self.pieces])
        self._speaks = np.array([_speaks(piece) for piece in self.pieces])

    def header(self, file: File) -> Tokens:
        """The tokens of ``path\\n``."""
        return self.tokens[file.start : file.start + file.header]

    def text(self, file: File) -> Tokens:
        """The tokens of the file's text."""
        start = file.start + file.header
        return self.tokens[start : start + file.text]

    def encode(self, text: bytes) -> list[int]:
        """Tokenise *text* by itself."""
        return self.tokenizer.encode(text.decode("utf-8"), add_special_tokens=False).ids if text else []

    def decode(self, tokens: Tokens) -> bytes:
        """The bytes that *tokens* stand for."""
        return b"".join([self.pieces[token] for token in tokens.tolist()])

    def safe_lines(self, tokens: Tokens) -> npt.NDArray[np.int64]:
        """Indices into *tokens* (a text from a line start on) where a line with something on it begins."""
        count = len(tokens)
        first = np.ones(count, dtype=bool)
        first[1:] = self._ends_line[tokens[:-1]]
        place = np.where(self._indents[tokens], count, np.arange(count))
        after_indent = np.minimum.accumulate(place[::-1])[::-1]
        known = after_indent < count
        says = np.zeros(count, dtype=bool)
        says[known] = self._speaks[tokens[after_indent[known]]]
        return np.flatnonzero(first & says)


def _speaks(piece: bytes) -> bool:
    """Whether the first character after spaces and tabs is visible ASCII: then the line is surely not blank."""
    rest = piece.lstrip(b" \t")
    return bool(rest) and 0x21 <= rest[0] <= 0x7E


def _open(path: Path) -> IO[Any]:
    """A text file that may be compressed; ``.zst`` needs the package `zstandard`."""
    if path.suffix == ".zst":
        import zstandard

        return zstandard.open(path, "rt", encoding="utf-8")
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    return opener(path, "rt", encoding="utf-8")


def read_corpus(path: Path) -> Iterator[dict[str, str]]:
    """Rows with project, path, language and text, line endings made ``\\n``."""
    with _open(path) as lines:
        for line in lines:
            row = json.loads(line)
            row["text"] = row["text"].replace("\r\n", "\n").replace("\r", "\n")
            if row["text"].strip():
                yield row


def build(corpus: Path, tokenizer_path: Path, folder: Path, every: int = 1) -> int:
    """Tokenise *corpus*, or *every* so manieth file of it, into *folder*; return the number of tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer(tokenizer_path)
    if tokenizer.get_vocab_size() > 1 << 16:
        raise ValueError("a store keeps 16-bit ids: the vocabulary may have 65,536 entries at most")
    projects: dict[str, int] = {}
    files: list[list[Any]] = []
    total = size = 0
    with (folder / "tokens.u16").open("wb") as out:
        for rows in _batches(itertools.islice(read_corpus(corpus), 0, None, every)):
            texts = [part for row in rows for part in (row["path"] + "\n", row["text"])]
            encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            for row, header, text in zip(rows, encoded[::2], encoded[1::2], strict=True):
                project = projects.setdefault(row["project"], len(projects))
                files.append([project, row["path"], row["language"], total, len(header.ids), len(text.ids)])
                out.write(np.array(header.ids + text.ids, dtype=np.uint16).tobytes())
                total += len(header.ids) + len(text.ids)
                size += len(row["text"].encode())
    index = {"projects": list(projects), "files": files, "tokens": total, "bytes": size}
    (folder / "index.json").write_text(json.dumps(index, ensure_ascii=False), "utf-8")
    shutil.copyfile(tokenizer_path, folder / "tokenizer.json")
    return total


def _batches(rows: Iterator[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    batch: list[dict[str, str]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _compress(raw: bytes) -> bytes:
    return lzma.compress(raw, format=lzma.FORMAT_XZ, filters=_FILTERS)


def pack(folder: Path, out: Path) -> int:
    """Write *folder* compressed to *out*, in pieces that unpack in parallel; return the bytes written."""
    out.mkdir(parents=True, exist_ok=True)
    raw = (folder / "tokens.u16").read_bytes()
    pieces = [raw[i : i + 2 * _PIECE_TOKENS] for i in range(0, len(raw), 2 * _PIECE_TOKENS)]
    with ProcessPoolExecutor() as pool:
        for number, packed in enumerate(pool.map(_compress, pieces)):
            (out / f"tokens-{number:02}.xz").write_bytes(packed)
    for name in ("index.json", "tokenizer.json"):
        (out / f"{name}.xz").write_bytes(lzma.compress((folder / name).read_bytes(), preset=9))
    (out / "sha256").write_text(hashlib.sha256(raw).hexdigest() + "\n", "ascii")
    return sum(path.stat().st_size for path in out.iterdir())


def unpack(folder: Path, out: Path) -> None:
    """The reverse of pack(); raises ValueError if the tokens are not what was packed."""
    out.mkdir(parents=True, exist_ok=True)
    packed = [path.read_bytes() for path in sorted(folder.glob("tokens-*.xz"))]
    with ProcessPoolExecutor() as pool:
        raw = b"".join(pool.map(lzma.decompress, packed))
    if hashlib.sha256(raw).hexdigest() != (folder / "sha256").read_text("ascii").strip():
        raise ValueError(f"{folder} is damaged or incomplete")
    (out / "tokens.u16").write_bytes(raw)
    for name in ("index.json", "tokenizer.json"):
        (out / name).write_bytes(lzma.decompress((folder / f"{name}.xz").read_bytes()))


def main() -> None:
    """Build, pack or unpack a store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("build", help="tokenise a corpus (.jsonl, .gz, .xz or .zst) into a store")
    making.add_argument("corpus", type=Path, help="one JSON object a line: project, path, language, text")
    making.add_argument("tokenizer", type=Path, help="tokenizer.json of the `tokenizers` library")
    making.add_argument("store", type=Path, help="the folder to write")
    making.add_argument("--every", type=int, default=1, metavar="N", help="take each N-th file only (default: all)")
    for name, tells in (("pack", "compress a store for a journey"), ("unpack", "the reverse of pack")):
        command = commands.add_parser(name, help=tells)
        command.add_argument("source", type=Path)
        command.add_argument("target", type=Path)
    args = parser.parse_args()
    if args.command == "build":
        print(f"{build(args.corpus, args.tokenizer, args.store, args.every):,} tokens in {args.store}")
    elif args.command == "pack":
        print(f"{pack(args.source, args.target) / 2**20:.1f} MiB in {args.target}")
    else:
        unpack(args.source, args.target)


if __name__ == "__main__":
    main()
