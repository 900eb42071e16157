"""Answers of earlier sessions, found again in another one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fimble.store import Store
from fimble.suggest.archive import Archive
from fimble.suggest.place import Place

MODEL, PATH = "digest", "a.py"
ABOVE = "import os\n\n\n"

New = Callable[..., Archive]


class Counting(Store):
    """Counts how often the disk is asked."""

    asked = 0

    async def get(self, key: str) -> str | None:
        self.asked += 1
        return await super().get(key)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Counting]:
    made = Counting(tmp_path / "suggestions", max_mb=8)
    yield made
    made.close()


async def found(archive: Archive, marked: str, model: str = MODEL, path: str = PATH) -> str | None:
    before, _, after = marked.partition("|")
    return await archive.find(model, path, Place(ABOVE + before, after))


def kept(store: Store, *answers: tuple[str, str]) -> Archive:
    """The archive of a session in which the model has given *answers* at places (marked with ``|``)."""
    archive = Archive(store, 64)
    for marked, text in answers:
        before, _, after = marked.partition("|")
        archive.keep(MODEL, PATH, Place(ABOVE + before, after), text)
    return archive


async def test_an_answer_is_found_anywhere_inside(store: Counting) -> None:
    """In the next session the answer is there where it was given, and at every later key of it."""
    kept(store, ("x = |\n", "compute(first)"))
    for typed in ("", "c", "compute", "compute(firs"):
        assert await found(Archive(store, 64), f"x = {typed}|\n") == "compute(first)".removeprefix(typed)


@pytest.mark.parametrize("marked", ["x = d|\n", "x =|\n", "y = |\n", "x = compute(first)|\n", "x = |\ny", "\nx = |\n"])
async def test_other_text_is_another_place(store: Counting, marked: str) -> None:
    """Something else on the line, above it or behind it: the answer was not for that."""
    kept(store, ("x = |\n", "compute(first)"))
    assert await found(Archive(store, 64), marked) is None


async def test_a_block_is_found_on_each_of_its_lines(store: Counting) -> None:
    """Who has typed half of a block before the restart gets the other half after it."""
    block = "\n    first()\n\n    second()"
    kept(store, ("def f():|\n", block))
    for typed in range(len(block)):
        assert await found(Archive(store, 64), f"def f():{block[:typed]}|\n") == block[typed:]


async def test_the_disk_is_asked_once_per_line(store: Counting) -> None:
    """However many keys are typed on a line, found or not, only the first of them looks at the disk."""
    kept(store, ("x = |\n", "compute()"))
    archive = Archive(store, 64)
    for marked in ("x|\n", "x =|\n", "x = |\n", "x = c|\n", "x = cz|\n"):
        await found(archive, marked)
    assert store.asked == 1


async def test_several_answers_of_a_line_are_kept(store: Counting) -> None:
    """What was answered at different places of one line does not replace each other; the nearest fits best."""
    kept(store, ("x = |\n", "compute(1)"), ("x = c|\n", "ompare(2)"), ("x = |\n", "count(3)"))
    assert await found(Archive(store, 64), "x = |\n") == "count(3)"
    assert await found(Archive(store, 64), "x = co|\n") == "mpare(2)"
    assert await found(Archive(store, 64), "x = cou|\n") == "nt(3)"


async def test_that_there_is_nothing_is_remembered_too(store: Counting) -> None:
    """A place where the model had nothing to say need not be asked about again; the next key is another place."""
    kept(store, ("x = |\n", ""))
    assert await found(Archive(store, 64), "x = |\n") == ""
    assert await found(Archive(store, 64), "x = 1|\n") is None


async def test_models_settings_and_files_are_kept_apart(store: Counting) -> None:
    """Another model, other settings or another file would be answered otherwise."""
    kept(store, ("x = |\n", "1"))
    assert await found(Archive(store, 64), "x = |\n", model="other") is None
    assert await found(Archive(store, 32), "x = |\n") is None
    assert await found(Archive(store, 64), "x = |\n", path="b.py") is None


async def test_a_closed_bracket_is_no_other_place(store: Counting) -> None:
    """What was answered before the editor closed a bracket is found behind it."""
    kept(store, ("call|\n", "(first)"))
    assert await found(Archive(store, 64), "call(fi|)\n") == "rst)"


async def test_half_an_emoji_can_be_kept(store: Counting) -> None:
    """A lone surrogate in the line costs nothing."""
    kept(store, ("\ud83d = |\n", "1"))
    assert await found(Archive(store, 64), "\ud83d = |\n") == "1"


@pytest.mark.parametrize("planted", ["", "nonsense", "[1]", '[["a"]]', '{"a": 1}', "[[1, 2]]", "null"])
async def test_what_was_not_written_by_us_is_a_miss(store: Counting, planted: str) -> None:
    """A row of another shape is ignored, and replaced by the next answer."""
    archive = Archive(store, 64)
    place = Place(ABOVE + "x = ", "\n")
    store.put(archive._key(MODEL, PATH, place), planted)
    assert await archive.find(MODEL, PATH, place) is None
    archive.keep(MODEL, PATH, place, "1")
    assert await Archive(store, 64).find(MODEL, PATH, place) == "1"


async def test_lines_are_forgotten_in_memory_not_on_disk(store: Counting) -> None:
    """The window remembers some hundred lines; the others cost a look at the disk again."""
    archive = kept(store, ("x = |\n", "1"))
    for number in range(300):
        await found(archive, f"\n{number}\n|")
    asked = store.asked
    assert await found(archive, "x = |\n") == "1"
    assert store.asked == asked + 1
