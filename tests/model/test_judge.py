"""What judges a model: the tasks are fair, the baseline is a probability, one command does it all."""

from __future__ import annotations

import collections
import itertools
import json
import random
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sources import LICENCE, write_corpus

import judge
import ngram
import smoke
import store
import tasks
from eval import parse
from fimble import catalog
from scores import interval_of
from store import Store

MODEL = catalog.resolve("")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a training store, a held-out store and tasks."""
    folder = tmp_path_factory.mktemp("judge")
    training, held_out = write_corpus(folder, 1), write_corpus(folder, 2)
    smoke.train_tokenizer(training, folder / "tokenizer.json")
    store.build(training, folder / "tokenizer.json", folder / "store")
    store.build(held_out, folder / "tokenizer.json", folder / "held-out")
    rows = tasks.make(list(store.read_corpus(held_out)), 12)
    (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


@pytest.fixture(scope="module")
def fitted(made: Path) -> tuple[ngram.Ngrams, Store]:
    """A 5-gram model of the training store."""
    training = Store(made / "store")
    return ngram.Ngrams(training.tokens, len(training.pieces)), training


def _tasks(made: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (made / "tasks.jsonl").read_text("utf-8").splitlines()]


# --- tasks --------------------------------------------------------------------------------------------------


def test_a_task_is_its_file_cut_at_a_cursor_of_its_kind(made: Path) -> None:
    """Prefix, truth and suffix are the file again; the truth ends its line; languages and kinds take turns."""
    texts = {(row["project"], row["path"]): row["text"] for row in store.read_corpus(made / "corpus-2.jsonl")}
    rows = _tasks(made)
    assert [row["language"] for row in rows] == ["java", "python"] * 12
    assert len({row["id"] for row in rows}) == 24
    assert {row["kind"] for row in rows[:6]} == set(tasks.KINDS)
    for row in rows:
        assert row["prefix"] + row["groundtruth"] + row["suffix"] == texts[row["repo"], row["path"]]
        assert row["suffix"][:1] in ("\n", "")
        assert "\n" not in row["groundtruth"]
        before, after = row["prefix"].rpartition("\n")[2], row["groundtruth"]
        in_word = re.fullmatch(r"\w\w", before[-1:] + after[0]) is not None
        assert {"indent": not before.strip(), "middle": bool(before.strip()) and not in_word, "word": in_word}[
            row["kind"]
        ]


def test_pieces_come_from_other_files_and_know_nothing_right_of_the_cursor(made: Path) -> None:
    """The same cursor with another truth brings the same pieces, the best first; never one of the file itself."""
    files = [row for row in store.read_corpus(made / "corpus-2.jsonl") if row["language"] == "java"]
    project = tasks.Project(files)
    for row in _tasks(made)[::2]:
        assert row["crossfile"]
        assert row["path"] not in {piece["path"] for piece in row["crossfile"]}
        grades = [piece["score"] for piece in row["crossfile"]]
        assert grades == sorted(grades, reverse=True)
        query = "\n".join(row["prefix"].split("\n")[-10:])
        assert project.alike(row["path"], query) == row["crossfile"]


def test_nobody_is_asked_for_brackets_or_licences() -> None:
    """A rest of a line without a letter, a very short or long one, and the first comment are never the truth."""
    assert tasks._cursors("    foo(bar)", "indent") == [4]
    assert tasks._cursors("    );", "indent") == []
    assert tasks._cursors("x = (", "word") == []
    assert max(tasks._cursors("total = count(items)", "middle")) == len("total = count(")
    assert tasks._cursors("y = '" + "a" * 300 + "'", "indent") == []
    only_comment = {"project": "p", "path": "a.c", "language": "c", "text": "/* a licence\n * of many words\n */"}
    dice = random.Random(1)
    assert all(tasks.draw(tasks.Project([only_comment]), "indent", dice) is None for _ in range(50))


# --- the baseline -------------------------------------------------------------------------------------------


def test_probabilities_sum_to_one(fitted: tuple[ngram.Ngrams, Store]) -> None:
    """After contexts that were seen, that were not, and short ones; and no token is impossible."""
    model, training = fitted
    dice = np.random.default_rng(3)
    contexts = [
        training.tokens[place : place + 4].tolist() for place in dice.integers(len(training.tokens) - 4, size=40)
    ]
    contexts += dice.integers(len(training.pieces), size=(40, 4)).tolist()
    contexts += [[0, 1, *context[2:]] for context in contexts[:20]]
    contexts += [[], [5], contexts[0][:2], [*contexts[0], *contexts[1]]]
    for context in contexts:
        chances = model.distribution(context)
        assert chances.sum() == pytest.approx(1.0, abs=1e-9)
        assert chances.min() > 0.0


def test_lower_orders_count_in_how_many_contexts_an_ngram_stands(fitted: tuple[ngram.Ngrams, Store]) -> None:
    """Each level's counts are what a plain dictionary finds."""
    model, training = fitted
    tokens = training.tokens.tolist()
    for length in (1, 2, 4, 5):
        grams = list(zip(*(tokens[start:] for start in range(length)), strict=False))
        longer = set(zip(*(tokens[start:] for start in range(length + 1)), strict=False))
        wanted = collections.Counter(grams) if length == 5 else collections.Counter(gram[1:] for gram in longer)
        level = model.levels[length - 1]
        for gram in grams[:: len(grams) // 200]:
            number = level.find(model._number_of(gram[:-1]), gram[-1])
            assert number is not None
            assert level.counts[number] == wanted[gram]


def test_discounts_are_chen_and_goodmans() -> None:
    """Their formula on counts of counts 8, 4, 2, 1; and a corpus without them still has some."""
    counts = np.array([1] * 8 + [2] * 4 + [3] * 2 + [4])
    share = 8 / (8 + 2 * 4)
    wanted = [0.0, 1 - 2 * share * 4 / 8, 2 - 3 * share * 2 / 4, 3 - 4 * share * 1 / 2]
    assert ngram.discounts(counts) == pytest.approx(wanted)
    assert ngram.discounts(np.array([1, 1])) == pytest.approx([0.0, 0.5, 1.0, 1.5])


@pytest.mark.parametrize("left", ["def a():\n    ret", "x = (", "for i in ra", "def a():\n\n    ", ""])
def test_what_can_follow_a_cursor_has_the_probability_of_what_stands_there(
    fitted: tuple[ngram.Ngrams, Store], left: str
) -> None:
    """Half a word is as likely as all its continuations by one byte together, up to what is not followed."""
    model, training = fitted
    reader = ngram.Reader(model, training)
    known = training.encode(LICENCE.encode())
    whole = reader.begins_with(known, left.encode())
    longer = sum(reader.begins_with(known, left.encode() + bytes([byte])) for byte in range(256))
    assert longer == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("left", ["def a():\n    ret", "x = (", "def a():\n\n    "])
@pytest.mark.parametrize("is_plain", [False, True])
def test_the_bits_of_true_texts_are_a_code(fitted: tuple[ngram.Ngrams, Store], left: str, is_plain: bool) -> None:
    """Kraft's inequality for different texts after one cursor: none is cheap without others being dear."""
    model, training = fitted
    reader = ngram.Reader(model, training, is_plain)
    task = {"id": "x", "path": "a.py", "prefix": LICENCE + left}
    truths = [chr(byte) for byte in range(128)]
    rows = [reader.read({**task, "groundtruth": truth}) for truth in truths]
    assert {row["bytes"] for row in rows} == {1}
    assert sum(2.0 ** -row["bits"] for row in rows) <= 1.0 + 1e-3


def test_text_like_the_training_text_is_cheaper_than_noise(made: Path, fitted: tuple[ngram.Ngrams, Store]) -> None:
    """The rows are eval.py's; bytes are those of the truth."""
    model, training = fitted
    reader = ngram.Reader(model, training)
    rows = list(ngram.read_all(reader, made / "tasks.jsonl", 8))
    noise = [reader.read({**task, "groundtruth": "qZ7#xk!VW@0pj~Gy"}) for task in _tasks(made)[:8]]
    for row, task in zip(rows, _tasks(made), strict=False):
        assert (row["id"], row["bytes"]) == (task["id"], len(task["groundtruth"].encode()))
    assert interval_of([(row["bits"], row["bytes"]) for row in rows])[0] < 4.0
    assert interval_of([(row["bits"], row["bytes"]) for row in noise])[0] > 6.0


# --- all of it ----------------------------------------------------------------------------------------------


def test_one_command_writes_the_tables_and_does_nothing_twice(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step's command is one that runs (here a stand-in writes its file); the second call starts none of them."""
    out, ran = tmp_path / "judged", []

    def stand_in(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if command[1].endswith("scores.py"):
            return real(command, **_)
        if command[1].endswith("eval.py"):
            parse(command[2:])  # exits if it is not one of its command lines
        ran.append(command)
        rows = _answer(command)
        for name, text in rows.items():
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_text(text, "utf-8")
        said = "All is well.\n" + "The model failed 2 times.\n" * ("both" in command)
        return subprocess.CompletedProcess(command, 0, said, "")

    real = subprocess.run
    monkeypatch.setattr(judge.subprocess, "run", stand_in)
    line = [str(MODEL), "--store", str(made / "store"), "--held-out", str(made / "held-out"), "--out", str(out)]
    line += ["--tasks", f"mine={made / 'tasks.jsonl'}", "--limit", "6"]
    assert judge.main(line) == 0
    card = (out / "card.md").read_text("utf-8")
    assert "### mine: 6 tasks, without other files" in card
    assert "| all | both - echo | 6 | +0.0 (+0.0 to +0.0) |" in card
    assert "| all | model - 5-gram | 6 | -1.000 (-1.000 to -1.000) |" in card
    assert "| model | 6 | 1.000 (1.000 to 1.000) |" in card
    assert "- mine.both: The model failed 2 times." in card
    assert "| training, anywhere: greedy | 50 |" in card
    assert len(ran) == 1 + 2 * 4 + 1  # the 5-gram model, four modes with and without pieces, regurgitation
    assert judge.main(line) == 0
    assert len(ran) == 10
    line[0] = str(made / "tokenizer.json")
    assert judge.main(line) == 1  # another model: its answers are not mixed with these


def _answer(command: list[str]) -> dict[str, str]:
    """What a step would have written: by file, its text."""
    parsed = dict(itertools.pairwise(command))
    out = parsed["--out"]
    if command[1].endswith("regurgitation.py"):
        row = {"kind": "training, anywhere: greedy", "answers": 50, "runs": 10_000}
        row |= dict.fromkeys(("share_of_runs", "share_of_varied_runs", "share_of_answers"), (0.01, 0.0, 0.02))
        return {out: json.dumps([row])}
    asked = [json.loads(text) for text in Path(parsed.get("--tasks", command[2])).read_text("utf-8").splitlines()]
    if command[1].endswith("ngram.py"):
        out += "/" + Path(parsed["--tasks"]).name
    if command[1].endswith("ngram.py") or parsed["--mode"] == "logprob":
        bits = 2.0 if command[1].endswith("ngram.py") else 1.0
        rows: list[dict[str, Any]] = [{"id": task["id"], "bits": bits, "bytes": 1} for task in asked]
    else:
        rows = [{"id": task["id"], "completion": task["groundtruth"], "shown": True} for task in asked]
    return {out: "".join(json.dumps(row) + "\n" for row in rows)}
