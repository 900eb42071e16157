"""Places in files as the product asks about them: prompt, what the model has to write, what of it is learned."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fimble.context.anchor import Anchors
from fimble.core import Document, Snippet
from fimble.engine.healing import Healing, Pieces, take_back
from fimble.engine.llama import Model
from fimble.engine.prompt import render_infill
from fimble.engine.wire import ExtraFile, InfillRequest
from fimble.models.personal.corpus import File
from fimble.text import Text

#: Shorter rests of lines say nothing, in characters.
_LEAST_REST_CHARS = 3

#: How many lines a middle that is learned has at most, and how often it has more than one.
_MOST_LINES, _SEVERAL_LINES = 6, 0.35

#: How often a sample has a piece of another file before it, and its size in lines.
_WITH_SNIPPET, _SNIPPET_LINES = 0.35, (5, 30)

#: Tokens of a text between two cursors, so that an epoch reads everything about once.
_TOKENS_PER_SAMPLE = 800


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor in a file, and where what is to be written ends."""

    file: File
    offset: int
    end: int

    @property
    def truth(self) -> str:
        """What stands there."""
        return self.file.text[self.offset : self.end]


@dataclass(frozen=True, slots=True)
class Sample:
    """Token ids, and which of them are learned."""

    tokens: tuple[int, ...]
    learned: tuple[bool, ...]


def lines_to_complete(files: Sequence[File], count: int, seed: int) -> list[Place]:
    """*count* cursors in lines of *files*, at the line's first word or after some of it; the rest is to be written."""
    dice = random.Random(seed)
    lines = [(file, start, end) for file in files for start, end in _lines(file.text)]
    dice.shuffle(lines)
    places = []
    for file, start, end in lines[:count]:
        last = end - _LEAST_REST_CHARS
        places.append(Place(file, start if dice.random() < 0.3 else dice.randint(start, last), end))
    return places


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """First character and end of every line with something on it."""
    start = 0
    for line in text.split("\n"):
        first, end = start + len(line) - len(line.lstrip()), start + len(line.rstrip())
        if end - first >= 2 * _LEAST_REST_CHARS:
            yield first, end
        start += len(line) + 1


class Prompts:
    """Renders places for one model and repository, in at most *n_ctx* tokens."""

    def __init__(self, model: Model, repository: str, n_ctx: int) -> None:
        self.pieces = Pieces(model.vocab)
        self._vocab, self._fim, self._repository, self._n_ctx = model.vocab, model.fim, repository, n_ctx

    def ask(self, place: Place, snippets: Sequence[Snippet] = ()) -> tuple[tuple[int, ...], Healing]:
        """The prompt as the engine evaluates it, and what has to be written anew of the typed text."""
        file = place.file
        document = Document(f"file:///{file.path}", file.path, file.language, 1, Text(cut_out(place)))
        window = Anchors().window(document, place.offset)
        request = InfillRequest(
            input_prefix=window.prefix,
            prompt=window.typed,
            input_suffix=window.suffix,
            input_extra=[ExtraFile(snippet.filename, snippet.text) for snippet in snippets],
            filename=file.path,
            repo_name=self._repository,
            n_predict=min(len(self._vocab.tokenize(place.truth)) + 2, self._n_ctx // 2),
        )
        prompt = render_infill(request, self._vocab, self._fim, self._n_ctx)
        return take_back(prompt, request.prompt, self._vocab, self.pieces)

    def sample(self, place: Place, snippets: Sequence[Snippet], end: int) -> Sample | None:
        """The prompt with its answer and the *end* token; None where a character is cut.

        The file's own text is learned: prefix, suffix, and the middle from its first token on, as it is tokenised when
        nothing is cut.  Not learned are snippets (each file has its own turn), names, control tokens, and the first
        token of the suffix, which only the cut makes.
        """
        tokens, healing = self.ask(place, snippets)
        try:
            answer = self._vocab.tokenize(healing.rest.decode() + place.truth)
        except UnicodeDecodeError:
            return None
        learned, own, after_marker = [], False, False
        for token in tokens:
            if token in (self._fim.prefix, self._fim.suffix, self._fim.middle):
                own, after_marker = True, token == self._fim.suffix
                learned.append(False)
                continue
            if token == self._fim.file or token == self._fim.repo:
                own = False
            learned.append(own and not after_marker)
            after_marker = False
        whole = (*tokens, *answer, end)
        flags = (*learned, *[True] * (len(answer) + 1))
        return Sample(whole[: self._n_ctx], flags[: self._n_ctx])

    def epoch(self, files: Sequence[File], end: int, dice: random.Random) -> list[Sample]:
        """Samples that together read *files* about once, cut anew each time, in a random order."""
        samples = []
        for file in files:
            lines = list(_lines(file.text))
            count = -(-len(self._vocab.tokenize(file.text)) // _TOKENS_PER_SAMPLE) if lines else 0
            # One cursor in each stretch of the file, or much would be seen twice and much never.
            for number in range(count):
                stretch = lines[number * len(lines) // count : (number + 1) * len(lines) // count]
                if stretch and (made := self._learn(file, stretch, lines, files, end, dice)):
                    samples.append(made)
        dice.shuffle(samples)
        return samples

    def _learn(
        self,
        file: File,
        stretch: Sequence[tuple[int, int]],
        lines: Sequence[tuple[int, int]],
        files: Sequence[File],
        end: int,
        dice: random.Random,
    ) -> Sample | None:
        first, last = dice.choice(stretch)
        stop = last
        if dice.random() < _SEVERAL_LINES:
            below = [stop for start, stop in lines if start > first][: dice.randint(1, _MOST_LINES - 1)]
            stop = below[-1] if below else last
        offset = first if dice.random() < 0.3 else dice.randint(first, last - _LEAST_REST_CHARS)
        snippets = [_snippet(dice.choice(files), dice)] if dice.random() < _WITH_SNIPPET else []
        return self.sample(Place(file, offset, stop), [one for one in snippets if one.filename != file.path], end)


def cut_out(place: Place) -> str:
    """The file's text without what is to be written."""
    return place.file.text[: place.offset] + place.file.text[place.end :]


def _snippet(file: File, dice: random.Random) -> Snippet:
    lines = file.text.split("\n")
    start = dice.randrange(len(lines))
    return Snippet(file.path, "\n".join(lines[start : start + dice.randint(*_SNIPPET_LINES)]))
