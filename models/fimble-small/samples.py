"""Files into training sequences, laid out exactly as the product prompts (models/PROMPT.md).

    <repo> NAME\\n  (<file> path\\n text\\n)*  <file> path\\n  <pre> prefix <suf> suffix <mid> typed rest <end>

Every segment is tokenised by itself.  ``typed`` is what stands between the anchor (a line start) and the cursor; it
may end in the middle of a word, and then so does its last token.  A cut without an anchor has no typed part: its prefix
ends anywhere.  The other samples are files from left to right: ``<file> path\\n text <end>``.

What carries loss, and why:

- text of the current file (prefix, suffix, middle): yes; all of it is code, and code is what the model has to learn;
- tokens that exist only because a cut went through a word (the last of prefix or typed, the first of the suffix): no,
  or the model would learn to write half words;
- snippets: no; each file has its own turn, and what is repeated as context should not be learned by heart;
- control tokens and headers: no, the product writes them; but the end token, yes, where a middle or a file ends.

``python samples.py STORE`` prints a few samples.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cuts import Cut, Cutter
from store import Control, File, Store, Tokens, control_tokens

#: Shorter texts (in tokens) are not cut.
_SHORTEST_TO_CUT = 24

#: Sizes of a snippet, in tokens, and how many candidates are compared for each sample.
_SNIPPET_TOKENS = (48, 320)
_SNIPPET_CANDIDATES = 6


class Frame(Enum):
    """What stands before the current text."""

    BARE = "nothing"
    PATH = "the file's path"
    SNIPPETS = "the project's name, snippets of its other files, the file's path"


@dataclass(frozen=True, slots=True)
class Recipe:
    """The shares of the mixture."""

    middles: float = 0.65
    """Fill in the middle; the rest is read from left to right."""
    anchored: float = 0.65
    """Of the middles: cut as the product cuts, with typed text after the middle token."""
    snippets: float = 0.50
    """Preceded by snippets of other files of the project (and the project's name)."""
    bare: float = 0.15
    """Without snippets and without the file's own path."""

    def frame(self, rng: np.random.Generator) -> Frame:
        """Draw what stands before the current text."""
        kind = rng.random()
        if kind < self.bare:
            return Frame.BARE
        return Frame.SNIPPETS if kind < self.bare + self.snippets else Frame.PATH


@dataclass(slots=True)
class Sample:
    """Tokens, which of them carry loss, and where the answer (what the model has to write) begins."""

    tokens: list[int] = field(default_factory=list)
    loss: list[bool] = field(default_factory=list)
    answer: int = 0
    answer_text: bytes = b""

    def add(self, tokens: Sequence[int], learnt: int = 0, skip: int = 0) -> None:
        """Append; tokens from *skip* up to *learnt* carry loss."""
        self.tokens += tokens
        self.loss += [skip <= i < learnt for i in range(len(tokens))]


@dataclass(slots=True)
class Parts:
    """The segments of one prompt as tokens, and how much of each is natural (see the module's text on loss)."""

    repo: list[int] = field(default_factory=list)
    snippets: list[list[int]] = field(default_factory=list)
    header: list[int] = field(default_factory=list)
    prefix: list[int] = field(default_factory=list)
    suffix: list[int] = field(default_factory=list)
    typed: list[int] = field(default_factory=list)
    rest: list[int] = field(default_factory=list)
    prefix_natural: int = 0
    typed_natural: int = 0


def lay_out(parts: Parts, control: Control) -> Sample:
    """The prompt of models/PROMPT.md, then the answer and the end token."""
    sample = Sample()
    _context(sample, parts, control)
    sample.add([control.prefix])
    sample.add(parts.prefix, learnt=parts.prefix_natural)
    sample.add([control.suffix])
    sample.add(parts.suffix, learnt=len(parts.suffix), skip=1)
    sample.add([control.middle])
    sample.add(parts.typed, learnt=parts.typed_natural)
    sample.answer = len(sample.tokens)
    sample.add([*parts.rest, control.end], learnt=len(parts.rest) + 1)
    return sample


def _context(sample: Sample, parts: Parts, control: Control) -> None:
    """Repository, snippets and the current file's header, as far as there are any."""
    if parts.repo:
        sample.add([control.repo, *parts.repo])
    for snippet in parts.snippets:
        sample.add([control.file, *snippet])
    if parts.header:
        sample.add([control.file, *parts.header])


def shared_start(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two lists have in common at their beginning."""
    count = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        count += 1
    return count


class Sampler:
    """Makes samples from a store; everything random comes from the generator that is passed in."""

    def __init__(self, store: Store, recipe: Recipe) -> None:
        self.store = store
        self.recipe = recipe
        self.control = control_tokens(store.tokenizer)
        self._names = [store.encode(f"{name}\n".encode()) for name in store.projects]
        self._members: dict[int, list[int]] = {}
        self._place: list[int] = []
        for number, file in enumerate(store.files):
            members = self._members.setdefault(file.project, [])
            self._place.append(len(members))
            members.append(number)
        # Rare tokens say more about what two files share: the logarithm of how rare, over a part of the corpus.
        counts = np.bincount(store.tokens[:4_000_000], minlength=len(store.pieces)) + 1
        self._rarity = np.log(counts.sum() / counts)

    def sample(
        self, number: int, tokens: Tokens, whole: bool, budget: int, frame: Frame, rng: np.random.Generator
    ) -> Sample:
        """One sample of at most *budget* tokens around *tokens*, a part of file *number* that starts at a safe line.

        *whole* says that the part reaches to the end of its file.  Snippets get what the part leaves.
        """
        parts = self._framed(number, tokens, budget, frame, rng)
        if rng.random() < self.recipe.middles and len(tokens) >= _SHORTEST_TO_CUT:
            text = self.store.decode(tokens)
            low = int(rng.integers(len(text) // 2)) if rng.random() < 0.5 else 0
            low = text.rfind(b"\n", 0, low) + 1
            cut = Cutter(text[low:], rng).draw(self.recipe.anchored)
            if cut is not None:
                moved = Cut(low + cut.anchor, low + cut.cursor, low + cut.end)
                made = self._middle(parts, tokens, text, moved)
                if (excess := len(made.tokens) - budget) > 0:  # a cut line is a few tokens longer than it was whole
                    self._shorten(parts, excess)
                    made = lay_out(parts, self.control)
                if len(made.tokens) <= budget:
                    made.answer_text = text[moved.cursor : moved.end]
                    return made
        sample = Sample()
        _context(sample, parts, self.control)
        sample.add(tokens.tolist(), learnt=len(tokens))
        sample.add([self.control.end], learnt=int(whole))
        return sample

    def room(self, number: int, budget: int) -> int:
        """How many tokens of file *number* fit into a sample of *budget*, its own header and the marks counted."""
        return budget - self.store.files[number].header - 6

    def _framed(self, number: int, tokens: Tokens, budget: int, frame: Frame, rng: np.random.Generator) -> Parts:
        """The segments before the current text."""
        parts = Parts()
        if frame is Frame.BARE:
            return parts
        file = self.store.files[number]
        parts.header = self.store.header(file).tolist()
        if frame is Frame.SNIPPETS:
            name = self._names[file.project]
            room = self.room(number, budget) - len(tokens) - len(name) - 1
            parts.snippets = self._snippets(number, tokens, room, rng)
            parts.repo = name if room >= 0 else []
        return parts

    def _snippets(self, number: int, tokens: Tokens, room: int, rng: np.random.Generator) -> list[list[int]]:
        """Parts of other files of the project that share rare tokens with *tokens*, the most alike last."""
        members = self._members[self.store.files[number].project]
        if len(members) < 2 or room < _SNIPPET_TOKENS[0]:
            return []
        worth = np.zeros_like(self._rarity)
        worth[tokens] = self._rarity[tokens]
        found: list[tuple[float, list[int]]] = []
        for _ in range(_SNIPPET_CANDIDATES):
            near = self._place[number] + int(rng.normal(0.0, 8.0))
            place = near % len(members) if rng.random() < 0.5 else int(rng.integers(len(members)))
            other = self.store.files[members[place]]
            if members[place] != number and (window := self._window(other, room, rng)) is not None:
                score = float(worth[np.unique(window)].sum()) / len(window) ** 0.5
                found.append((score, [*self.store.header(other).tolist(), *window.tolist()]))
        chosen: list[list[int]] = []
        for _, snippet in sorted(found, key=lambda pair: -pair[0]):
            if len(snippet) + 1 <= room and snippet not in chosen:
                chosen.append(snippet)
                room -= len(snippet) + 1
        return chosen[::-1]

    def _window(self, file: File, room: int, rng: np.random.Generator) -> Tokens | None:
        """Whole lines of *file*, from a safe line start to another (or the file's end, if that is a line end)."""
        text = self.store.text(file)
        lines = self.store.safe_lines(text)
        if not len(lines):
            return None
        wanted = min(int(rng.integers(*_SNIPPET_TOKENS)), room - file.header - 1)
        start = int(lines[int(rng.integers(len(lines)))])
        stop = int(lines[int(np.searchsorted(lines, start + max(wanted, 0), side="right")) - 1])
        return text[start:stop] if stop > start else None

    def _middle(self, parts: Parts, tokens: Tokens, text: bytes, cut: Cut) -> Sample:
        """Cut *tokens* (whose bytes are *text*), tokenising again only the lines that the cuts go through."""
        encode = self.store.encode
        ends = np.cumsum(self.store.lengths[tokens])
        lines = self.store.safe_lines(tokens)
        offsets: npt.NDArray[np.int64] = np.where(lines > 0, ends[lines - 1], 0)

        before = max(int(np.searchsorted(offsets, cut.anchor, side="right")) - 1, 0)
        first, offset = (int(lines[before]), int(offsets[before])) if len(lines) else (0, 0)
        last_line = encode(text[offset : cut.anchor])
        parts.prefix = [*tokens[:first].tolist(), *last_line]
        parts.prefix_natural = first + shared_start(last_line, tokens[first:].tolist())

        after = int(np.searchsorted(offsets, cut.end))
        next_line, offset = (int(lines[after]), int(offsets[after])) if after < len(lines) else (len(tokens), len(text))
        parts.suffix = [*encode(text[cut.end : offset]), *tokens[next_line:].tolist()]

        parts.typed, parts.rest = encode(text[cut.anchor : cut.cursor]), encode(text[cut.cursor : cut.end])
        parts.typed_natural = shared_start(parts.typed, encode(text[cut.anchor : cut.end]))
        return lay_out(parts, self.control)

    @staticmethod
    def _shorten(parts: Parts, excess: int) -> None:
        """Leave out *excess* tokens where the product would: at the suffix's end, then at the prefix's beginning."""
        from_suffix = min(excess, len(parts.suffix))
        parts.suffix = parts.suffix[: len(parts.suffix) - from_suffix]
        from_prefix = min(excess - from_suffix, len(parts.prefix))
        parts.prefix = parts.prefix[from_prefix:]
        parts.prefix_natural = max(parts.prefix_natural - from_prefix, 0)


def main() -> None:
    """Print samples with their control tokens, and mark what carries no loss in grey on a terminal."""
    parser = argparse.ArgumentParser(description="Print a few training samples.")
    parser.add_argument("store", type=Path, help="a folder made by `store.py build`")
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    sampler, rng = Sampler(Store(args.store), Recipe()), np.random.default_rng(args.seed)
    store = sampler.store
    for _ in range(args.count):
        number = int(rng.integers(len(store.files)))
        tokens = store.text(store.files[number])[:300]
        sample = sampler.sample(number, tokens, False, 600, sampler.recipe.frame(rng), rng)
        for token, learnt in zip(sample.tokens, sample.loss, strict=True):
            shown = store.pieces[token].decode("utf-8", "replace") or store.tokenizer.id_to_token(token)
            sys.stdout.write(shown if learnt or not sys.stdout.isatty() else f"\x1b[90m{shown}\x1b[0m")
        sys.stdout.write("\n" + "=" * 100 + "\n")


if __name__ == "__main__":
    main()
