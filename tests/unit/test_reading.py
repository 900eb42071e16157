"""Files that end the process that reads them, or take it too long."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

READ = """
import sys
from pathlib import Path
from fimble.index import reading
reading._MOST_S = 0.2
with reading.Reading(Path(sys.argv[1])) as note:
    if not note.begin("slow.py"):
        sys.exit(7)
    if sys.argv[2] == "quick":
        note.end()
    sum(range(60_000_000))  # one call into C, as a query is one
"""


def read(note: Path, how: str) -> int:
    return subprocess.run((sys.executable, "-c", READ, str(note), how), check=False, timeout=60).returncode


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no such timer")
def test_a_file_that_takes_too_long_ends_the_process_and_then_is_left_out(tmp_path: Path) -> None:
    """Also in a call that never comes back to Python; after the third time it is not begun any more."""
    ends = [read(tmp_path / "note", "slow") for _ in range(4)]
    assert ends == [-signal.SIGVTALRM] * 3 + [7]


def test_what_was_read_in_time_is_no_matter_any_more(tmp_path: Path) -> None:
    """The time counts for one file only."""
    assert [read(tmp_path / "note", "quick") for _ in range(4)] == [0] * 4
