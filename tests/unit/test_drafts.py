"""Drafts: the same answer, sooner where the guess was right, and not used where that does not pay."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from generating import MODEL, Engine

from fimble.engine.costs import Costs
from fimble.engine.drafts import Draft, Drafts, Stage
from fimble.engine.llama import Context, Decoded
from fimble.engine.wire import Chunk

CODE = "".join(f"def function_{n}(first, second):\n    return first + second * {n}\n\n\n" for n in range(16))

#: What the guesses of a draft are before its first token is known to be right.
FRESH = [Stage.FIRST, *[Stage.NEXT] * 19]


class Drafting(Engine):
    def always_drafts(self, size: int) -> None:
        vars(self.generator._drafts)["how_many"] = lambda _stages, room, _tokens: min(room, size)


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.content for chunk in chunks)


def top_gaps(chunks: list[Chunk]) -> list[float]:
    """How far the second best token was behind the best, for every token written."""
    tops = [e["top_logprobs"] for chunk in chunks for e in chunk.completion_probabilities or []]
    # Where only one token continues what was typed there is no second one.
    return [top[0]["logprob"] - top[1]["logprob"] if len(top) > 1 else np.inf for top in tops]


def batch_noise() -> float:
    """How far the logits of one place may differ because more tokens were in its decode, which is up to llama.cpp."""
    tokens = MODEL.vocab.tokenize(CODE)[:96]
    contexts = [Context(MODEL, n_ctx=256, n_seq=1, n_batch=64, threads=1, threads_batch=1) for _ in range(2)]
    for context, size in zip(contexts, (1, 16), strict=True):
        for at in range(0, 96, size):
            assert context.decode(tokens[at : at + size], 0, at) is Decoded.OK
    return 4 * float(np.abs(contexts[0].logits() - contexts[1].logits()).max()) + 1e-4


def test_the_text_is_the_same_with_and_without_drafts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 200 prompts, with right, partly right and wrong drafts, only near-ties may fall the other way."""
    # From 64 tokens on this llama.cpp takes other matrix kernels, whose rounding differs by much more.
    monkeypatch.setattr("fimble.engine.generator.CHUNK_TOKENS", 48)
    plain, drafting, noise = Drafting(), Drafting(), batch_noise()
    choose = random.Random(0)
    differing = 0
    for _ in range(200):
        cut = choose.randrange(40, len(CODE) - 80)
        line = CODE.rfind("\n", 0, cut) + 1
        request: dict[str, Any] = {"input_prefix": CODE[max(0, line - 300) : line], "prompt": CODE[line:cut]}
        request |= {"n_predict": choose.randrange(1, 24), "stop": choose.choice([[], ["\n"]])}
        expected = plain.run(**request, n_probs=2)
        drafting.always_drafts(choose.choice([3, 7, 15]))
        wrong = choose.choice([0, 4, 12, 60])
        draft = choose.choice([text_of(expected), CODE[cut : cut + 60]])[:wrong] + choose.choice(["", "@", "first"])
        found = drafting.run(**request, draft=draft)
        if text_of(found) != text_of(expected):
            differing += 1
            assert min(top_gaps(expected)) <= noise
        else:
            assert found[-1].stop_type == expected[-1].stop_type
    assert differing <= 4
    counters = drafting.counters
    assert counters.draft_tokens_accepted > 200
    assert counters.draft_tokens > counters.draft_tokens_accepted


def test_a_right_draft_saves_decodes() -> None:
    """A copy that is right is checked several tokens at a time, and the timings say so."""
    engine = Drafting()

    def longest() -> tuple[int, str, dict[str, Any]]:
        """What the model writes most about, of several places: how many tokens, the text and the request."""
        answers = []
        for at, prompt in ((600, "class "), (600, "import "), (600, "def "), (650, "# "), (900, "")):
            request = {"input_prefix": CODE[:at], "prompt": prompt, "n_predict": 20}
            chunks = engine.run(**request)
            assert chunks[-1].timings is not None
            answers.append((chunks[-1].timings.predicted_n, text_of(chunks), request))
        return max(answers, key=lambda answer: answer[0])

    count, expected, request = longest()
    assert count >= 10, "the model writes so little that nothing can be saved"
    before = engine.counters.decodes
    engine.always_drafts(7)
    chunks = engine.run(**request, draft=expected)
    assert text_of(chunks) == expected
    assert engine.counters.decodes - before <= 2 + count // 2
    end = chunks[-1]
    assert end.timings is not None
    assert end.timings.draft_n_accepted >= count // 2
    assert end.timings.predicted_n == count


def test_what_was_taken_back_costs_no_decode() -> None:
    """Healing writes the end of what was typed anew: that is checked together with the token before it."""
    saved = 0
    for typed in ("    return first", "def function_17(first", "class First", "import os", "    return fir"):
        request: dict[str, Any] = {"input_prefix": CODE[:600], "prompt": typed, "n_predict": 6}
        one_by_one, at_once = Drafting(), Drafting()
        one_by_one.always_drafts(0)
        at_once.always_drafts(2)
        expected = one_by_one.run(**request)
        found = at_once.run(**request)
        assert text_of(found) == text_of(expected)
        assert found[-1].timings is not None
        assert expected[-1].timings is not None
        assert found[-1].timings.draft_n == 0, "what was typed is no draft"
        assert found[-1].timings.predicted_n == expected[-1].timings.predicted_n
        assert found[-1].timings.prompt_n == expected[-1].timings.prompt_n
        saved += one_by_one.counters.decodes - at_once.counters.decodes
    assert saved >= 4


def test_what_was_drafted_wrongly_is_not_in_the_cache() -> None:
    """After a wrong draft the next key reuses what is right and recomputes what is not."""
    engine = Drafting()
    engine.always_drafts(15)
    request: dict[str, Any] = {"input_prefix": CODE[:300], "n_predict": 4, "heal": False, "session": "a"}
    first = text_of(engine.run(**request, draft="zzz = 12 + 34 + 56"))
    request["prompt"] = first
    assert text_of(engine.run(**request)) == text_of(Drafting().run(**request))
    sequence = engine.generator.sequences._all[0]
    assert engine.context.length(sequence.id) == len(sequence.tokens)


def test_drafts_are_for_greedy_answers_only() -> None:
    """A random choice is not checked against a guess."""
    engine = Drafting()
    engine.always_drafts(7)
    engine.run(input_prefix=CODE[:200], n_predict=5, temperature=0.8, draft="x = 1\n")
    assert engine.counters.draft_tokens == 0


@pytest.mark.parametrize(("cost", "used"), [(1.05, True), (17.0, False)])
def test_a_draft_that_does_not_pay_is_not_checked(cost: float, used: bool) -> None:
    """When checking costs more than it can yield, by the times that were measured, tokens are written one by one."""
    costs = Costs()
    for size in (1, 2, 3, 4, 8, 16):
        costs.note(size, 10.0 if size == 1 else 10.0 * cost)
    drafts = Drafts(costs)
    assert bool(drafts.how_many(FRESH, 20)) is used
    for _ in range(200):
        drafts.note(Stage.FIRST, False)
    assert not drafts.how_many(FRESH, 20)
    for _ in range(200):
        drafts.note(Stage.FIRST, True)
    assert bool(drafts.how_many(FRESH, 20)) is used


def test_what_more_tokens_cost_depends_on_what_is_there() -> None:
    """Beside a prompt's many tokens a guess is cheap; alone with one it may not pay."""
    costs = Costs()
    for size, ms in {1: 10.0, 2: 22.0, 3: 23.0, 4: 24.0, 8: 25.0}.items():
        costs.note(size, ms)
    drafts = Drafts(costs)
    assert drafts.how_many([Stage.AGAIN], 1, tokens=1) == 0
    assert drafts.how_many([Stage.AGAIN], 1, tokens=2) == 1
    assert drafts.how_many([Stage.AGAIN], 1, tokens=8) == 0
    costs.note(64, 64.0)
    assert drafts.how_many([Stage.AGAIN], 1, tokens=40) == 1


def test_a_draft_survives_other_tokens_for_the_same_text() -> None:
    """Half a word written as one token leaves the other half to be guessed; other text ends the draft."""
    vocab = MODEL.vocab
    draft = Draft("return é 🙂 first".encode(), vocab)
    (half,) = vocab.tokenize("re")
    assert not draft.follow(half)
    assert b"".join(vocab.piece(t) for t in draft.guesses).decode() == "turn é 🙂 first"
    while draft.guesses:
        assert draft.follow(draft.guesses[0])
    assert next(draft.stages()) is Stage.NEXT
    assert not draft.follow(half)
    gone = Draft(b"abc", vocab)
    gone.follow(vocab.tokenize("x")[0])
    assert (next(gone.stages()), list(gone.guesses)) == (Stage.FIRST, [])


def test_no_more_guesses_than_there_are() -> None:
    """A short draft is checked at its length, an empty one not at all."""
    drafts = Drafts(Costs())
    for _ in range(200):
        drafts.note(Stage.NEXT, True)
    assert [drafts.how_many([Stage.NEXT] * 100, n) for n in (0, 1, 2)] == [0, 1, 2]
    assert 0 < drafts.how_many([Stage.NEXT] * 100, 100) <= 15


def test_costs_are_told_apart_by_the_lanes_at_work() -> None:
    """With half of the threads one decode costs more; what two cost beside one is measured anew."""
    costs = Costs()
    for lanes, one, two in ((1, 2.0, 3.0), (2, 3.0, 6.0)):
        costs.divide(lanes)
        costs.note(1, one)
        costs.note(2, two)
    assert (costs.relative(2), costs.pays_together(2)) == (2.0, False)
    costs.divide(1)
    assert (costs.relative(2), costs.pays_together(2)) == (1.5, True)


def test_costs_are_running_means() -> None:
    """Prompts and small decodes are measured apart; before the first measurement there is a guess."""
    costs = Costs(n_params=120_000_000)
    assert costs.prompt_ms(100) == 200
    assert costs.relative(4) == 2.5
    costs.note(1, 2.0)
    costs.note(4, 3.0)
    costs.note(2, 5.0)
    assert costs.pays_together(4)
    assert [costs.pays_together(2) for _ in range(64)].count(True) == 1
    costs.note(64, 32.0)
    assert costs.relative(4) == 1.5
    assert costs.prompt_ms(100) == 50.0
    for _ in range(100):
        costs.note(64, 64.0)
    assert 99 < costs.prompt_ms(100) <= 100
