"""Training text in what a model writes: it is found where it stands, and only there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sources import write_corpus

import regurgitation
import smoke
import store
from store import Store


def test_runs_are_found_exactly_where_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by comparing everything with everything, whatever the length, also across the borders of a chunk."""
    dice = np.random.default_rng(5)
    text = dice.integers(0, 3, 3000).astype(np.uint16)
    answers = [text[100:180].copy(), dice.integers(0, 3, 90).astype(np.uint16), text[-12:].copy(), text[:0]]
    answers[0][40] ^= 7
    monkeypatch.setattr(regurgitation, "_CHUNK", 64)
    for length in (1, 5, 8, 12, 40):
        seen = {tuple(text[start : start + length].tolist()) for start in range(len(text) - length + 1)}
        for answer, found in zip(answers, regurgitation.stand_in(text, answers, length), strict=True):
            runs = [tuple(answer[start : start + length].tolist()) for start in range(len(answer) - length + 1)]
            assert found.tolist() == [run in seen for run in runs]


def test_an_equal_hash_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hash that is the same for everything, only what is equal counts."""
    monkeypatch.setattr(
        regurgitation, "run_hashes", lambda tokens, length: np.zeros(max(len(tokens) - length + 1, 0), "u8")
    )
    text = np.arange(60, dtype=np.uint16)
    found = regurgitation.stand_in(text, [text[5:25], text[5:25] + 60], 10)
    assert found[0].all()
    assert not found[1].any()


def test_circles_are_counted_apart() -> None:
    """A copied run of few different tokens is a hit, and none that says something."""
    circle, varied = np.zeros(60, dtype=np.uint16), np.arange(60, dtype=np.uint16)
    found = regurgitation.count_up("x", [circle, varied], [np.ones(21, dtype=bool), np.zeros(21, dtype=bool)])
    assert (found.answers, found.runs) == (2, 42)
    assert found.share_of_runs[0] == 0.5
    assert found.share_of_varied_runs == (0.0, 0.0, 0.0)
    assert found.share_of_answers == pytest.approx((0.0, 0.0, 0.6576), abs=1e-3)
    assert regurgitation.wilson(5, 10) == pytest.approx((0.5, 0.2366, 0.7634), abs=1e-4)


def _stores(folder: Path) -> tuple[Store, Store]:
    corpora = write_corpus(folder, 1), write_corpus(folder, 2)
    smoke.train_tokenizer(corpora[0], folder / "tokenizer.json")
    for number, corpus in enumerate(corpora):
        store.build(corpus, folder / "tokenizer.json", folder / str(number))
    return Store(folder / "0"), Store(folder / "1")


def test_what_was_learnt_by_heart_is_found_in_every_kind_of_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that recites its training text is convicted; held-out text that shares nothing is not."""
    training, held_out = _stores(tmp_path)
    by_heart = training.decode(training.text(training.files[0])[50:200])

    class Reciter:
        def write(self, prompt: regurgitation.Prompt, most: int, temperature: float, seed: int) -> bytes:
            return b"\n" + by_heart if temperature == 0.0 else b""

    plan = regurgitation.Plan(3, known_tokens=30, answer_tokens=80)
    with pytest.raises(ValueError, match="40 tokens"):  # no answer with temperature has a run
        regurgitation.measure(Reciter(), training, held_out, plan, lambda share, text: None)
    monkeypatch.setattr(Reciter, "write", lambda self, prompt, most, temperature, seed: b"\n" + by_heart)
    rows = {
        row.kind: row for row in regurgitation.measure(Reciter(), training, held_out, plan, lambda share, text: None)
    }
    assert len(rows) == 10
    for kind, row in rows.items():
        recites = "people" not in kind
        assert (row.share_of_varied_runs[0] > 0.8) == recites
        assert (row.share_of_answers[0] == 1.0) == recites
