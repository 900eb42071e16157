"""Accepting faster than anybody can read: what lies on the disk in the end is what was typed and shown."""

from __future__ import annotations

import pytest
from selenium.webdriver import Keys
from vscode_window import Workbench
from waiting import until

ROUNDS = 200

#: Without brackets and quotes, which the editor would close by itself; with characters of 1 and 2 UTF-16 units.
LINES = (
    "total_price = unit_price * amount + shipping_costs",
    "größe_🚀 = breite_🚀 * höhe_🚀 + abstand_rundherum",
    "remaining_seconds = deadline_seconds - elapsed_seconds",
)
SHOWN_CHARS = 11


#: The first time, the editor has to be fetched.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    """No indentation by the editor: what is typed is what is there."""
    return {"editor.autoIndent": "none"}


def test_two_hundred_fast_acceptances(workbench: Workbench) -> None:
    """In one burst: a few characters of the suggestion, Tab, a new line, and more.

    Every line must be what was typed with the rest of what was shown; or, where the editor had taken the suggestion
    away by then, with what Tab puts in otherwise.  Nearly all of them must have been accepted.
    """
    path = workbench.folder / "fast.py"
    workbench.edit(path, "\n".join(LINES) + "\n")
    until(lambda: workbench.status() == "Fimble: ready. Ready", "Fimble to be ready")
    accepted, typed = [*LINES], [*LINES]
    for number in range(ROUNDS):
        line = LINES[number % len(LINES)]
        start, rest = line[:-SHOWN_CHARS], line[-SHOWN_CHARS:]
        workbench.insert(start)
        shown = workbench.ghost(rest).ghost
        key_by_key, after = shown[: number % 5], f"# {number}"
        workbench.type(f"{key_by_key}{Keys.TAB}\n{after}\n")
        accepted += [start + shown, after]
        typed += [start + key_by_key, after]
    workbench.save()
    found = path.read_text("utf-8").split("\n")
    assert found.pop() == ""
    assert len(found) == len(accepted)
    assert [line for line in zip(found, accepted, typed, strict=True) if line[0].rstrip(" ") not in line[1:]] == []
    assert sum(line == wanted for line, wanted in zip(found, accepted, strict=True)) >= len(accepted) - ROUNDS * 0.05
