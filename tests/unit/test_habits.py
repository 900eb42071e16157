"""Places that are left alone."""

from __future__ import annotations

import pytest

from fimble.suggest.habits import ENOUGH, Habits
from fimble.suggest.place import Place
from fimble.suggest.reactions import Reaction

URI = "file:///a.py"
PLACE = Place("def f():\n    x = comp", "\n")


def dismissed(times: int = ENOUGH, place: Place = PLACE) -> Habits:
    habits = Habits()
    for _ in range(times):
        habits.note(URI, place, Reaction.DISMISSED)
    return habits


def test_three_dismissals_are_enough() -> None:
    """After the third dismissal, and no sooner, nothing comes by itself there."""
    assert not dismissed(2).is_left_alone(URI, PLACE)
    assert dismissed(3).is_left_alone(URI, PLACE)


def test_a_word_that_is_typed_slowly_is_no_refusal() -> None:
    """Each key of a new word may bring another guess: wrong ones, one after the other, silence nothing..."""
    habits = Habits()
    places = [Place(f"def f():\n    x = {'compute'[:size]}", "\n") for size in range(8)]
    for _ in range(ENOUGH - 1):
        for place in places:
            habits.note(URI, place, Reaction.DISMISSED)
    assert not any(habits.is_left_alone(URI, place) for place in places)
    # ... but coming back to the same again and again does, for the whole word.
    habits.note(URI, places[2], Reaction.DISMISSED)
    assert all(habits.is_left_alone(URI, place) for place in places)


@pytest.mark.parametrize("before", ["def f():\n    x = ", "def f():\n    x = compute", "def f():\n\n  x  = c"])
def test_a_place_survives_small_edits(before: str) -> None:
    """Another word there, or other blanks, are the same place."""
    assert dismissed().is_left_alone(URI, Place(before, "\nmore()"))


@pytest.mark.parametrize("before", ["def f():\n    y = comp", "def g():\n    x = comp", "def f():\n    x = 1\n    "])
def test_other_lines_are_other_places(before: str) -> None:
    """Another line, or the same one below another, is not left alone."""
    assert not dismissed().is_left_alone(URI, Place(before, "\n"))
    assert not dismissed().is_left_alone("file:///b.py", PLACE)


def test_an_empty_line_is_not_every_empty_line() -> None:
    """What was dismissed on one new line says nothing about the others."""
    habits = dismissed(place=Place("first()\n", ""))
    assert habits.is_left_alone(URI, Place("first()\n", ""))
    assert not habits.is_left_alone(URI, Place("second()\n", ""))


@pytest.mark.parametrize("reaction", [Reaction.ACCEPTED, Reaction.TYPED])
def test_who_takes_one_wants_them(reaction: Reaction) -> None:
    """An acceptance starts the count anew."""
    habits = dismissed(2)
    habits.note(URI, PLACE, reaction)
    habits.note(URI, PLACE, Reaction.DISMISSED)
    assert not habits.is_left_alone(URI, PLACE)


def test_what_was_not_read_was_not_dismissed() -> None:
    """Fast typing is no dislike."""
    habits = Habits()
    for _ in range(10):
        habits.note(URI, PLACE, Reaction.IGNORED)
    assert not habits.is_left_alone(URI, PLACE)


def test_asking_forgives() -> None:
    """Asking by hand brings suggestions back."""
    habits = dismissed()
    habits.forgive(URI, PLACE)
    assert not habits.is_left_alone(URI, PLACE)


def test_habits_are_bounded() -> None:
    """The places that were dismissed at longest ago are forgotten."""
    habits = Habits(limit=2)
    places = [Place(f"line_{number} = ", "") for number in range(3)]
    for place in places:
        for _ in range(ENOUGH):
            habits.note(URI, place, Reaction.DISMISSED)
    assert [habits.is_left_alone(URI, place) for place in places] == [False, True, True]
