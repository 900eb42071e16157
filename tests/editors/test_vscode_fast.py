"""Accepting faster than anybody can read: what lies on the disk in the end is what was typed and shown."""

from __future__ import annotations

import pytest
from selenium.webdriver import Keys
from vscode_window import Workbench

ROUNDS = 200

#: Without brackets and quotes, which the editor would close by itself; with characters of 1 and 2 UTF-16 units.
LINES = (
    "total_price = unit_price * amount + shipping_costs",
    "größe_🚀 = breite_🚀 * höhe_🚀 + abstand_rundherum",
    "remaining_seconds = deadline_seconds - elapsed_seconds",
)
SHOWN_CHARS = 14


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    """No indentation by the editor: what is typed is what is there."""
    return {"editor.autoIndent": "none"}


def test_two_hundred_fast_acceptances(workbench: Workbench) -> None:
    """In one burst: a few characters of the suggestion, Tab, and on with the typing.

    Every line must be what was typed with the rest of the suggestion in its middle; or, where the editor had taken the
    suggestion away by then, with what Tab puts in otherwise.  Nearly all of them must have been accepted.
    """
    text = "\n".join(LINES) + "\n"
    path = workbench.folder / "fast.py"
    workbench.edit(path, text)
    lines = text.split("\n")
    accepted = 0
    for number in range(ROUNDS):
        line = LINES[number % len(LINES)]
        start, rest = line[:-SHOWN_CHARS], line[-SHOWN_CHARS:]
        workbench.insert(start)
        workbench.ghost(rest)
        typed, after = rest[: number % 5], f" + {number}"
        workbench.type(f"{typed}{Keys.TAB}{after}\n")
        lines[-1:] = [line + after, ""]
    workbench.save()
    found = path.read_text("utf-8").split("\n")
    assert len(found) == len(lines)
    for number, (is_, wanted) in enumerate(zip(found, lines, strict=True)):
        if is_ == wanted:
            accepted += number >= len(LINES) and bool(wanted)
            continue
        round_ = number - len(LINES)
        line = LINES[round_ % len(LINES)]
        typed = line[: len(line) - SHOWN_CHARS + round_ % 5]
        before, _, after = is_.partition(typed)
        assert not before, f"line {number}: {is_!r} instead of {wanted!r}"
        assert after.strip(" ") == f"+ {round_}", f"line {number}: {is_!r} instead of {wanted!r}"
    assert accepted >= ROUNDS * 0.95
