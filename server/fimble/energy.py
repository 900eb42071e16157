"""What engines take of this machine's energy: from the processor's own counters, else from the battery, else estimated.

Counters tell of the whole machine.  An engine has the share of it that it has of all processor time meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

#: What a busy core takes where nothing can be read: the value that the Green Algorithms calculator uses for a processor
#: that is not known (Lannelongue, Grealey, Inouye, Advanced Science 2021).  A laptop's takes less.
WATTS_PER_CORE = 12.0

#: Two readings further apart say nothing: the machine slept, or a counter ran round more than once.
_MOST_S = 600.0

_JOULES_PER_MICROWATT_HOUR = 3600e-6


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What can be read at one moment.  Times are seconds of all cores together."""

    unix_s: float
    machine_cpu_s: float
    """What all processes have used since the machine started."""
    engines_cpu_s: dict[str, float]
    """What each engine has used since it started."""
    meter: str = ""
    """``rapl``, ``battery`` or empty: what *counters_j* were read from."""
    counters_j: dict[str, float] = {}
    """Joules that were spent until now, from some moment on."""
    ranges_j: dict[str, float] = {}
    """Where a counter begins anew; those that do not are not in it."""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What the engines took between two samples; *source* is a meter or ``estimate``."""

    cpu_s: float
    joules: float
    source: str


def read_counters(root: Path = Path("/")) -> tuple[str, dict[str, float], dict[str, float]]:
    """The meter of this machine, its counters and their ranges, in joules; *root* is where ``sys`` is.

    Without a meter that may be read: an empty name and nothing.
    """
    counters, ranges = _rapl(root / "sys/class/powercap")
    if counters:
        return "rapl", counters, ranges
    counters = _batteries(root / "sys/class/power_supply")
    return ("battery", counters, {}) if counters else ("", {}, {})


def _rapl(folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Intel's and AMD's counters of each processor package (Documentation/power/powercap in Linux).

    Most systems let only root read them, since what they tell can be spied on (CVE-2020-8694).
    """
    counters: dict[str, float] = {}
    ranges: dict[str, float] = {}
    for zone in sorted(folder.glob("intel-rapl:*")):
        with contextlib.suppress(OSError, ValueError):
            name = (zone / "name").read_text().strip()
            # Zones inside a package, and `psys` around all, would count the same joules again.
            if name.startswith("package"):
                joules = int((zone / "energy_uj").read_text()) / 1e6
                ranges[name] = int((zone / "max_energy_range_uj").read_text()) / 1e6
                counters[name] = joules
    return counters, ranges


def _batteries(folder: Path) -> dict[str, float]:
    """What each battery has given, as a negative number that grows; none while any charges."""
    found: dict[str, float] = {}
    for battery in sorted(folder.glob("*")):
        with contextlib.suppress(OSError, ValueError):
            if (battery / "type").read_text().strip() != "Battery" or _text(battery / "scope") == "Device":
                continue  # a mains adapter, or the battery of a mouse
            if (battery / "status").read_text().strip() != "Discharging":
                return {}
            found[battery.name] = -_left_j(battery)
    return found


def _left_j(battery: Path) -> float:
    """The joules in a battery: some tell microwatt-hours, others microampere-hours."""
    with contextlib.suppress(OSError):
        return int((battery / "energy_now").read_text()) * _JOULES_PER_MICROWATT_HOUR
    volts = int((battery / "voltage_now").read_text()) / 1e6
    return int((battery / "charge_now").read_text()) * _JOULES_PER_MICROWATT_HOUR * volts


def _text(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text().strip()
    return ""


def spent(before: Sample | None, now: Sample) -> Spent:
    """What the engines took from *before* (None: from their start) to *now*."""
    if before and now.machine_cpu_s < before.machine_cpu_s:
        before = None  # the machine was started anew
    known = before.engines_cpu_s if before else {}
    cpu_s = sum(max(used - known.get(engine, 0.0), 0.0) for engine, used in now.engines_cpu_s.items())
    if before is None or not _can_compare(before, now):
        return Spent(cpu_s=cpu_s, joules=cpu_s * WATTS_PER_CORE, source="estimate")
    everybody_s = max(now.machine_cpu_s - before.machine_cpu_s, cpu_s)
    share = cpu_s / everybody_s if everybody_s else 0.0
    return Spent(cpu_s=cpu_s, joules=share * _passed(before, now), source=now.meter)


def _can_compare(before: Sample, now: Sample) -> bool:
    return (
        now.meter != ""
        and now.meter == before.meter
        and now.counters_j.keys() == before.counters_j.keys()
        and 0 < now.unix_s - before.unix_s <= _MOST_S
    )


def _passed(before: Sample, now: Sample) -> float:
    return sum(_since(before.counters_j[name], joules, now.ranges_j, name) for name, joules in now.counters_j.items())


def _since(before_j: float, now_j: float, ranges_j: Mapping[str, float], name: str) -> float:
    """A counter at the end of its range begins anew; a battery that gained something was charged meanwhile."""
    return max(now_j - before_j if now_j >= before_j else now_j - before_j + ranges_j.get(name, 0.0), 0.0)
