"""The model is told of other files: found in pauses, kept in place while the user types, and explained."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from window import NewWindow, Window

from fimble import paths
from fimble.engine.client import ask_props
from fimble.engine.launch import running_engines

SHAPES = '''"""Shapes."""


class Rectangle:
    """Four corners."""

    def __init__(self, width, height):
        self.width = width
        self.height = height

    def area_in(self, unit, digits=2):
        """The area, rounded."""
        return round(self.width * self.height * unit.factor, digits)
'''
SOURCE = "from shapes import Rectangle\n\n\ndef floor(unit):\n    room = Rectangle(3, 4)\n    return room.\n"
CURSOR = SOURCE.index("room.\n") + len("room.")


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Path:
    """The folder of `new_window`, with another file in it."""
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    (folder / "shapes.py").write_text(SHAPES)
    return folder


async def told(window: Window, uri: str, offset: int, word: str) -> dict[str, Any]:
    """What is explained at a place, once a snippet of it says *word*."""
    async with asyncio.timeout(30):
        while True:
            found = await window.explain(uri, offset)
            if any(word in part["text"] for part in found["told"]):
                return found
            await asyncio.sleep(0.2)


async def test_a_definition_elsewhere_is_told_and_explained(new_window: NewWindow) -> None:
    """What an imported name means stands in the prompt, with the reason, its size, and what speaks for the answer."""
    window = await new_window()
    uri = window.open("a.py", SOURCE)
    found = await told(window, uri, CURSOR, "area_in")
    parts = {part["part"]: part for part in found["told"]}
    assert parts["snippet"]["name"] == "shapes.py"
    assert parts["snippet"]["why"]
    assert parts["snippet"]["tokens"] > 10
    assert parts["repository"]["name"] == "project"
    assert list(parts) == ["repository", "snippet", "file", "prefix", "suffix", "typed"]
    model = [each for each in found["judged"] if each["suggestion"]["source"] == "model"]
    assert all(0 < probability <= 1 for each in model for _token, probability in each["suggestion"]["written"])
    assert model
    assert model[0]["reasons"]
    page = found["markdown"]
    assert "| snippet | shapes.py |" in page
    assert "likely to be taken" in page
    assert "def area_in(self, unit, digits=2)" in page


async def test_what_was_told_stays_while_the_user_types(new_window: NewWindow) -> None:
    """Keys do not move the snippets: the engine finds all but the typed tokens in its cache."""
    window = await new_window()
    uri = window.open("a.py", SOURCE)
    await told(window, uri, CURSOR, "area_in")
    await window.ask(uri, CURSOR)
    before, offset = await window.stats(), CURSOR
    evaluated = await prompt_tokens()
    for key in "area_in(unit":
        offset = window.type(uri, offset, key)
        await window.ask(uri, offset)
    assert (await window.stats()).get("snippets_changed") == before.get("snippets_changed")
    assert await prompt_tokens() - evaluated < 60


async def test_an_edit_elsewhere_is_told_where_its_name_stands(new_window: NewWindow) -> None:
    """A parameter was added in one file: where that function is called, the model sees the change."""
    window = await new_window()
    other = window.open("shapes.py", SHAPES)
    window.type(other, SHAPES.index("unit, digits"), "exact, ")
    uri = window.open("a.py", SOURCE.replace("room.", "room.area_in("))
    found = await told(window, uri, CURSOR + len("area_in("), "+     def area_in(self, exact, unit")
    assert "just changed there" in [part["why"] for part in found["told"]]


async def test_a_secret_in_an_edit_is_masked(new_window: NewWindow) -> None:
    """A password that was just typed in another file does not reach the prompt with its line."""
    window = await new_window()
    other = window.open("shapes.py", SHAPES)
    window.type(other, SHAPES.index("unit, digits"), 'password="kx83Hw!9slqPz0", ')
    uri = window.open("a.py", SOURCE.replace("room.", "room.area_in("))
    found = await told(window, uri, CURSOR + len("area_in("), "<secret>")
    assert "kx83Hw" not in str(found["told"])


async def test_a_file_that_was_saved_is_known(new_window: NewWindow, project: Path) -> None:
    """What is new on disk reaches the prompt: the editor tells of saved files."""
    window = await new_window()
    uri = window.open("a.py", SOURCE)
    await told(window, uri, CURSOR, "area_in")
    new = window.open("rooms.py", "def furnished_room(sofas, tables):\n    return sofas + tables\n")
    window.save(new)
    end = window.type(uri, 0, "from rooms import furnished_room\n")
    await told(window, uri, end, "sofas, tables")


async def test_the_repository_is_copied_from(new_window: NewWindow, project: Path) -> None:
    """A line that another file says already is completed from there, though that file is not open."""
    line = "    connection = open_database_connection(settings.database_url, timeout=30)\n"
    (project / "first.py").write_text(f"def first(settings):\n{line}    return connection\n")
    window = await new_window()
    source = "def second(settings):\n    connection = open_database_connec\n"
    uri = window.open("a.py", source)
    offset = source.index("connec\n") + len("connec")
    copied, wanted = list[str](), "tion(settings.database_url, timeout=30)"
    async with asyncio.timeout(30):
        while wanted not in copied[:1]:  # the likeliest comes first
            judged = (await window.explain(uri, offset))["judged"]
            copied = [each["suggestion"]["text"] for each in judged if each["suggestion"]["source"] == "echo"]


async def test_what_is_excluded_is_never_told(new_window: NewWindow, project: Path) -> None:
    """Neither files that the settings keep out nor what the index is told to ignore."""
    (project / ".fimbleignore").write_text("ignored.py\n")
    for name in ("ignored.py", "hidden.py"):
        (project / name).write_text("def unspeakable_secret(first, second):\n    return first\n")
    window = await new_window(settings={"privacy": {"exclude": ["hidden.py"]}})
    uri = window.open("a.py", SOURCE + "\n\nunspeakable_secret(")
    found = await told(window, uri, len(SOURCE) + 2 + len("unspeakable_secret("), "Rectangle")
    assert not any("first, second" in part["text"] for part in found["told"])


async def test_without_an_index_everything_goes_on(new_window: NewWindow) -> None:
    """Switched off, nothing is looked into, and suggestions come as ever."""
    window = await new_window(settings={"index": {"enabled": False}})
    uri = window.open("a.py", SOURCE)
    await window.ask(uri, CURSOR)
    found = await window.explain(uri, CURSOR)
    assert [part["part"] for part in found["told"]] == ["file", "prefix", "suffix", "typed"]


async def prompt_tokens() -> int:
    """How many tokens of prompts the one engine has evaluated."""
    (found,) = running_engines(paths.runtime_dir())
    return (await ask_props(found)).counters.prompt_tokens_evaluated
