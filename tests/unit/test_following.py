"""What comes after a suggestion: typing that agrees with it, and the text once it is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble.core import Ask, Document, Source, Suggestion, Trigger
from fimble.suggest.following import after_accept, agreed_chars, new_line, typed_of, typed_since
from fimble.text import Text

code = st.text(alphabet="ab(\n\r ", max_size=20)


def document(text: str, uri: str = "file:///a.py") -> Document:
    return Document(uri, "a.py", "python", 1, Text(text))


def ask(marked: str, trigger: Trigger = Trigger.AUTOMATIC) -> Ask:
    before, _, after = marked.partition("|")
    return Ask(document(before + after), len(before), trigger)


@given(code, code, code)
def test_what_was_typed_is_told(before: str, after: str, typed: str) -> None:
    """Whatever is put in at the place is what was typed there, with one kind of line end."""
    at = Ask(document(before + after), len(before))
    since = typed_since(at, document(before + typed + after))
    assert since == typed.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("now", ["y = \nz", "x = \n", "x \nz", "# x = \nz", "x = \nzz", ""])
def test_other_edits_are_no_typing(now: str) -> None:
    """An edit above, below or before the place, and a deletion, are not typing there."""
    assert typed_since(ask("x = |\nz"), document(now)) is None


def test_another_file_is_no_typing() -> None:
    """The same text elsewhere says nothing about this place."""
    assert typed_since(ask("x|"), document("x", "file:///b.py")) is None


@pytest.mark.parametrize(
    ("typed", "chars"),
    [("", 0), ("f", 1), ("f(", 2), ("f()", 2), ("f(a)", 4), ("f(a).", 5), ("f(a).g", 6), ("f(a).go", 6), ("x", None)],
)
def test_how_far_a_suggestion_was_typed(typed: str, chars: int | None) -> None:
    """Closing brackets that the editor put in count for nothing; what is typed behind the end does not undo it."""
    assert agreed_chars("f(a).g", typed) == chars


def test_agreement_is_of_text_and_place() -> None:
    """A document agrees with a suggestion when the suggestion's beginning is all that is new in it."""
    at = ask("x = |\n")
    suggestion = Suggestion("compute()", Source.MODEL)
    assert typed_of(suggestion, at, document("x = comp\n")) == 4
    assert typed_of(suggestion, at, document("x = \n")) == 0
    assert typed_of(suggestion, at, document("x = comb\n")) is None
    assert typed_of(suggestion, at, document("y = comp\n")) is None


@pytest.mark.parametrize(
    ("now", "does"),
    [
        ("f()", True),
        ("f(a)", True),
        ("f(a).g", True),
        ("f(a).g()", True),
        ("f(b)", False),
        ("f", False),
    ],
)
def test_closers_may_be_replaced(now: str, does: bool) -> None:
    """A suggestion that closes the bracket itself takes the place of the one that the editor put in."""
    suggestion = Suggestion("a).g(x)", Source.MODEL, replaces=1)
    assert (typed_of(suggestion, ask("f(|)\n"), document(now + "\n")) is not None) == does
    following = after_accept(ask("f(|)\n"), suggestion.text, suggestion.replaces)
    assert (following.document.text.source, following.offset) == ("f(a).g(x)\n", 9)


@pytest.mark.parametrize(
    ("marked", "accepted"),
    [("a |\nb", "a one\n  two|\nb"), ("a |\r\nb", "a one\r\n  two|\r\nb"), ("|", "one\n  two|")],
)
def test_an_accepted_text_stands_in_the_document(marked: str, accepted: str) -> None:
    """It is put in with the line ends that the document has, the cursor behind it, as a guess."""
    following = after_accept(ask(marked, Trigger.INVOKED), "one\n  two")
    source = following.document.text.source
    assert source[: following.offset] + "|" + source[following.offset :] == accepted
    assert following.is_guess
    assert following.trigger is Trigger.AUTOMATIC


@pytest.mark.parametrize(
    ("marked", "line"),
    [
        ("x = 1|", "\n"),
        ("    x = 1|\n", "\n    "),
        ("\tx|", "\n\t"),
        ("    |", ""),
        ("|", ""),
        ("f(|)", ""),
        ("x|  \n", "\n"),
    ],
)
def test_enter_keeps_the_indentation(marked: str, line: str) -> None:
    """Behind a finished line comes one that begins where it began; elsewhere no line is begun."""
    assert new_line(ask(marked)) == line
