"""Token healing: an answer continues exactly the bytes that were typed, wherever they end."""

from __future__ import annotations

from typing import Any

import pytest
from generating import MODEL, Engine
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble.engine.healing import Pieces, take_back
from fimble.engine.prompt import Prompt, render_infill
from fimble.engine.wire import Chunk, InfillRequest

VOCAB = MODEL.vocab
PIECES = Pieces(VOCAB)
TEXT_TOKENS = [token for token in range(VOCAB.size) if VOCAB.piece(token) and not VOCAB.is_end(token)]

texts = st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=12) | st.sampled_from(
    ["return", "    ret", "    ", "\t", "x = 'naïve 🙂👩‍👩‍👧", "\n", "self.", "日本語テ", "é", "<|fim_middle|>", "\0\0"]
)


ENGINE = Engine()


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.content for chunk in chunks)


@given(st.binary(min_size=1, max_size=6) | texts.map(lambda text: text.encode("utf-8", "replace")[-6:]))
def test_the_tokens_that_agree_are_all_of_them(rest: bytes) -> None:
    """The index finds exactly the tokens that begin with the bytes, or that the bytes begin with."""
    expected = {t for t in TEXT_TOKENS if VOCAB.piece(t).startswith(rest) or rest.startswith(VOCAB.piece(t))}
    found = [int(token) for token in PIECES.agreeing(rest)]
    assert set(found) == expected
    assert len(found) == len(expected), "a token was found twice"


def test_the_last_bytes_of_all_have_an_end() -> None:
    """The greatest bytes there are have nothing after them, and that is no error."""
    assert all(VOCAB.piece(int(t)).startswith(b"\xff") for t in PIECES.agreeing(b"\xff"))
    assert len(PIECES.agreeing(b"\xff\xff\xff")) <= len(PIECES.agreeing(b"\xff"))


@given(texts, st.data())
def test_whatever_is_written_continues_what_was_typed(typed: str, data: st.DataObject) -> None:
    """For any allowed choice at every step, the bytes written are the ones taken back and then new ones."""
    request = InfillRequest(input_prefix="a\n", prompt=typed)
    prompt = render_infill(request, VOCAB, MODEL.fim, 512)
    kept, healing = take_back(prompt, typed, VOCAB, PIECES)
    rest, written, added = healing.rest, b"", b""
    assert 1 <= len(prompt.tokens) - len(kept) <= 2
    while (allowed := healing.allowed()) is not None:
        # The least helpful choices, too: single bytes in the middle of a character.
        shortest = min(allowed, key=lambda token: len(VOCAB.piece(int(token))))
        token = int(data.draw(st.sampled_from([shortest, *allowed[:5]])))
        written += VOCAB.piece(token)
        added += healing.take(token, VOCAB.piece(token))
    assert written == rest + added
    assert b"".join(VOCAB.piece(token) for token in prompt.tokens[len(kept) :]) == rest


@settings(max_examples=30)
@given(texts, st.just(0.0) | st.floats(0.1, 1.5))
def test_an_answer_never_repeats_nor_breaks_what_was_typed(typed: str, temperature: float) -> None:
    """Typed text and answer, put together, are what the model wrote: no character is lost, doubled or broken."""
    request: dict[str, Any] = {"input_prefix": "a = 1\n", "prompt": typed, "n_predict": 6, "n_probs": 2}
    chunks = ENGINE.run(**request, temperature=temperature, seed=3)
    entries = [entry for chunk in chunks for entry in chunk.completion_probabilities or []]
    assert b"".join(bytes(e["bytes"]) for e in entries).decode("utf-8", "ignore") == text_of(chunks).replace("�", "")
    assert all(entry["logprob"] <= 1e-3 for entry in entries)
    assert all(e["logprob"] <= e["top_logprobs"][0]["logprob"] + 1e-6 for e in entries)


def test_nothing_typed_is_nothing_taken_back() -> None:
    """Without typed text, and with a token that is not what was typed, the prompt stays as it is."""
    for typed, text in ((0, ""), (1, "other")):
        prompt = Prompt((5, TEXT_TOKENS[100]), 4, typed=typed)
        tokens, healing = take_back(prompt, text, VOCAB, PIECES)
        assert (tokens, healing.allowed()) == (prompt.tokens, None)


@pytest.mark.parametrize(
    ("typed", "rest"),
    [
        ("    retu", b" retu"),
        ("x = return", b" return"),
        ("f(", b"("),
        ("    ", b"    "),
        ("x = abcdefgh_zzqqxxjj", b"j"),
    ],
)
def test_a_word_of_two_tokens_is_taken_back_whole(typed: str, rest: bytes) -> None:
    """Of a longer word, and of anything else, only the last token is."""
    prompt = render_infill(InfillRequest(prompt=typed), VOCAB, MODEL.fim, 512)
    assert take_back(prompt, typed, VOCAB, PIECES)[1].rest == rest


def test_only_spaces_are_divided() -> None:
    """A word is written as it was or by one token that goes beyond it; of spaces the last may join the next word."""
    for typed, others in (("    retu", 1), ("x = return", 0)):
        prompt = render_infill(InfillRequest(prompt=typed), VOCAB, MODEL.fim, 512)
        _, healing = take_back(prompt, typed, VOCAB, PIECES)
        allowed = healing.allowed()
        assert allowed is not None
        parts = [int(t) for t in allowed if not VOCAB.piece(int(t)).startswith(healing.rest)]
        assert parts == list(prompt.tokens[-2:-1])[:others]
    _, healing = take_back(render_infill(InfillRequest(prompt="    "), VOCAB, MODEL.fim, 512), "    ", VOCAB, PIECES)
    allowed = healing.allowed()
    assert allowed is not None
    assert {b" ", b"   ", b"    "} <= {VOCAB.piece(int(token)) for token in allowed}


def test_a_control_token_never_heals() -> None:
    """Text that spells a control token is continued as text."""
    assert not {int(t) for t in PIECES.agreeing(b"<|")} & {t for t in range(VOCAB.size) if VOCAB.is_end(t)}


def test_a_word_that_is_cut_is_finished() -> None:
    """After any part of what the model would have written as one token, the answer is the rest of it."""
    common: dict[str, Any] = {"input_prefix": "import os\n\n\nclass First:\n    pass\n\n\n", "n_predict": 1}
    finished = 0
    for line in ("class A:", "    def value(self, other):", "        return self.name", "    if x is not None:"):
        for place in (line[:at] for at, char in enumerate(line) if char == " " and line[:at].strip()):
            kept = render_infill(InfillRequest(prompt=place), VOCAB, MODEL.fim, 512).tokens
            token = certain_token(ENGINE.run(**common, prompt=place, heal=False, n_probs=2))
            for cut in range(1, len(token)):
                typed = place + token[:cut]
                prompt = render_infill(InfillRequest(prompt=typed), VOCAB, MODEL.fim, 512)
                if take_back(prompt, typed, VOCAB, PIECES)[0] == kept:
                    assert typed + text_of(ENGINE.run(**common, prompt=typed)) == place + token
                    finished += 1
    assert finished >= 5, "too little was cut to prove anything"


def certain_token(chunks: list[Chunk]) -> str:
    """The text of the first token; empty if there is none, or if another one was nearly as likely."""
    for entry in (e for chunk in chunks for e in chunk.completion_probabilities or []):
        best, second = entry["top_logprobs"]
        return bytes(best["bytes"]).decode("ascii", "ignore") if best["logprob"] - second["logprob"] > 0.5 else ""
    return ""


def test_healing_can_be_switched_off() -> None:
    """With `heal` off the prompt is evaluated to its last token."""
    on, off = (
        ENGINE.run(input_prefix="b\n", prompt="x = return", n_predict=1, heal=heal)[-1] for heal in (True, False)
    )
    assert off.tokens_evaluated == on.tokens_evaluated + 1


def test_typing_on_recomputes_a_token_or_two() -> None:
    """What healing takes back was not evaluated before, so a key costs no more than without."""
    line = "    return self.connection_pool.acquire(timeout=30)"
    for size in range(5, len(line)):
        request: dict[str, Any] = {"input_prefix": "class Pool:\n" * 9, "prompt": line[:size], "session": "t"}
        timings = ENGINE.run(**request, n_predict=8)[-1].timings
        assert timings is not None
        assert size == 5 or timings.prompt_n <= 3, line[:size]


def test_the_index_of_a_large_vocabulary_is_built_once() -> None:
    """Looking for the same bytes again does not look again."""
    calls: list[int] = []

    class Counting:
        def pieces(self) -> list[bytes]:
            calls.append(1)
            return [b"a", b"ab", b"", b"b"]

    pieces = Pieces(Counting())  # type: ignore[arg-type]
    assert [list(pieces.agreeing(rest)) for rest in (b"a", b"ab", b"b", b"c")] == [[0, 1], [1, 0], [3], []]
    assert calls == [1]
