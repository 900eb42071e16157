"""Answer: bytes of tokens become text, and stop strings are never shown."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fimble.engine.answer import Answer


def feed(pieces: list[bytes], stop: list[str]) -> tuple[list[str], Answer]:
    """What an answer gives out, piece by piece, and in the end."""
    answer = Answer(stop)
    shown = []
    for piece in pieces:
        shown.append(answer.feed(piece))
        if answer.stopping_word:
            break
    return [*shown, answer.finish()], answer


def test_text_is_shown_as_it_comes() -> None:
    """Without stop strings every whole character is shown at once."""
    assert feed([b"def ", b"f(", b")"], [])[0] == ["def ", "f(", ")", ""]


def test_a_stop_string_across_tokens_is_never_shown() -> None:
    """What may become a stop string is held back; once it is one, the answer ends before it."""
    shown, answer = feed([b"a\n", b"\n", b"b"], ["\n\n"])
    assert shown == ["a", "", ""]
    assert answer.stopping_word == "\n\n"


def test_what_turns_out_to_be_no_stop_string_is_shown() -> None:
    """Text that was held back comes with the next token when it was no stop string after all."""
    assert feed([b"a\n", b"b\n"], ["\n\n"])[0] == ["a", "\nb", "\n"]


def test_the_first_of_several_stop_strings_ends_the_answer() -> None:
    """It counts which one comes first in the text, not in the list."""
    shown, answer = feed([b"one END two STOP"], ["STOP", "END"])
    assert "".join(shown) == "one "
    assert answer.stopping_word == "END"


def test_empty_stop_strings_stop_nothing() -> None:
    """A client that sends an empty stop string gets its answer."""
    shown, answer = feed([b"abc"], ["", ""])
    assert ("".join(shown), answer.stopping_word) == ("abc", "")


def test_a_character_over_several_tokens_is_shown_whole() -> None:
    """The bytes of an emoji may come in four tokens; nothing is shown of it before the last one."""
    data = "😀é".encode()
    assert feed([bytes([byte]) for byte in data], [])[0] == ["", "", "", "😀", "", "é", ""]


def test_half_a_character_at_the_end_is_dropped() -> None:
    """An answer that ends inside a character ends before it."""
    assert "".join(feed(["a😀".encode()[:-1]], [])[0]) == "a"


def test_bytes_that_are_no_text_are_marked() -> None:
    """What is not UTF-8 becomes a replacement character and does not end the answer."""
    assert "".join(feed([b"a\xffb"], [])[0]) == "a\ufffdb"


@pytest.mark.parametrize("word", ["é", "😀", "a😀"])
def test_stop_strings_of_several_bytes(word: str) -> None:
    """A stop string whose bytes come one by one is found."""
    shown, answer = feed([bytes([byte]) for byte in f"xa{word}y".encode()], [word])
    assert "".join(shown) == "xa"
    assert answer.stopping_word == word


texts = st.text(alphabet="ab\n😀é", max_size=20)
words = st.lists(st.text(alphabet="ab\n😀", min_size=1, max_size=3), max_size=3)


@given(texts, words, st.data())
def test_the_answer_is_the_text_up_to_the_first_stop(text: str, stop: list[str], data: st.DataObject) -> None:
    """However the bytes are cut into tokens, together they give the text before the first stop string."""
    # Of two stop strings, one inside the other, which one ends an answer depends on the tokens.
    assume(not any(a is not b and a in b for a in stop for b in stop))
    encoded = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(encoded)), max_size=10)))
    pieces = [encoded[a:b] for a, b in zip([0, *cuts], [*cuts, len(encoded)], strict=True)]
    shown, answer = feed(pieces, stop)
    ends = [at for word in stop if (at := text.find(word)) >= 0]
    assert "".join(shown) == (text[: min(ends)] if ends else text)
    assert bool(answer.stopping_word) == bool(ends)


@given(texts, words)
def test_nothing_is_held_back_without_need(text: str, stop: list[str]) -> None:
    """At every moment all is shown but what may still become a stop string."""
    answer, shown = Answer(stop), ""
    for at, char in enumerate(text):
        shown += answer.feed(char.encode())
        if answer.stopping_word:
            break
        held = text[len(shown) : at + 1]
        assert held == "" or any(word.startswith(held) for word in stop)
