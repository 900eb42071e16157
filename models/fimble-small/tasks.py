"""Completion tasks from whole projects that nobody has read: what the card's figures are measured on.

    python tasks.py W/corpus/heldout.jsonl.zst W/tasks.jsonl

Writes lines that scripts/eval.py reads, the same for the same corpus and seed: {"id", "language", "kind", "repo",
"path", "prefix", "suffix", "groundtruth", "crossfile": [{"path", "text", "score"}]}.  Prefix and suffix are the whole
rest of the file.  The languages take turns, and in each the projects and the kinds, so that the first N tasks are a
fair sample, too.  Lines are drawn evenly from a file, files evenly from a project.

The true text is always the rest of a line, as somebody types it.  The kinds say where the cursor stands:

- ``indent``: after the indentation, nothing typed;
- ``middle``: later in the line, not inside a word;
- ``word``: inside a word of at least four letters.

A true text without a letter or digit, under 3 or over 200 bytes is not asked for, nor one in the comment that a file
begins with (licences).  ``crossfile`` holds pieces of other files of the project, the best first: blocks of ten lines
that share rare words with the lines before the cursor.  Nothing right of the cursor takes part in choosing them.

It prints counts, never text.
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import random
import re
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store import read_corpus

_SEED = 20_261_123
KINDS = ("indent", "middle", "word")

_TRUTH_BYTES = range(3, 201)
_WORD_LETTERS = 4

#: A piece of another file, how many a task brings, and how many lines above the cursor say what they should be about.
_PIECE_LINES = 10
_PIECES = 5
_QUERY_LINES = 10

_WORD = re.compile(r"[^\W\d]\w{2,}")
_COMMENT = ("#", "//", "/*", "*", "--", "<!--", '"""', ";", "%")

File = Mapping[str, str]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Piece:
    path: str
    text: str
    words: frozenset[str]


class Project:
    """The files of one project, and the pieces of them that a task may bring."""

    def __init__(self, files: Sequence[File]) -> None:
        self.files = files
        self._pieces: list[_Piece] = []
        self._with_word: dict[str, list[int]] = collections.defaultdict(list)
        for file in files:
            lines = file["text"].split("\n")
            for start in range(0, len(lines), _PIECE_LINES):
                text = "\n".join(lines[start : start + _PIECE_LINES])
                words = frozenset(_WORD.findall(text))
                for word in words:
                    self._with_word[word].append(len(self._pieces))
                self._pieces.append(_Piece(file["path"], text, words))

    def alike(self, path: str, query: str) -> list[Row]:
        """The pieces of other files that are most like *query*: shared rare words, by the root of the piece's size."""
        scores: dict[int, float] = collections.defaultdict(float)
        for word in sorted(set(_WORD.findall(query))):
            holders = self._with_word.get(word, ())
            for number in holders:
                scores[number] += math.log(len(self._pieces) / len(holders))
        for number in scores:
            scores[number] /= math.sqrt(len(self._pieces[number].words))
        ranked = sorted(scores, key=lambda number: (-scores[number], number))
        chosen = [number for number in ranked if self._pieces[number].path != path and scores[number] > 0.0]
        return [
            {"path": self._pieces[i].path, "text": self._pieces[i].text, "score": round(scores[i], 3)}
            for i in chosen[:_PIECES]
        ]


def _first_lines(lines: Sequence[str]) -> int:
    """How many lines the comment has that a file begins with."""
    if not lines or not lines[0].lstrip().startswith(_COMMENT):
        return 0
    return next((number for number, line in enumerate(lines) if not line.strip()), len(lines))


def _cursors(line: str, kind: str) -> list[int]:
    """The places in *line* where a cursor of this kind can stand and a true text follows."""
    first = len(line) - len(line.lstrip())
    if kind == "indent":
        places = [first]
    elif kind == "middle":
        inside = {at for word in re.finditer(r"\w+", line) for at in range(word.start() + 1, word.end())}
        places = [at for at in range(first + 1, len(line)) if at not in inside]
    else:
        words = [word.span() for word in _WORD.finditer(line)]
        places = [at for start, end in words if end - start >= _WORD_LETTERS for at in range(start + 1, end)]
    return [at for at in places if _is_worth_asking(line[at:])]


def _is_worth_asking(truth: str) -> bool:
    return len(truth.encode()) in _TRUTH_BYTES and any(character.isalnum() for character in truth)


def draw(project: Project, kind: str, dice: random.Random) -> Row | None:
    """One task without its id; None if the drawn line has no place for it."""
    file = dice.choice(project.files)
    lines = file["text"].split("\n")
    begin = _first_lines(lines)
    if begin >= len(lines):
        return None
    number = dice.randrange(begin, len(lines))
    line = lines[number].rstrip()
    places = _cursors(line, kind)
    if not places:
        return None
    at = dice.choice(places)
    before = [*lines[:number], line[:at]]
    query = "\n".join(before[-_QUERY_LINES:])
    return {
        "language": file["language"],
        "kind": kind,
        "repo": file["project"],
        "path": file["path"],
        "prefix": "\n".join(before),
        "suffix": "\n".join([lines[number][len(line) :], *lines[number + 1 :]]),
        "groundtruth": line[at:],
        "crossfile": project.alike(file["path"], query),
    }


def make(files: Sequence[File], each: int, seed: int = _SEED) -> Iterator[Row]:
    """At most *each* tasks of every language, the languages taking turns; fewer where there is no text for more."""
    members: dict[tuple[str, str], list[File]] = collections.defaultdict(list)
    for file in files:
        members[file["language"], file["project"]].append(file)
    everything = collections.defaultdict(list)
    for (language, _), own in sorted(members.items()):
        everything[language].append(Project(own))
    drawn = {language: _of_one(projects, each, f"{seed}/{language}") for language, projects in everything.items()}
    for number in range(each):
        for language in sorted(drawn):
            if number < len(drawn[language]):
                yield {"id": f"{language}/{number}", **drawn[language][number]}


def _of_one(projects: Sequence[Project], count: int, seed: str) -> list[Row]:
    """*count* different tasks of one language."""
    dice = random.Random(seed)  # noqa: S311 - nothing secret
    rows: list[Row] = []
    seen: set[tuple[str, str, str]] = set()
    for attempt in range(200 * count):
        turn = len(rows) + attempt // 200  # a project without a place of one kind is not asked for ever
        row = draw(projects[turn % len(projects)], KINDS[turn // len(projects) % len(KINDS)], dice)
        if row is None or (place := (row["repo"], row["path"], row["prefix"])) in seen:
            continue
        seen.add(place)
        rows.append(row)
        if len(rows) == count:
            break
    return rows


def describe(rows: Sequence[Row]) -> str:
    """Counts by language; no text."""
    lines = ["language      tasks  projects  files  indent/middle/word  bytes of truth (median, all)  with pieces"]
    for language in sorted({row["language"] for row in rows}):
        own = [row for row in rows if row["language"] == language]
        sizes = [len(row["groundtruth"].encode()) for row in own]
        kinds = "/".join(str(sum(row["kind"] == kind for row in own)) for kind in KINDS)
        projects, files = ({tuple(row[key] for key in keys) for row in own} for keys in (("repo",), ("repo", "path")))
        pieces = sum(bool(row["crossfile"]) for row in own)
        lines.append(
            f"{language:<12} {len(own):>6} {len(projects):>9} {len(files):>6} {kinds:>19}"
            f" {f'{statistics.median(sizes):.0f}, {sum(sizes)}':>29} {pieces:>12}"
        )
    return "\n".join(lines)


def main() -> int:
    """Make tasks from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="heldout.jsonl.zst")
    parser.add_argument("out", type=Path, metavar="TASKS.jsonl")
    parser.add_argument("--each", type=int, default=60, metavar="N", help="tasks of each language (default: 60)")
    parser.add_argument("--seed", type=int, default=_SEED)
    args = parser.parse_args()
    rows = list(make(list(read_corpus(args.corpus)), args.each, args.seed))
    args.out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    print(describe(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
