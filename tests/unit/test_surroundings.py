"""Snippets of other files: they change seldom, stay in order, and never stop anything.  The index is a script here."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from fimble.context.history import EditHistory
from fimble.core import Ask, Document, Snippet
from fimble.errors import WorkspaceError
from fimble.index.wire import Found, FoundSnippets, Retrieve
from fimble.privacy import Exclusions
from fimble.suggest import surroundings
from fimble.suggest.surroundings import Surroundings
from fimble.text import Text

ROOT = Path("/project")
SOURCE = "import os\n\n\ndef area(width):\n    return width\n"
N_CTX = 1024


class ScriptedIndex:
    """Answers with what it is given; a failure is raised."""

    root = ROOT

    def __init__(self, *found: str | WorkspaceError) -> None:
        self.found: tuple[str | WorkspaceError, ...] = found
        self.asked: list[Retrieve] = []

    def path_of(self, file: Path) -> str | None:
        return file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else None

    async def retrieve(self, question: Retrieve) -> FoundSnippets:
        self.asked.append(question)
        found = []
        for each in self.found:
            if isinstance(each, WorkspaceError):
                raise each
            found.append(Found(path=f"{each[:4]}.py", text=each, start_line=0, why="it is there"))
        return FoundSnippets(snippets=found, diffs=question.diffs, copies=["return width * height\n"])


@pytest.fixture(autouse=True)
def _no_time_has_to_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "_SETTLED_S", 0.0)


def ask(source: str = SOURCE, name: str = "a.py", offset: int | None = None) -> Ask:
    file = ROOT / name
    return Ask(
        Document(file.as_uri(), name, "python", 1, Text(source), file), len(source) if offset is None else offset
    )


def around(index: Any, history: EditHistory | None = None) -> Surroundings:
    return Surroundings([index], history or EditHistory(), Exclusions(["hidden.*"]))


def texts(snippets: tuple[Snippet, ...]) -> list[str]:
    return [snippet.text for snippet in snippets]


async def test_the_best_stands_last() -> None:
    """Next to the code, and the last to be cut."""
    found = await around(ScriptedIndex("best", "good", "fair")).find(ask(), (), N_CTX)
    assert texts(found) == ["fair", "good", "best"]
    assert found[0].why == "it is there"


async def test_as_long_as_the_best_are_there_nothing_changes() -> None:
    """Other pieces further down the list are not worth evaluating the prompt anew."""
    index = ScriptedIndex("best", "good", "fair")
    kept = await around(index).find(ask(), (), N_CTX)
    index.found = ("good", "best", "other")
    assert await around(index).find(ask(), kept, N_CTX) is kept


async def test_what_stays_keeps_its_place_and_what_is_new_stands_last() -> None:
    """So the engine finds the beginning of the prompt in its cache."""
    index = ScriptedIndex("best", "good", "fair")
    kept = await around(index).find(ask(), (), N_CTX)
    index.found = ("new", "best")
    assert texts(await around(index).find(ask(), kept, N_CTX)) == ["fair", "good", "best", "new"]


async def test_a_file_is_told_of_once() -> None:
    """What was told of a file before it changed goes when something newer is."""
    index = ScriptedIndex("area(width)", "other")
    kept = await around(index).find(ask(), (), N_CTX)
    index.found = ("area(width, height)", "other")
    assert texts(await around(index).find(ask(), kept, N_CTX)) == ["other", "area(width, height)"]


async def test_there_is_room_for_so_much() -> None:
    """What was not found again goes when there is no room for it beside what was."""
    index = ScriptedIndex("a" * 900, "b" * 900)
    kept = await around(index).find(ask(), (), N_CTX)
    index.found = ("c" * 900, "b" * 900)
    found = await around(index).find(ask(), kept, N_CTX)
    assert [text[0] for text in texts(found)] == ["b", "c"]
    assert index.asked[0].budget_chars >= sum(map(len, texts(found)))


async def test_a_document_settles(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change there is none for a while, whatever is found."""
    index = ScriptedIndex("best")
    asking = around(index)
    monkeypatch.setattr(asking, "_settled_s", 3600.0)
    kept = await asking.find(ask(), (), N_CTX)
    index.found = ("other",)
    assert await asking.find(ask(), kept, N_CTX) is kept
    asking._changed_at.clear()
    assert texts(await asking.find(ask(), kept, N_CTX)) == ["best", "other"]


async def test_what_others_say_is_there_to_copy_until_the_document_is_closed() -> None:
    """Also while its snippets are settled: copying costs no evaluation."""
    asking = around(ScriptedIndex("best"))
    await asking.find(ask(), (), N_CTX)
    assert asking.copies(ask().document.uri) == ("return width * height\n",)
    asking.forget(ask().document.uri)
    assert asking.copies(ask().document.uri) == ()


async def test_where_evaluating_takes_long_a_document_settles_for_longer() -> None:
    """So that a slow machine has other things to do."""
    index = ScriptedIndex("best")
    asking = around(index)
    asking.evaluated(600.0)
    kept = await asking.find(ask(), (), N_CTX)
    index.found = ("other",)
    assert await asking.find(ask(), kept, N_CTX) is kept
    asking.evaluated(0.0)
    assert texts(await asking.find(ask(), kept, N_CTX)) == ["best", "other"]


@pytest.mark.parametrize("failure", ["The index did not answer in time.", "There is no index."])
async def test_an_index_that_fails_changes_nothing(failure: str) -> None:
    kept = (Snippet("b.py", "kept"),)
    assert await around(ScriptedIndex(WorkspaceError(failure))).find(ask(), kept, N_CTX) == kept


async def test_a_file_of_no_repository_is_alone() -> None:
    index = ScriptedIndex("best")
    stray = dataclasses.replace(ask().document, file=Path("/elsewhere/a.py"))
    untitled = dataclasses.replace(ask().document, file=None)
    for document in (stray, untitled):
        question = dataclasses.replace(ask(), document=document)
        assert await around(index).find(question, (), N_CTX) == ()
        assert around(index).repository_of(question) == ""
    assert index.asked == []
    assert around(index).repository_of(ask()) == "project"


async def test_a_long_document_is_sent_in_parts_and_the_place_is_right() -> None:
    """The beginning, where the imports are, and what is around the cursor; CRLF counts as one character."""
    lines = [f"value_{number} = {number}  # éé😀" for number in range(8000)]
    source = "\r\n".join(["import first_line", *lines])
    offset = source.index("value_5000 ") + 6
    index = ScriptedIndex("best")
    await around(index).find(ask(source, offset=offset), (), N_CTX)
    (question,) = index.asked
    assert question.text.startswith("import first_line\n")
    assert question.text[: question.offset].endswith("\nvalue_")
    assert question.text[question.offset :].startswith("5000 = 5000")
    assert "\r" not in question.text
    assert len(question.text) < 50_000


async def test_an_edit_elsewhere_is_told_if_it_concerns_this_place() -> None:
    """A function whose parameters were changed, where it is called; not where nothing of it is named."""
    history = EditHistory()
    old = Document("file:///project/b.py", "b.py", "python", 1, Text("def area(width):\n    pass\n"), ROOT / "b.py")
    new = dataclasses.replace(old, text=old.text.replace(9, 9, "height, "))
    history.note(old, new, 0)
    index = ScriptedIndex()
    (told,) = await around(index, history).find(ask(), (), N_CTX)
    assert (told.filename, told.text) == ("b.py", "- def area(width):\n+ def area(height, width):\n")
    assert index.asked[0].edits == [("b.py", 0)]
    assert await around(index, history).find(ask("print(1)\n"), (), N_CTX) == ()
    assert await around(index, history).find(ask(name="b.py"), (), N_CTX) == ()


async def test_an_edit_in_an_excluded_file_is_told_to_nobody() -> None:
    """Not even to the index."""
    history = EditHistory()
    old = Document(
        "file:///project/hidden.py", "hidden.py", "python", 1, Text("def area(width):\n"), ROOT / "hidden.py"
    )
    history.note(old, dataclasses.replace(old, text=old.text.replace(9, 9, "height, ")), 0)
    index = ScriptedIndex()
    assert await around(index, history).find(ask(), (), N_CTX) == ()
    assert index.asked[0].diffs == []


async def test_without_an_engine_there_is_no_prompt_to_fill() -> None:
    index = ScriptedIndex("best")
    assert await around(index).find(ask(), (), 0) == ()
    assert index.asked == []
