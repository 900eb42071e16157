"""People who type recorded sessions: what they accept, and what is counted."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from typists import Event, Ghost, SessionFailed, Typist, read_session, simulate, taken

LINE = "total = first + second"


def write(path: Path, *rows: tuple[int, int, int, str]) -> Path:
    """A session file of (transaction, position, removed, put in)."""
    with gzip.open(path, "wt") as file:
        for txn, at, removed, put_in in rows:
            file.write(json.dumps({"t": None, "txn": txn, "pos": at, "del": removed, "ins": put_in}) + "\n")
    return path


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """An empty line is given some text, key after key; then the file's first line is deleted."""
    keys = [(number + 1, 2 + number, 0, char) for number, char in enumerate(LINE)]
    return write(tmp_path / "s.jsonl.gz", (0, 0, 0, "#\n\n"), *keys, (90, 0, 2, ""))


class Says:
    """Suggests *rest* after the key that makes the text before the cursor end with *after*."""

    def __init__(self, after: str, rest: str) -> None:
        self.after, self.rest = after, rest
        self.edits = 0
        self.accepted: list[str] = []

    async def edit(self, *events: Event) -> None:
        self.edits += 1

    async def ask(self, event: Event) -> Ghost | None:
        return Ghost(self.rest, "echo") if event.text[: event.offset].endswith(self.after) else None

    async def accept(self, ghost: Ghost, taken: str) -> None:
        self.accepted.append(taken)


def test_a_session_is_read_from_any_change_on(session: Path) -> None:
    """The text before it, the changes, and after each key what is typed next without a break."""
    before, events = read_session(session, 3, 100)
    assert before == "#\ntot\n"
    assert [event.key for event in events[:3]] == ["a", "l", " "]
    assert events[0].next == LINE[4:]
    assert (events[-1].is_key, events[-1].text) == (False, f"{LINE}\n")
    assert events[-2].next == ""


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"{}"), gzip.compress(b"[1]\n")])
def test_what_is_no_session_is_said(tmp_path: Path, content: bytes) -> None:
    """A broken file is an error with its name, not a traceback."""
    path = tmp_path / "broken.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(SessionFailed, match=r"broken\.jsonl\.gz"):
        read_session(path, 0, 10)


@pytest.mark.parametrize(
    ("suggestion", "whole", "word"),
    [
        ("first + second", "first + second", "first + second"),
        ("first + third", "", "first + "),
        ("firstly", "", ""),
        ("f", "", ""),
        ("fir + x", "", "fir"),
        ("", "", ""),
    ],
)
def test_what_is_taken(suggestion: str, whole: str, word: str) -> None:
    """Everything or nothing, or up to a word's edge; never a single character."""
    assert taken(suggestion, "first + second\n", Typist.WHOLE) == whole
    assert taken(suggestion, "first + second\n", Typist.WORD) == word
    assert taken(suggestion, "first + second\n", Typist.NEVER) == ""


async def test_an_accepted_suggestion_saves_its_keys(session: Path) -> None:
    """The covered keys are one edit that nothing is asked after; the acceptance itself is a key."""
    _before, events = read_session(session, 0, 100)
    player = Says("total = f", "irst + third")
    counts = await simulate(events, player, Typist.WORD)
    assert player.accepted == ["irst + "]
    assert (counts["keys"], counts["asked"], counts["saved"]) == (len(LINE), len(LINE) - 7, 6)
    assert (counts["shown"], counts["accepted"], counts["accepted_echo"], counts["wrong"]) == (1, 1, 1, 0)
    assert player.edits == len(events) - 6


async def test_a_wrong_suggestion_is_counted_as_wrong(session: Path) -> None:
    """Whoever accepts only what is right is not misled, but saw it."""
    _before, events = read_session(session, 0, 100)
    counts = await simulate(events, Says("total", "ly"), Typist.WORD)
    assert (counts["shown"], counts["wrong"], counts["accepted"], counts["saved"]) == (1, 1, 0, 0)


async def test_what_was_not_contradicted_is_open(session: Path) -> None:
    """The keys end before anything of it is wrong: it counts as wrong, and apart from those that are known to be."""
    _before, events = read_session(session, 0, 100)
    at_the_end = await simulate(events, Says(LINE[:-1], LINE[-1] + "ly"), Typist.WORD)
    assert (at_the_end["wrong"], at_the_end["open"]) == (1, 1)
    contradicted = await simulate(events, Says("total", "ly"), Typist.WORD)
    assert (contradicted["wrong"], contradicted["open"]) == (1, 0)
