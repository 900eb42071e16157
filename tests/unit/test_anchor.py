"""The anchored window: it stays while one types below it, and it is always true."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fimble.context.anchor import Anchors, Frame, Window
from fimble.core import Document
from fimble.text import Text

BLOCK = 2048

#: In a line of this length a window may have to begin or to be anchored inside the line.
LONG_LINE = 1500
URI = "file:///a.py"

HEAD = "import os\n\n\ndef main():\n    "
TAIL = "\n\n\nmain()\n"

LINES = "".join(f"line {n:05} of a file that is long enough to be cut\n" for n in range(1000))


def window(anchors: Anchors, before: str, after: str, uri: str = URI) -> Window:
    return anchors.window(Document(uri, "a.py", "python", 1, Text(before + after)), len(before))


def ahead(anchors: Anchors, before: str, after: str) -> Frame | None:
    return anchors.ahead(Document(URI, "a.py", "python", 1, Text(before + after)), len(before))


def frame(made: Window) -> tuple[str, str]:
    """What stands before the typed text in the prompt: as long as it is equal, the engine's cache holds."""
    return made.prefix, made.suffix


def test_the_anchor_is_the_start_of_the_line() -> None:
    """A new window is cut at the start of the cursor's line; the line so far counts as typed."""
    made = window(Anchors(), HEAD, TAIL)
    assert made == Window("import os\n\n\ndef main():\n", "    ", TAIL, "")


def test_typing_moves_nothing() -> None:
    """While one types, also over new lines, prefix and suffix stay as they are and only the typed text grows."""
    anchors = Anchors()
    first = window(anchors, HEAD, TAIL)
    text = "x = 1\n    y = [2]\n\n    return (x, y)"
    for size in range(len(text) + 1):
        made = window(anchors, HEAD + text[:size], TAIL)
        assert frame(made) == frame(first)
        assert made.typed == "    " + text[:size]


def test_deleting_back_to_the_anchor_moves_nothing() -> None:
    """Backspace takes typed text away; only beyond the anchor a new one is needed."""
    anchors = Anchors()
    first = window(anchors, HEAD + "abc", TAIL)
    assert frame(window(anchors, HEAD + "a", TAIL)) == frame(first)
    assert window(anchors, HEAD[:-5], TAIL).prefix == "import os\n\n\n"


@pytest.mark.parametrize("closers", [")", "]", '"', ")]}", '");', "'''", ">", "`"])
def test_what_the_editor_closes_keeps_the_frame(closers: str) -> None:
    """Brackets and quotes that appear right of the cursor are not part of the suffix and leave the frame alone."""
    anchors = Anchors()
    first = window(anchors, HEAD, TAIL)
    made = window(anchors, HEAD + "f(", closers + TAIL)
    assert frame(made) == frame(first)
    assert made.closers == closers
    assert window(anchors, HEAD + "f(x)", TAIL).closers == ""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import re\n\n\ndef main():\n    x", TAIL),
        ("#\n" + HEAD + "x", TAIL),
        (HEAD + "x", TAIL + "more\n"),
        (HEAD + "x", "\n\n\nmain(1)\n"),
        (HEAD + "x", ""),
        (HEAD + "x", " word" + TAIL),
        (HEAD + "x", ")" * 9 + TAIL),
        ("import os\n", "\n\ndef main():\n    x" + TAIL),
        (HEAD + TAIL, ""),
    ],
    ids=["above", "a line above", "below", "in the suffix", "cut", "a word", "many closers", "jump up", "jump down"],
)
def test_a_frame_that_is_no_longer_true_is_replaced(before: str, after: str) -> None:
    """An edit above or below, a jump, or text right of the cursor makes a new anchor at the cursor's line."""
    anchors = Anchors()
    window(anchors, HEAD, TAIL)
    assert window(anchors, before, after) == window(Anchors(), before, after)


def test_too_much_typing_moves_the_anchor() -> None:
    """What is evaluated anew at every anchor stays bounded: a long middle becomes prefix."""
    anchors = Anchors()
    first = window(anchors, HEAD, TAIL)
    prefixes = [window(anchors, HEAD + "x = 1\n    " * n, TAIL).prefix for n in range(400)]
    assert prefixes[1] == first.prefix
    assert 2 <= len(set(prefixes)) <= 4


def test_a_long_line_keeps_its_frame() -> None:
    """Typing at the end of a paragraph of thousands of characters on one line moves the window rarely, too."""
    anchors = Anchors()
    line = "word " * 800
    frames = {frame(window(anchors, "text\n" + line + "x" * n, "\n" + TAIL)) for n in range(50)}
    assert len(frames) <= 2


def test_the_typed_text_of_a_new_window_is_bounded() -> None:
    """In a file that is one single line, as minifiers write, the middle of a prompt is not the whole file."""
    made = window(Anchors(), "x=1;" * 50_000, "y=2;" * 50_000)
    assert len(made.typed) <= 2 * BLOCK
    assert len(made.suffix) <= 2 * BLOCK


def test_every_document_has_its_own_frame() -> None:
    """Going to another file and back does not cost the frame."""
    anchors = Anchors()
    first = window(anchors, HEAD, TAIL)
    window(anchors, "other = ", "", uri="file:///b.py")
    assert frame(window(anchors, HEAD + "x = 1\n", TAIL)) == frame(first)


def test_a_closed_document_is_forgotten() -> None:
    """After a document was closed, its next window starts at the cursor's line; forgetting twice is harmless."""
    anchors = Anchors()
    window(anchors, HEAD, TAIL)
    anchors.forget(URI)
    anchors.forget(URI)
    assert window(anchors, HEAD + "x\n", TAIL).typed == ""


def test_the_least_recently_used_frame_is_forgotten() -> None:
    """The number of frames is bounded; the file that was asked about least recently loses its own."""
    anchors = Anchors(limit=2)
    for uri in ("a", "b", "a", "c"):
        window(anchors, HEAD, TAIL, uri=uri)
    typed = {uri: window(anchors, HEAD + "x\n", TAIL, uri=uri).typed for uri in ("a", "c", "b")}
    assert typed == {"a": "    x\n", "c": "    x\n", "b": ""}


@pytest.mark.parametrize("line", [0, 1, 100, 130, 333, 999])
def test_windows_begin_at_the_start_of_a_line(line: int) -> None:
    """The model never sees half a line at the start of the prefix or at the end of the suffix."""
    at = LINES.index(f"line {line:05}")
    made = window(Anchors(), LINES[:at], LINES[at:])
    assert made.prefix == "" or made.prefix.startswith("line ")
    assert LINES[:at].endswith(made.prefix)
    assert made.suffix.endswith("\n")
    assert LINES[at:].startswith(made.suffix)


def test_neighbouring_anchors_share_their_window_start() -> None:
    """Windows are snapped to blocks: new anchors a few lines further down begin with the same text."""
    starts = [LINES.index(f"line {n:05}") for n in range(300, 500)]
    beginnings = {window(Anchors(), LINES[:at], LINES[at:]).prefix[:10] for at in starts}
    span = starts[-1] - starts[0]
    assert 2 <= len(beginnings) <= span // BLOCK + 2


pieces = st.sampled_from(("a", "(", ")", '"', " ", "\n", "\r\n", "é", "😀", "x = 1\n", "y" * 300, "z\n" * 400))
texts = st.lists(pieces, max_size=8).map("".join)


@given(
    texts, texts, st.lists(st.tuples(st.sampled_from(("type", "close", "jump", "above", "delete")), texts), max_size=6)
)
def test_a_window_is_always_true(before: str, after: str, steps: list[tuple[str, str]]) -> None:
    """Whatever is edited: prefix and typed text end at the cursor, the suffix begins after the closers."""
    anchors = Anchors()
    for action, text in [("type", ""), *steps]:
        if action == "type":
            before += text
        elif action == "close":
            before, after = before + "(", ")" + after
        elif action == "jump":
            whole = before + after
            before, after = whole[: len(text)], whole[len(text) :]
        elif action == "above":
            before = text + before
        else:
            before = before[: -len(text) or None]
        # A cursor cannot stand inside a line ending.
        assume(not (before.endswith("\r") and after.startswith("\n")))
        made = window(anchors, before, after)
        assert before.endswith(made.prefix + made.typed)
        assert after.startswith(made.closers + made.suffix)
        start = len(before) - len(made.prefix + made.typed)
        assert start == 0 or len(before) > BLOCK
        text_now = Text(before + after)
        if max(len(text_now.line(n)) for n in range(text_now.line_count)) < LONG_LINE:
            assert start in {text_now.line_start(n) for n in range(text_now.line_count)}
            assert made.prefix == "" or made.prefix[-1] in "\r\n"


def test_a_long_rest_of_the_line_is_cut_not_dropped() -> None:
    """When the text right of the cursor is one very long line, the suffix is its beginning, and not nothing."""
    rest = "x=1;" * 2000
    made = window(Anchors(), "a = 1\n", f"{rest}\nb = 2\n")
    assert made.suffix
    assert rest.startswith(made.suffix)


def test_who_comes_back_finds_the_frame_again() -> None:
    """An edit elsewhere in the file that leaves a place's surroundings alone does not cost the place its frame."""
    anchors = Anchors()
    far = LINES + HEAD
    first = window(anchors, far + "x", TAIL)
    window(anchors, LINES[:500] + "y", LINES[500:] + HEAD + "x" + TAIL)
    edited = LINES[:500].replace("line 00001", "LINE 00001") + LINES[500:] + HEAD
    assert len(edited) == len(far)
    assert frame(window(anchors, edited + "xy", TAIL)) == frame(first)


def test_only_a_few_frames_of_a_document_are_kept() -> None:
    """Whoever edits all over a file does not fill the memory."""
    anchors = Anchors()
    places = [LINES.index(f"line {n:05}") for n in range(100, 900, 10)]
    for at in places:
        window(anchors, LINES[:at] + "x", LINES[at:])
    assert len(anchors._frames[URI]) <= 4


def test_nothing_is_prepared_while_the_frame_is_good() -> None:
    """Right after a key at the same place there is nothing that would have to be evaluated ahead."""
    anchors = Anchors()
    window(anchors, HEAD, TAIL)
    assert ahead(anchors, HEAD + "x", TAIL) is None


def test_a_place_where_nothing_was_asked_is_prepared() -> None:
    """After a paste or a jump the frame of the new place is known before its first key, and that key gets the same."""
    anchors = Anchors()
    window(anchors, HEAD, TAIL)
    made = ahead(anchors, HEAD + "return 1\n\n", "# end" + TAIL)
    assert made
    assert frame(window(anchors, HEAD + "return 1\n\nx", "# end" + TAIL)) == (made.prefix, made.suffix)


def test_the_next_anchor_is_prepared_before_it_is_needed() -> None:
    """After much typing a nearer anchor is offered; it is used when it was adopted, and not before."""
    anchors = Anchors()
    first = window(anchors, HEAD, TAIL)
    typed = "x = 1\n    " * 80
    assert frame(window(anchors, HEAD + typed, TAIL)) == frame(first)
    made = ahead(anchors, HEAD + typed, TAIL)
    assert made
    assert frame(window(anchors, HEAD + typed + "y", TAIL)) == frame(first)
    anchors.adopt(URI, made)
    moved = window(anchors, HEAD + typed + "y", TAIL)
    assert moved.prefix.endswith("x = 1\n")
    assert moved.typed == "    y"
    assert ahead(anchors, HEAD + typed + "y", TAIL) is None


def test_a_long_line_is_not_prepared_for_ever() -> None:
    """In one long line no nearer line start exists: there is nothing to prepare until the anchor moves inside it."""
    anchors = Anchors()
    line = "word " * 200
    window(anchors, "text\n" + line, "\n" + TAIL)
    assert ahead(anchors, "text\n" + line + "x", "\n" + TAIL) is None
