"""Fimble in a real VS Code: code-server in Chromium, the extension from its package, the real engine.

Where a test needs a suggestion whose text is known, it types the start of a line that stands further up in the
same file: Fimble then suggests the rest of that line ("echo"), whatever the model thinks.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from code_server import CodeServer
from selenium.webdriver import Keys
from vscode_window import Workbench
from waiting import until


@dataclass(frozen=True)
class Echo:
    """A file in which the rest of a line is suggested.  Each has words of its own: open files vote with theirs."""

    word: str

    @property
    def line(self) -> str:
        """What is written twice."""
        return f"    connection = open_{self.word}_connection(settings.{self.word}_url, timeout=30)"

    @property
    def typed(self) -> str:
        """How far it is typed the second time."""
        return f"connection = open_{self.word}_conn"

    @property
    def rest(self) -> str:
        """What is suggested then."""
        return f"ection(settings.{self.word}_url, timeout=30)"

    @property
    def text(self) -> str:
        """The file before anything is typed."""
        return f"def first(settings):\n{self.line}\n    return connection\n\n\ndef second(settings):\n    "

    def show(self, workbench: Workbench) -> None:
        """Open it, type, and wait until the rest is shown."""
        workbench.edit(workbench.folder / f"{self.word}.py", self.text)
        workbench.type(self.typed)
        workbench.ghost(self.rest)


#: The first time, the editor has to be fetched.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    """The editor's own menu has the words of the file, when it is asked for."""
    return {"editor.wordBasedSuggestions": "currentDocument"}


def test_the_status_tells_how_it_starts(workbench: Workbench) -> None:
    """From starting over loading to ready, in words, to the eye and to a screen reader."""
    workbench.edit(workbench.folder / "status.py", "x = 1\n")
    until(lambda: workbench.status() == "Fimble: ready. Ready", "Fimble to be ready")
    seen = workbench.statuses()
    assert seen[0] == "Fimble: starting"
    assert seen[-1] == "Fimble: ready"
    assert any(text.startswith("Fimble: loading ") for text in seen)


def test_accepts_the_whole(workbench: Workbench) -> None:
    """Tab puts in what was shown and nothing else; what follows is suggested after it."""
    echo = Echo("whole")
    echo.show(workbench)
    workbench.press(Keys.TAB)
    workbench.expect("def second(settings):", echo.line)
    workbench.save()
    assert (workbench.folder / "whole.py").read_text() == echo.text + echo.line.strip()


def test_accepts_a_word_after_the_other(workbench: Workbench) -> None:
    """Control and right arrow take a word; the rest stays shown."""
    echo = Echo("words")
    echo.show(workbench)
    workbench.press(Keys.ARROW_RIGHT, Keys.CONTROL)
    workbench.expect(f"    {echo.typed}ection")
    workbench.ghost(echo.rest.removeprefix("ection"))
    workbench.press(Keys.ARROW_RIGHT, Keys.CONTROL)
    until(lambda: workbench.last_line() != f"    {echo.typed}ection", "the next word")
    taken = workbench.last_line()
    assert echo.line.startswith(taken)
    assert taken != echo.line
    workbench.ghost(echo.line.removeprefix(taken))


def test_accepts_a_line_of_several(workbench: Workbench) -> None:
    """Alt and right arrow take one line; the others stay shown."""
    before = ["def load(path):", "    with open(path) as file:", "        return file.read()", "", ""]
    opener, shown = show_several_lines(workbench, before)
    workbench.press(Keys.ARROW_RIGHT, Keys.ALT)  # the end of the line with the cursor
    workbench.expect(opener, "")
    workbench.ghost(shown[1])
    workbench.press(Keys.ARROW_RIGHT, Keys.ALT)
    wanted = [*before, opener, shown[1]]  # perhaps with a new line after it
    until(lambda: workbench.look_again().lines in (wanted, [*wanted, ""]), "the next line and no more")


def show_several_lines(workbench: Workbench, before: list[str]) -> tuple[str, list[str]]:
    """Have a block suggested, after a line that opens it; return that line and the lines of the suggestion.

    Only the model writes blocks, and what it writes is its own business: it is asked in several places, and by hand,
    so that it shows what it is not sure of, too.  A block that goes on with an empty line is not what is tested.
    """
    openers = ("def load_json(path):", "def load_lines(path, encoding):", "class Loader:", "def main(arguments):")
    for number, opener in enumerate(openers):
        workbench.edit(workbench.folder / f"line{number}.py", "\n".join([*before, opener[:-1]]))
        workbench.type(":")
        workbench.expect(opener)
        workbench.press("\\", Keys.ALT)
        seen = workbench.look_for_ghost(deadline_s=8)
        if seen and len(shown := seen.ghost.split("\n")) > 2 and shown[1].strip():
            return opener, shown
    pytest.fail(f"the model wrote no block at any of {len(openers)} places: {workbench.look()}")


def test_escape_dismisses(workbench: Workbench) -> None:
    echo = Echo("escape")
    echo.show(workbench)
    workbench.press(Keys.ESCAPE)
    until(lambda: not workbench.look_again().ghost, "the ghost text to go away")
    assert workbench.last_line() == f"    {echo.typed}"


def test_next_and_previous(workbench: Workbench) -> None:
    """Asked by hand there are several, from the file and from the model; Alt and the brackets leaf through them."""
    text = (
        "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = y\n\n\nclass Size:\n    def "
    )
    workbench.edit(workbench.folder / "several.py", text)
    workbench.type("__init__(self, w")
    workbench.press("\\", Keys.ALT)
    first = workbench.ghost().ghost
    workbench.press("]", Keys.ALT)
    until(lambda: workbench.look_again().ghost not in ("", first), "another suggestion")
    workbench.press("[", Keys.ALT)
    workbench.ghost(first)


def test_brackets_that_the_editor_closed(workbench: Workbench) -> None:
    """The suggestion `self):` takes the place of the bracket that stands right of the cursor."""
    text = "class Square:\n    def area(self):\n        return self.side ** 2\n\n\nclass Circle:\n    def area"
    workbench.edit(workbench.folder / "closed.py", text)
    workbench.type("(")
    workbench.ghost("self")
    assert workbench.last_line() == "    def area()"
    workbench.press(Keys.TAB)
    workbench.expect("class Circle:", "    def area(self):")


def test_beside_the_editors_own_menu(workbench: Workbench) -> None:
    """The suggestion goes on from what is selected in the menu; Tab takes that first, and then the rest."""
    echo = Echo("menu")
    selected = "return document.querySelector('.suggest-widget.visible .monaco-list-row.focused')?.ariaLabel ?? ''"
    workbench.edit(workbench.folder / "menu.py", echo.text)
    workbench.type("connection = open_m")
    workbench.press(" ", Keys.CONTROL)
    until(lambda: str(workbench.script(selected)).startswith("open_menu_connection"), "the word in the menu")
    workbench.ghost(f"enu_conn{echo.rest}")
    workbench.press(Keys.TAB)
    workbench.expect("    connection = open_menu_connection")
    workbench.ghost(echo.rest.removeprefix("ection"))
    workbench.press(Keys.TAB)
    workbench.expect(echo.line)


def test_accents_and_emoji_before_the_cursor(workbench: Workbench) -> None:
    """An emoji is 1 character, 2 UTF-16 units and 4 bytes; a column in the wrong unit would show at once."""
    line = 'print("🚀 déjà vu", describe_launch_window(weather, crew_size=7))'
    workbench.edit(workbench.folder / "emoji.py", f"# 🚀🚀\n{line}\n# é\n")
    workbench.insert('print("🚀 déjà vu", describe_launch_w')
    # The editor closed the bracket; it stays where it is.
    workbench.ghost("indow(weather, crew_size=7")
    workbench.press(Keys.TAB)
    workbench.expect("# é", line)


def test_a_file_with_crlf_line_ends(workbench: Workbench) -> None:
    path, echo = workbench.folder / "dos.py", Echo("dos")
    workbench.edit(path, echo.text.replace("\n", "\r\n"))
    workbench.type(echo.typed)
    workbench.ghost(echo.rest)
    workbench.press(Keys.TAB)
    workbench.expect(echo.line)
    workbench.save()
    assert path.read_bytes() == (echo.text + echo.line.strip()).replace("\n", "\r\n").encode()


def test_off_where_it_keeps_silent(workbench: Workbench) -> None:
    """A file that is excluded: the status says off and why; elsewhere it is ready again."""
    workbench.edit(workbench.folder / ".env", "SECRET_KEY=1\n")
    until(lambda: "privacy.exclude" in workbench.status(), f"the status to say why: {workbench.status()}")
    assert workbench.statuses()[-1] == "Fimble: off here"
    workbench.edit(workbench.folder / "again.py", "x = 1\n")
    until(lambda: workbench.statuses()[-1] == "Fimble: ready", "ready")


def test_the_menu_turns_a_language_off_and_on(workbench: Workbench) -> None:
    """The status bar item opens a menu; what is switched there takes effect at once, without a restart."""
    workbench.edit(workbench.folder / "switch.py", "x = 1\n")
    for choice, wanted in (("Turn off for python", "Fimble: off here"), ("Turn on for python", "Fimble: ready")):
        workbench.click('.statusbar-item[id^="fimble."] a')
        workbench.choose(choice)
        until(lambda wanted=wanted: workbench.statuses()[-1] == wanted, wanted)  # type: ignore[misc]


def test_the_users_fimble_toml_counts(workbench: Workbench, editor_environment: dict[str, str]) -> None:
    """The editor's defaults are not sent: they would be stronger than what stands in fimble.toml."""
    file = Path(editor_environment["XDG_CONFIG_HOME"]) / "fimble" / "fimble.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text('[privacy]\nlanguages_off = ["ini"]\n')
    try:
        workbench.command("Fimble: Restart the Server")
        workbench.edit(workbench.folder / "settings.ini", "[section]\n")
        until(lambda: "ini is switched off" in workbench.status(), "ini to be off")
    finally:
        file.unlink()
        workbench.command("Fimble: Restart the Server")
    until(lambda: workbench.statuses()[-1] == "Fimble: ready", "ready")


def test_inside_a_notebooks_cell(workbench: Workbench) -> None:
    """A cell is completed like a file."""
    cell = '{"cell_type": "code", "execution_count": null, "metadata": {}, "outputs": [], "source": []}'
    about = '"metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5'
    book = f'{{"cells": [{cell}], {about}}}'
    path = workbench.folder / "book.ipynb"
    path.write_text(book)
    workbench.open_quickly(path)
    workbench.click(".notebookOverlay .cell.code .monaco-editor")
    workbench.type("notes = find_notes_of('here')\nnotes = find_no")
    workbench.ghost("tes_of('here'")


def test_explains_what_is_suggested(workbench: Workbench) -> None:
    """A command opens a page beside the file: how likely each suggestion is, and what the model was told."""
    Echo("explained").show(workbench)
    workbench.command("Fimble: Explain What Is Suggested Here")

    def page() -> str:
        return str(workbench.script("return document.body.innerText")).replace("\xa0", " ")

    try:
        until(lambda: "likely to be taken" in page(), "the explanation")
    finally:
        workbench.command("View: Close Editors in Other Groups")


def test_the_engine_is_killed_and_comes_back(workbench: Workbench, editor_environment: dict[str, str]) -> None:
    """The next key starts another; the editor sees no more than a status."""
    until(lambda: workbench.statuses()[-1] == "Fimble: ready", "ready")
    (engine,) = processes(editor_environment, "fimble.engine.server")
    os.kill(engine.pid, signal.SIGKILL)
    workbench.edit(
        workbench.folder / "killed.py", "import os\n\n\ndef total(numbers):\n    result = 0\n    for number in"
    )
    seen = len(workbench.statuses())
    workbench.type(" ")  # nothing is repeated here: the model is asked
    until(lambda: "Fimble: ready" in workbench.statuses()[seen:], "another engine")
    assert any("loading" in text for text in workbench.statuses()[seen:])
    assert processes(editor_environment, "fimble.engine.server") != [engine]
    Echo("after").show(workbench)


def test_the_server_is_killed_and_comes_back(workbench: Workbench, editor_environment: dict[str, str]) -> None:
    """A second later there is another, and it knows what is in the open documents."""
    echo = Echo("server")
    workbench.edit(workbench.folder / "server.py", echo.text)
    (server,) = processes(editor_environment, "fimble lsp")
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: "stopped and is started again" in workbench.status(), "the status to say so")
    until(lambda: workbench.status() == "Fimble: ready. Ready", "another server")
    assert processes(editor_environment, "fimble lsp") != [server]
    workbench.type(echo.typed)
    workbench.ghost(echo.rest)
    workbench.press(Keys.TAB)
    workbench.expect(echo.line)


def test_a_program_that_is_no_fimble(workbench: Workbench, server: CodeServer, settings: dict[str, object]) -> None:
    """A program that is no Fimble is named at once, with the setting to correct."""
    server.write_settings(settings | {"fimble.server.path": "/bin/false"})
    until(lambda: "Fimble: error" in workbench.status(), "the error")
    assert "fimble.server.path" in workbench.status()
    server.write_settings(settings)
    until(lambda: workbench.status() == "Fimble: ready. Ready", "the right server")


def processes(environment: dict[str, str], name: str) -> list[psutil.Process]:
    """Those of this test run with *name* in their command line."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            if name in " ".join(process.info["cmdline"] or []) and (
                process.environ().get("XDG_RUNTIME_DIR") == environment["XDG_RUNTIME_DIR"]
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found
