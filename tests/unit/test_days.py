"""What each day came to: several windows add to one file, and engines are counted once."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from fimble import days, ledger
from fimble.cli import stats as command
from fimble.days import Day, Days, Diary, added
from fimble.energy import Sample
from fimble.stats import Stats

NOON = time.mktime((2026, 11, 25, 12, 0, 0, 0, 0, -1))


def sample(unix_s: float = NOON, **engines: float) -> Sample:
    return Sample(unix_s=unix_s, machine_cpu_s=1000.0, engines_cpu_s=engines)


def test_what_is_new_is_added() -> None:
    """Counts, joules and processor time of a day add up; of memory the most counts."""
    once = added(Days(), Counter(shown_model=2, accepted_model=1), sample(a=3.0), 500)
    twice = added(once, Counter(shown_model=1), sample(a=5.0), 400)
    (day,) = twice.days.values()
    assert list(twice.days) == ["2026-11-25"]
    assert day.counts == {"shown_model": 3, "accepted_model": 1}
    assert day.engine_cpu_s == 5.0
    assert day.energy_j == {"estimate": 60.0}
    assert day.engine_memory_bytes == 500


def test_an_engine_of_several_windows_is_counted_once() -> None:
    """Whoever adds next adds what it has used since anybody did."""
    kept = Days()
    for used in (1.0, 1.0, 4.0, 4.0):
        kept = added(kept, Counter(), sample(a=used), 0)
    assert kept.days["2026-11-25"].engine_cpu_s == 4.0
    assert added(kept, Counter(), sample(b=2.0), 0).days["2026-11-25"].engine_cpu_s == 6.0


def test_old_days_go() -> None:
    """A year of them is kept."""
    many = {
        f"{year}-{month:02}-{day:02}": Day() for year in (2024, 2025) for month in range(1, 13) for day in range(1, 29)
    }
    kept = added(Days(days=many), Counter(), sample(), 0).days
    assert len(kept) == days._DAYS
    assert "2026-11-25" in kept
    assert "2024-01-01" not in kept


def test_only_what_is_new_of_a_window_is_written(home: Path) -> None:
    """A window that keeps twice has not shown twice; what is not for days stays where it is."""
    stats, now = Stats(), [0.0]
    diary = Diary(stats, clock=lambda: now[0])
    stats.add("shown", "echo")
    stats.add("engine_requests")
    assert not diary.is_due
    now[0] = 61.0
    assert diary.is_due
    diary.keep()
    assert not diary.is_due
    stats.add("keys_saved", "echo", 7)
    diary.keep()
    (day,) = days.read().days.values()
    assert day.counts == {"shown_echo": 1, "keys_saved_echo": 7}


_ADD = """
from fimble.days import Diary
from fimble.stats import Stats
stats = Stats()
diary = Diary(stats)
for _ in range(25):
    stats.add("shown", "model")
    diary.keep()
"""


def test_windows_that_write_at_once_lose_nothing(home: Path) -> None:
    """Real processes, each with its own counts."""
    children = [subprocess.Popen([sys.executable, "-c", _ADD]) for _ in range(3)]
    assert [child.wait(timeout=120) for child in children] == [0, 0, 0]
    assert sum(day.counts["shown_model"] for day in days.read().days.values()) == 75


def test_the_file_is_its_users_alone(home: Path) -> None:
    """0600 in a folder that is 0700, and nothing is left beside it but its lock."""
    Diary(Stats()).keep()
    file = days.file_of_days()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert {path.name for path in file.parent.iterdir()} <= {"days.json", "days.lock"}


@pytest.mark.parametrize("content", ["", "{", '{"days": 3}', '{"days": {"2026-11-25": {"counts": "x"}}}'])
def test_a_file_that_makes_no_sense_begins_anew(home: Path, content: str) -> None:
    """Half a file, or another program's: counting goes on."""
    file = days.file_of_days()
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert days.read().days == {}
    Diary(Stats()).keep()
    assert len(days.read().days) == 1


def test_a_folder_that_cannot_be_written_costs_nothing(home: Path, tmp_path: Path) -> None:
    """What could not be written is written the next time."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    stats = Stats()
    diary = Diary(stats, blocked / "days.json")
    stats.add("shown", "model")
    diary.keep()
    blocked.unlink()
    diary.keep()
    kept = ledger.read(blocked / "days.json", Days)
    assert kept
    assert [day.counts for day in kept.days.values()] == [{"shown_model": 1}]


def test_a_day_as_people_read_it() -> None:
    """Suggestions are what something became of; energy is told for each of them."""
    counts = {"accepted_model": 2, "typed_echo": 1, "dismissed_model": 1, "shown_model": 9, "keys_saved_model": 30}
    day = Day(counts=counts, energy_j={"estimate": 8.0}, engine_memory_bytes=50_000_000)
    found = command.summary("2026-11-25", day)
    assert (found.suggestions, found.accepted, found.keys_saved) == (4, 2, 30)
    assert found.joules_per_suggestion == 2.0
    assert found.by_source["model"] == {"accepted": 2, "dismissed": 1, "shown": 9, "keys_saved": 30, "suggestions": 3}
    both = command.together([day, day])
    assert command.summary("total", both).accepted == 4
    assert both.engine_memory_bytes == 50_000_000


def test_a_day_without_suggestions_divides_by_nothing() -> None:
    """Energy may have been taken for nothing."""
    assert command.summary("2026-11-25", Day(energy_j={"rapl": 3.0})).joules_per_suggestion is None


def test_the_command_tells_what_was_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table for people, numbers for programs, and a sentence where there is nothing yet."""
    command.run(14, as_json=False)
    assert "Nothing has been suggested yet." in capsys.readouterr().out
    ledger.change(days.file_of_days(), Days, lambda _: added(Days(), Counter(accepted_model=3), sample(a=2.0), 10**7))
    command.run(14, as_json=False)
    told = capsys.readouterr().out
    assert "2026-11-25" in told
    assert "12 W for a busy core" in told
    command.run(14, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["total"]["accepted"] == 3
    assert found["total"]["energy_j"] == {"estimate": 24.0}
    assert found["engine_memory_now_mb"] == 0.0
