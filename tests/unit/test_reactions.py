"""What became of what was shown, read from what happens next."""

from __future__ import annotations

import pytest

from fimble.core import Ask, Document, Source, Suggestion
from fimble.suggest.reactions import READ_S, Reaction, Reactions
from fimble.text import Text

URI = "file:///a.py"


class Screen:
    """A document in an editor: what is shown, what is typed, and what was told about it."""

    def __init__(self, marked: str = "x = |\n") -> None:
        before, _, self.after = marked.partition("|")
        self.before = before
        self.now = 0.0
        self.told: list[tuple[str, Reaction]] = []
        self.refused: list[str] = []
        self.reactions = Reactions(
            lambda _ask, s, reaction: self.told.append((s.text, reaction)),
            lambda: self.now,
            lambda _ask, s: self.refused.append(s.text),
        )

    @property
    def document(self) -> Document:
        return Document(URI, "a.py", "python", 1, Text(self.before + self.after))

    def show(self, *texts: str) -> list[Suggestion]:
        """Show suggestions at the cursor, and give the user the time to read them."""
        suggestions = [Suggestion(text, Source.MODEL) for text in texts]
        self.reactions.shown(Ask(self.document, len(self.before)), suggestions)
        self.now += READ_S
        return suggestions

    def type(self, text: str, *, close: str = "") -> None:
        """Type *text* key by key; the editor closes a bracket with *close*."""
        for char in text:
            self.before += char
            self.after, close = close + self.after, ""
            self.reactions.edited(self.document)

    def put_in(self, text: str) -> None:
        """Put *text* in at once."""
        self.before += text
        self.reactions.edited(self.document)


def test_the_editor_tells_of_an_acceptance() -> None:
    """The text is put in and its command is run: accepted, told once, whatever is typed then."""
    screen = Screen()
    (shown,) = screen.show("compute()")
    screen.put_in("compute()")
    screen.reactions.accepted(shown.id)
    screen.type("\n1")
    assert screen.told == [("compute()", Reaction.ACCEPTED)]


def test_an_editor_that_runs_the_command_first() -> None:
    """The order of command and edit does not matter."""
    screen = Screen()
    (shown,) = screen.show("compute()")
    screen.reactions.accepted(shown.id)
    screen.put_in("compute()")
    screen.type("\n")
    assert screen.told == [("compute()", Reaction.ACCEPTED)]


def test_an_editor_that_tells_nothing() -> None:
    """A text that appears as a whole was accepted; it is told with what happens next."""
    screen = Screen()
    screen.show("compute()")
    screen.put_in("compute()")
    screen.type("\n")
    assert screen.told == [("compute()", Reaction.ACCEPTED)]


def test_a_suggestion_that_is_typed() -> None:
    """Key by key to its end: typed, once, however often its rest was shown meanwhile."""
    screen = Screen()
    screen.show("comp()")
    for done in range(1, 6):
        screen.type("comp()"[done - 1])
        screen.show("comp()"[done:])
    screen.type(")")
    screen.type("\n")
    assert screen.told == [("comp()", Reaction.TYPED)]


def test_the_rest_of_a_suggestion_is_accepted() -> None:
    """After some keys of it, the rest is accepted: that is the suggestion that was shown first."""
    screen = Screen()
    screen.show("compute()")
    screen.type("com")
    (rest,) = screen.show("pute()")
    screen.put_in("pute()")
    screen.reactions.accepted(rest.id)
    assert screen.told == [("compute()", Reaction.ACCEPTED)]


@pytest.mark.parametrize(
    ("typed", "reaction"),
    [
        ("z", Reaction.DISMISSED),
        ("comz", Reaction.DISMISSED),
        ("computez", Reaction.TYPED),
        ("compute(z", Reaction.TYPED),
    ],
)
def test_something_else_is_typed(typed: str, reaction: Reaction) -> None:
    """With its first word it was of use; without it, it was dismissed."""
    screen = Screen()
    screen.show("compute(a)")
    screen.type(typed)
    assert screen.told == [("compute(a)", reaction)]


def test_a_word_of_it_is_accepted() -> None:
    """Some editors take one word: that is use, also when something else follows."""
    screen = Screen()
    screen.show("compute(a)")
    screen.put_in("compute")
    screen.type("_all")
    assert screen.told == [("compute(a)", Reaction.TYPED)]


@pytest.mark.parametrize(
    ("taken", "typed", "is_refused"),
    [
        (["compute_all"], "(val", True),
        (["compute_all", "(value"], ".n", True),
        (["compute_all", "(value", ".name", ", "], "n", False),
        (["compute_all"], "(", False),
        (["compute_all", "(", "value"], ".", False),
        (["compute_all", "(", "value", ".", "name", ", ", "n"], "", False),
        (["compute_all(value.name, n)"], "", False),
        ([], "compute_all(value", False),
    ],
)
def test_who_types_after_taking_words_does_not_want_the_rest(taken: list[str], typed: str, is_refused: bool) -> None:
    """Once a key ends within a word: a single sign, or a word of one letter, may have been taken as well."""
    screen = Screen()
    screen.show("compute_all(value.name, n)")
    for word in taken:
        screen.put_in(word)
    screen.type(typed)
    assert screen.refused == ["compute_all(value.name, n)"] * is_refused
    assert screen.told == [("compute_all(value.name, n)", Reaction.TYPED)] * is_refused


def test_what_could_not_be_read_was_not_dismissed() -> None:
    """A key right after it was shown is typing, not an answer."""
    screen = Screen()
    screen.show("compute()")
    screen.now -= READ_S / 2
    screen.type("z")
    assert screen.told == [("compute()", Reaction.IGNORED)]


def test_backspace_is_no_contradiction_until_it_is() -> None:
    """Typing into a suggestion and taking that back leaves it open; deleting what stood before it ends it."""
    screen = Screen()
    screen.show("compute()")
    screen.type("co")
    screen.before = screen.before[:-2]
    screen.reactions.edited(screen.document)
    assert screen.told == []
    screen.before = screen.before[:-1]
    screen.reactions.edited(screen.document)
    assert screen.told == [("compute()", Reaction.DISMISSED)]


def test_a_bracket_that_the_editor_closes_is_no_contradiction() -> None:
    """The editor's own closing bracket is not something else that was typed."""
    screen = Screen("call|\n")
    screen.show("(argument)")
    screen.type("(", close=")")
    screen.type("arg")
    assert screen.told == []
    screen.type("ument")
    screen.reactions.closed(URI)
    assert screen.told == [("(argument)", Reaction.TYPED)]


def test_a_suggestion_that_replaces_a_closer() -> None:
    """Accepted in the place of the bracket that the editor had put in, or typed over it: both are told as that."""
    for put_in, reaction in (("a).get()", Reaction.ACCEPTED), ("a)", Reaction.TYPED)):
        screen = Screen("f(|)\n")
        screen.reactions.shown(Ask(screen.document, 2), [Suggestion("a).get()", Source.ECHO, replaces=1)])
        screen.after = "\n"
        screen.put_in(put_in)
        screen.type("z")
        assert screen.told == [("a).get()", reaction)]


def test_an_edit_elsewhere_is_a_dismissal() -> None:
    """Who goes on at another place did not want it."""
    screen = Screen()
    screen.show("compute()")
    screen.after += "more\n"
    screen.reactions.edited(screen.document)
    assert screen.told == [("compute()", Reaction.DISMISSED)]


def test_the_cursor_goes_elsewhere() -> None:
    """On another line it is out of sight; on the same one it is not."""
    screen = Screen()
    screen.show("compute()")
    screen.reactions.moved(screen.document, 0)
    assert screen.told == []
    screen.reactions.moved(screen.document, len(screen.document.text))
    assert screen.told == [("compute()", Reaction.DISMISSED)]


def test_something_is_shown_elsewhere() -> None:
    """A suggestion at another place ends the one before."""
    screen = Screen()
    screen.show("compute()")
    other = Ask(screen.document, len(screen.document.text))
    screen.reactions.shown(other, [Suggestion("y", Source.MODEL)])
    assert screen.told == [("compute()", Reaction.DISMISSED)]


def test_showing_it_again_is_not_another_one() -> None:
    """Editors ask twice at one place; nothing happened between."""
    screen = Screen()
    screen.show("compute()")
    screen.show("compute()")
    screen.type("z")
    assert screen.told == [("compute()", Reaction.DISMISSED)]


def test_of_several_the_one_that_was_taken_is_told() -> None:
    """Asking by hand shows several: those that were not chosen were not dismissed."""
    screen = Screen()
    screen.show("compute()")
    _, second = screen.show("compute()", "collect()")
    screen.put_in("collect()")
    screen.reactions.accepted(second.id)
    screen.type("z")
    assert screen.told == [("collect()", Reaction.ACCEPTED)]


def test_an_unknown_acceptance_is_ignored() -> None:
    """What another window showed, or what was settled long ago, changes nothing."""
    screen = Screen()
    screen.show("compute()")
    screen.reactions.accepted(-1)
    assert screen.told == []


def test_closing_a_file_dismisses_nothing() -> None:
    """A file that is closed says nothing about what was shown last in it."""
    screen = Screen()
    screen.show("compute()")
    screen.reactions.closed(URI)
    screen.reactions.closed(URI)
    assert screen.told == []


def test_files_are_watched_apart() -> None:
    """An edit in one file is no word about a suggestion in another."""
    screen = Screen()
    screen.show("compute()")
    screen.reactions.edited(Document("file:///b.py", "b.py", "python", 1, Text("z")))
    assert screen.told == []
