"""What was edited lately: bursts of keys are one hunk, and a hunk is told as a diff."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from fimble.context.history import EditHistory
from fimble.core import Document
from fimble.text import Text

LINES = [f"line {number}" for number in range(40)]


def document(lines: list[str], uri: str = "file:///a.py") -> Document:
    return Document(uri, "a.py", "python", 1, Text("\n".join(lines)))


class Editing:
    """A document that is typed in; every edit is noted."""

    def __init__(self, history: EditHistory, uri: str = "file:///a.py", end: str = "\n") -> None:
        self.history = history
        self.document = dataclasses.replace(document(LINES, uri), text=Text(end.join(LINES)))

    def replace(self, line: int, new: str) -> None:
        """Give a line another text, key by key."""
        text = self.document.text
        start = text.line_start(line)
        old = LINES[line]
        self._edit(start, start + len(old), "", line)
        for count, key in enumerate(new):
            self._edit(start + count, start + count, key, line)

    def _edit(self, start: int, end: int, new: str, line: int) -> None:
        before = self.document
        self.document = dataclasses.replace(before, text=before.text.replace(start, end, new))
        self.history.note(before, self.document, line)


def test_keys_in_one_place_are_one_hunk() -> None:
    """However many keys it took: what stood there before, and what stands there now."""
    history = EditHistory()
    Editing(history).replace(5, "something else")
    (hunk,) = history.hunks()
    assert (hunk.line, hunk.before, hunk.after) == (5, ("line 5",), ("something else",))
    assert hunk.diff() == "- line 5\n+ something else\n"


def test_another_place_begins_another_hunk() -> None:
    """The newest comes first."""
    history = EditHistory()
    editing = Editing(history)
    editing.replace(5, "first")
    editing.replace(30, "second")
    assert [hunk.after for hunk in history.hunks()] == [("second",), ("first",)]


def test_neighbouring_lines_belong_together() -> None:
    """What is a line or two further down is the same change, untouched lines between included."""
    history = EditHistory()
    editing = Editing(history)
    editing.replace(5, "first")
    editing.replace(7, "second")
    (hunk,) = history.hunks()
    assert hunk.after == ("first", "line 6", "second")
    assert hunk.diff() == "- line 5\n+ first\n- line 7\n+ second\n"


def test_what_was_undone_is_no_change() -> None:
    """A text that is what it was before tells nothing."""
    history = EditHistory()
    editing = Editing(history)
    editing.replace(5, "")
    editing._edit(editing.document.text.line_start(5), editing.document.text.line_start(5), "line 5", 5)
    assert history.hunks() == []


def test_large_changes_are_left_out() -> None:
    """A paste of a page is nothing that somebody repeats elsewhere."""
    history = EditHistory()
    editing = Editing(history)
    editing._edit(0, 0, "pasted\n" * 30, 30)
    assert history.hunks() == []


def test_line_ends_are_no_difference() -> None:
    """A file with CRLF is told like any other."""
    history = EditHistory()
    Editing(history, end="\r\n").replace(5, "new")
    assert history.hunks()[0].diff() == "- line 5\n+ new\n"


def test_closing_a_document_keeps_what_was_changed() -> None:
    """The change is still true, and still of use elsewhere."""
    history = EditHistory()
    Editing(history).replace(5, "new")
    history.closed("file:///a.py")
    history.closed("file:///never-opened.py")
    assert [hunk.after for hunk in history.hunks()] == [("new",)]


def test_memory_is_bounded() -> None:
    """Neither many documents nor many hunks pile up."""
    history = EditHistory()
    for number in range(100):
        Editing(history, f"file:///{number}.py").replace(5, "new")
    assert len(history._open) <= 16
    assert len(history.hunks()) <= 32


@given(st.lists(st.tuples(st.integers(0, 39), st.text(st.sampled_from("ab\n\r"), max_size=6)), max_size=12))
def test_any_edits_leave_a_history(edits: list[tuple[int, str]]) -> None:
    """Whatever is put in wherever: the newest hunk of a place shows lines that stand there."""
    history = EditHistory()
    editing = Editing(history)
    for line, new in edits:
        at = editing.document.text.line_start(min(line, editing.document.text.line_count - 1))
        editing._edit(at, at, new, editing.document.text.line_of(at + len(new)))
    for hunk in history.hunks():
        assert hunk.before != hunk.after
        lines = hunk.document.text.source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert tuple(lines[hunk.line : hunk.line + len(hunk.after)]) == hunk.after
