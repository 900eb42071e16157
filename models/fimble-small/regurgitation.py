"""How often does a model write what it was trained on, word for word?

    python regurgitation.py MODEL.gguf STORE HELDOUT_STORE --out regurgitation.json

A prompt is a file's header and some text, as in training from left to right: of files that the model was trained on,
where it could go on by heart, and of held-out projects; from a file's beginning, where licences stand, and from a line
anywhere in it; the languages take turns.  Each is continued greedily and with temperature 0.8 (nothing else changes
the distribution).  Every run of 40 tokens of an answer is looked up in the training tokens: by 64-bit hashes of all
runs there, then token by token, so a hit is exact.

Given are, for each kind of prompt, the share of runs that stand in the training tokens (95 % bootstrap interval over
answers, because the runs of one answer overlap); the share that does and has at least ten different tokens, because a
small model ends in circles (``0, 0, 0``), and those stand everywhere; and the share of answers with at least one of the
latter (Wilson's interval, which is not empty when there is none: E. B. Wilson, Journal of the American Statistical
Association 22, 1927).  What the held-out files really go on with is looked up, too: how often people repeat each other.

Answers are cut into tokens by the store's tokenizer together with the prompt's end, so that a model with another
vocabulary can be asked, too; a training text that a model cuts in another way is found all the same.
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt

from progress import Line
from store import File, Store, Tokens

Hashes = npt.NDArray[np.uint64]

RUN_TOKENS = 40
_SEED = 20_261_124
_RESAMPLES = 2000

#: A run with fewer different tokens is taken for a circle.
_DIFFERENT = 10

#: Places that are looked at together.
_CHUNK = 1 << 22

#: Powers of an odd number, modulo 2**64; tokens become random numbers first.
_BASE = 0x9E37_79B9_7F4A_7C15
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a file begins with, and what stands there next."""

    header: bytes
    text: bytes
    truth: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """One kind of answers; the shares come with the ends of their 95 % intervals."""

    kind: str
    answers: int
    runs: int
    share_of_runs: tuple[float, float, float]
    share_of_varied_runs: tuple[float, float, float]
    share_of_answers: tuple[float, float, float]


# --- looking up ---------------------------------------------------------------------------------------------


def run_hashes(tokens: Tokens, length: int = RUN_TOKENS) -> Hashes:
    """A hash of every run of *length* tokens; doubling makes it a matter of log2(length) additions."""
    if len(tokens) < length:
        return np.zeros(0, dtype=np.uint64)
    values = np.random.default_rng(1).integers(0, 1 << 63, 1 << 16, dtype=np.uint64)
    power, size = values[tokens], 1  # hashes of runs of *size*, a power of two
    total, done = np.zeros(len(tokens), dtype=np.uint64), 0
    while True:
        if length & size:
            count = len(tokens) - done - size + 1
            total = total[:count] + power[done : done + count] * np.uint64(pow(_BASE, done, 1 << 64))
            done += size
        if done == length:
            return total
        power = power[:-size] + power[size:] * np.uint64(pow(_BASE, size, 1 << 64) & _MASK)
        size *= 2


def stand_in(text: Tokens, answers: Sequence[Tokens], length: int = RUN_TOKENS) -> list[npt.NDArray[np.bool_]]:
    """For each answer and each of its runs, whether it stands in *text*."""
    hashes = [run_hashes(answer, length) for answer in answers]
    wanted = np.unique(np.concatenate([*hashes, np.zeros(0, dtype=np.uint64)]))
    places: dict[int, list[int]] = collections.defaultdict(list)
    for start in range(0, max(len(text) - length + 1, 0), _CHUNK):
        chunk = run_hashes(np.asarray(text[start : start + _CHUNK + length - 1]), length)
        at = np.searchsorted(wanted, chunk)
        hits = np.flatnonzero(wanted[np.minimum(at, len(wanted) - 1)] == chunk) if len(wanted) else []
        for place in hits:
            places[int(chunk[place])].append(start + int(place))

    def stands(answer: Tokens, number: int, value: int) -> bool:
        run = answer[number : number + length]
        return any(np.array_equal(text[place : place + length], run) for place in places.get(value, ()))

    return [
        np.array([stands(answer, number, int(value)) for number, value in enumerate(own)], dtype=bool)
        for answer, own in zip(answers, hashes, strict=True)
    ]


def wilson(hits: int, count: int) -> tuple[float, float, float]:
    """A share and the ends of its 95 % interval."""
    z = 1.959964
    share = hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return share, max(middle - half, 0.0), min(middle + half, 1.0)


def is_varied(answer: Tokens) -> npt.NDArray[np.bool_]:
    """For each run, whether it has enough different tokens to say something."""
    runs = (answer[number : number + RUN_TOKENS] for number in range(max(len(answer) - RUN_TOKENS + 1, 0)))
    return np.array([len(np.unique(run)) >= _DIFFERENT for run in runs], dtype=bool)


def count_up(kind: str, answers: Sequence[Tokens], found: Sequence[npt.NDArray[np.bool_]]) -> Found:
    """Shares with intervals, over answers that are long enough to have a run; raises ValueError if none is."""
    triples = [
        (runs.sum(), (runs & is_varied(answer)).sum(), len(runs))
        for answer, runs in zip(answers, found, strict=True)
        if len(runs)
    ]
    if not triples:
        raise ValueError(f"no answer for {kind} has {RUN_TOKENS} tokens")
    table = np.array(triples, dtype=np.float64)
    drawn = np.random.default_rng(_SEED).integers(len(table), size=(_RESAMPLES, len(table)))
    again = table[drawn].sum(1)
    shares = []
    for column in (0, 1):
        low, high = np.quantile(again[:, column] / again[:, 2], (0.025, 0.975))
        shares.append((float(table[:, column].sum() / table[:, 2].sum()), float(low), float(high)))
    some = wilson(int((table[:, 1] > 0).sum()), len(table))
    return Found(kind, len(table), int(table[:, 2].sum()), shares[0], shares[1], some)


# --- asking -------------------------------------------------------------------------------------------------


def prompts(store: Store, count: int, known_tokens: int, answer_tokens: int, is_beginning: bool) -> list[Prompt]:
    """*count* pieces of different files that go on for long enough, the languages taking turns."""
    by_language: dict[str, list[File]] = collections.defaultdict(list)
    for file in store.files:
        if file.text >= known_tokens + answer_tokens:
            by_language[file.language].append(file)
    dice = np.random.default_rng(_SEED)
    turns = [(language, dice.permutation(len(files))) for language, files in sorted(by_language.items())]
    taken: list[Prompt] = []
    for number in range(max((len(order) for _, order in turns), default=0)):
        for language, order in turns:
            if number < len(order) and len(taken) < count:
                file = by_language[language][int(order[number])]
                start = 0 if is_beginning else _some_line(store, file, known_tokens + answer_tokens, dice)
                parts = np.split(store.text(file)[start : start + known_tokens + answer_tokens], [known_tokens])
                taken.append(Prompt(*map(store.decode, (store.header(file), *parts))))
    return taken


def _some_line(store: Store, file: File, room: int, dice: np.random.Generator) -> int:
    """The token at which a line begins that *room* tokens follow; 0 if there is none."""
    lines = store.safe_lines(store.text(file))
    lines = lines[lines <= file.text - room]
    return int(dice.choice(lines)) if len(lines) else 0


class Writer:
    """A model that continues prompts."""

    def __init__(self, path: Path) -> None:
        # As long a context as it was trained with.  Threads wait for each other: a small model is no faster with two.
        self._model = llama_cpp.Llama(str(path), n_ctx=0, n_threads=1, n_threads_batch=1, verbose=False)
        separator = self._model.metadata.get("tokenizer.ggml.fim_sep_token_id")
        self._file = [] if separator is None else [int(separator)]

    def write(self, prompt: Prompt, most: int, temperature: float, seed: int) -> bytes:
        """What the model writes, up to *most* tokens; it may end before."""
        header = self._model.tokenize(prompt.header, add_bos=False) if self._file else []
        tokens = [*self._file, *header, *self._model.tokenize(prompt.text, add_bos=not self._file)]
        most = min(most, self._model.n_ctx() - len(tokens))
        self._model.set_seed(seed)
        written: list[int] = []
        plain = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0}
        for token in self._model.generate(tokens, temp=temperature, **plain):
            if token == self._model.token_eos() or len(written) >= most:
                break
            written.append(token)
        return self._model.detokenize(written, prev_tokens=tokens)


def as_tokens(store: Store, prompt: bytes, answer: bytes) -> Tokens:
    """The tokens of an answer, cut together with the end of its prompt; one that reaches across is left out."""
    left = prompt[-400:].decode("utf-8", "ignore").encode()
    tokens = store.encode(left + answer.decode("utf-8", "replace").encode())
    starts = np.cumsum(store.lengths[tokens]) - store.lengths[tokens]
    return np.array(tokens, dtype=np.uint16)[starts >= len(left)]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is asked: prompts of each kind, and the tokens of a prompt and of an answer."""

    count: int = 50
    known_tokens: int = 128
    answer_tokens: int = 256


def measure(
    writer: Writer, training: Store, held_out: Store, plan: Plan, say: Callable[[float, str], None]
) -> list[Found]:
    """All kinds: two sources, two places in a file, two temperatures; and the true text of the held-out ones."""
    answers: dict[str, list[Tokens]] = collections.defaultdict(list)
    asked = []
    for source, store in (("training", training), ("held-out", held_out)):
        for place, is_beginning in (("beginning", True), ("anywhere", False)):
            drawn = prompts(store, plan.count, plan.known_tokens, plan.answer_tokens, is_beginning)
            asked += [(source, place, prompt) for prompt in drawn]
    for number, (source, place, prompt) in enumerate(asked):
        for temperature, name in ((0.0, "greedy"), (0.8, "temperature 0.8")):
            answer = writer.write(prompt, plan.answer_tokens, temperature, _SEED + number)
            answers[f"{source}, {place}: {name}"].append(as_tokens(training, prompt.text, answer))
        if source == "held-out":
            answers[f"{source}, {place}: what people wrote"].append(as_tokens(training, prompt.text, prompt.truth))
        say((number + 1) / len(asked), f"{number + 1} of {len(asked)} prompts")
    found = iter(stand_in(training.tokens, [answer for own in answers.values() for answer in own]))
    return [count_up(kind, own, [next(found) for _ in own]) for kind, own in answers.items()]


def markdown(rows: Sequence[Found]) -> str:
    """A table for the card."""
    columns = ("prompt", "answers", f"runs of {RUN_TOKENS} tokens", "in the training text", "without circles")
    lines = ["| " + " | ".join((*columns, "answers with any of these")) + " |", "|---" * 6 + "|"]
    for row in rows:
        shares = (row.share_of_runs, row.share_of_varied_runs, row.share_of_answers)
        cells = (f"{share:.2%} ({low:.2%} to {high:.2%})" for share, low, high in shares)
        lines.append(f"| {row.kind} | {row.answers} | {row.runs:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure from the command line; the JSON has what the table has, unrounded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL.gguf")
    parser.add_argument("store", type=Path, help="what the model was trained on: a folder made by `store.py build`")
    parser.add_argument("held_out", type=Path, metavar="HELDOUT_STORE")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--count", type=int, default=Plan().count, metavar="N", help="prompts of each of four kinds")
    parser.add_argument("--answer-tokens", type=int, default=Plan().answer_tokens, metavar="N", help="default: 256")
    args = parser.parse_args()
    plan = Plan(args.count, answer_tokens=args.answer_tokens)
    writer = Writer(args.model)
    rows = measure(writer, Store(args.store), Store(args.held_out), plan, Line().show)
    args.out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")
    print(markdown(rows), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
