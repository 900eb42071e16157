"""What engines take of the machine's energy: every kind of meter, as the kernel shows it, and none."""

from __future__ import annotations

from pathlib import Path

import pytest

from fimble import energy
from fimble.energy import WATTS_PER_CORE, Sample, read_counters, spent


def files(folder: Path, **texts: str) -> Path:
    """A folder as sysfs has them."""
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text + "\n")
    return folder


def rapl(root: Path, zone: str, name: str, energy_uj: str, most: str = "262143328850") -> Path:
    return files(
        root / "sys/class/powercap" / zone, name=name, energy_uj=energy_uj, max_energy_range_uj=most, enabled="1"
    )


def battery(root: Path, name: str = "BAT0", **texts: str) -> Path:
    return files(root / "sys/class/power_supply" / name, **{"type": "Battery", **texts})


def test_packages_are_counted_and_their_parts_are_not(tmp_path: Path) -> None:
    """Two sockets are two counters; cores, memory and the whole platform would count the same again."""
    rapl(tmp_path, "intel-rapl:0", "package-0", "5000000")
    rapl(tmp_path, "intel-rapl:0:0", "core", "3000000")
    rapl(tmp_path, "intel-rapl:1", "package-1", "7000000", most="9000000")
    rapl(tmp_path, "intel-rapl:2", "psys", "20000000")
    meter, counters, ranges = read_counters(tmp_path)
    assert meter == "rapl"
    assert counters == {"package-0": 5.0, "package-1": 7.0}
    assert ranges["package-1"] == 9.0


def test_counters_that_may_not_be_read_are_none(tmp_path: Path) -> None:
    """Most systems let only root read them; then the battery is asked."""
    zone = rapl(tmp_path, "intel-rapl:0", "package-0", "1")
    (zone / "energy_uj").unlink()
    (zone / "energy_uj").mkdir()  # reading it fails, for root too
    assert read_counters(tmp_path) == ("", {}, {})
    battery(tmp_path, status="Discharging", energy_now="1000000")
    assert read_counters(tmp_path)[0] == "battery"


def test_nonsense_in_a_counter_is_no_counter(tmp_path: Path) -> None:
    """A virtual machine may show the folders and no numbers in them."""
    rapl(tmp_path, "intel-rapl:0", "package-0", "")
    assert read_counters(tmp_path) == ("", {}, {})


def test_batteries_tell_in_two_ways(tmp_path: Path) -> None:
    """Some in microwatt-hours, some in microampere-hours at a voltage; a mouse's battery is not ours."""
    battery(tmp_path, "BAT0", status="Discharging", energy_now="10000000")
    battery(tmp_path, "BAT1", status="Discharging", charge_now="2000000", voltage_now="11000000")
    battery(tmp_path, "hidpp_battery_0", status="Discharging", energy_now="1", scope="Device")
    files(tmp_path / "sys/class/power_supply/AC", type="Mains", online="0")
    meter, counters, _ = read_counters(tmp_path)
    assert meter == "battery"
    assert counters == pytest.approx({"BAT0": -36_000.0, "BAT1": -79_200.0})


@pytest.mark.parametrize("status", ["Charging", "Full", "Unknown"])
def test_a_battery_that_does_not_discharge_says_nothing(tmp_path: Path, status: str) -> None:
    """On mains its level tells nothing of what is used."""
    battery(tmp_path, status=status, energy_now="10000000")
    assert read_counters(tmp_path) == ("", {}, {})


def test_a_machine_without_any_of_it(tmp_path: Path) -> None:
    """No folders, no meter, no failure."""
    assert read_counters(tmp_path) == ("", {}, {})


def sample(unix_s: float, machine_s: float, engine_s: float, counter_j: float | None, meter: str = "rapl") -> Sample:
    counters = {} if counter_j is None else {"package-0": counter_j}
    return Sample(
        unix_s=unix_s,
        machine_cpu_s=machine_s,
        engines_cpu_s={"1 0": engine_s},
        meter=meter if counters else "",
        counters_j=counters,
        ranges_j={"package-0": 1000.0} if meter == "rapl" else {},
    )


def test_an_engine_has_its_share_of_what_the_processor_took() -> None:
    """A quarter of all processor time is a quarter of the joules."""
    found = spent(sample(0, 100, 10, 50.0), sample(60, 140, 20, 250.0))
    assert (found.cpu_s, found.source) == (10, "rapl")
    assert found.joules == pytest.approx(50.0)


def test_a_counter_that_ran_round() -> None:
    """It begins anew at the end of its range."""
    assert spent(sample(0, 0, 0, 950.0), sample(60, 10, 10, 30.0)).joules == pytest.approx(80.0)


def test_a_battery_that_gained_was_charged_meanwhile() -> None:
    """Nothing is made up for it."""
    assert spent(sample(0, 0, 0, -500.0, "battery"), sample(60, 10, 10, -900.0, "battery")).joules == 0.0


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (None, sample(60, 10, 5, 100.0)),
        (sample(0, 0, 0, None), sample(60, 10, 5, None)),
        (sample(0, 0, 0, 1.0), sample(energy._MOST_S + 1, 10, 5, 100.0)),
        (sample(0, 0, 0, 1.0), sample(60, 10, 5, -100.0, "battery")),
        (sample(60, 0, 0, 1.0), sample(0, 10, 5, 2.0)),
    ],
    ids=["nothing before", "no meter", "too long ago", "another meter", "the clock was set back"],
)
def test_where_nothing_can_be_compared_it_is_estimated(before: Sample | None, now: Sample) -> None:
    """Processor time times a stated number of watts."""
    found = spent(before, now)
    assert (found.cpu_s, found.joules, found.source) == (5, 5 * WATTS_PER_CORE, "estimate")


def test_a_machine_that_was_started_anew() -> None:
    """Its processor times begin at nothing, and so does what engines used of them."""
    found = spent(sample(0, 1000, 500, 900.0), sample(60, 10, 4, 5.0))
    assert (found.cpu_s, found.source) == (4, "estimate")


def test_idle_engines_take_nothing() -> None:
    """Whatever else the machine does."""
    assert spent(sample(0, 0, 7, 0.0), sample(60, 100, 7, 500.0)).joules == 0.0
    assert spent(sample(0, 0, 7, 0.0), sample(60, 0, 7, 500.0)).joules == 0.0
