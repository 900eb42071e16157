"""What else the machine is doing, and what follows from it."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from fimble.engine.pressure import Pressure
from fimble.engine.wire import Load


class Machine:
    """A clock, and the seconds of CPU that the machine and this process have used."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.all = self.own = 0.0
        self.plugged: bool | None = None
        self.looks = 0
        monkeypatch.setattr(psutil, "cpu_times", self._times)
        process = SimpleNamespace(cpu_times=lambda: SimpleNamespace(user=self.own, system=0.0))
        monkeypatch.setattr(psutil, "Process", lambda: process)
        monkeypatch.setattr(psutil, "sensors_battery", self._battery, raising=False)

    def _times(self) -> SimpleNamespace:
        self.looks += 1
        return SimpleNamespace(user=self.all, system=0.0, nice=1e6 * self.now)

    def _battery(self) -> SimpleNamespace | None:
        return None if self.plugged is None else SimpleNamespace(power_plugged=self.plugged)

    def passes(self, seconds: float, *, others: float = 0.0, own: float = 0.0) -> None:
        """Time passes in which others keep *others* cores busy, and this process *own*."""
        self.now += seconds
        self.all += seconds * (others + own)
        self.own += seconds * own


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_only_others_count(machine: Machine) -> None:
    """What this process computes itself is no pressure, nor what runs at low priority."""
    pressure = Pressure(clock=lambda: machine.now)
    pressure.begin()
    machine.passes(4, others=1.5, own=2)
    assert pressure.look().busy_cores == pytest.approx(1.5)


def test_the_machine_is_looked_at_rarely(machine: Machine) -> None:
    """A decode does not ask the kernel each time."""
    pressure = Pressure(clock=lambda: machine.now)
    pressure.begin()
    before = machine.looks
    for _ in range(40):
        machine.passes(0.01, others=1)
        pressure.look()
    assert machine.looks == before
    machine.passes(0.2, others=1)
    assert pressure.look().busy_cores == pytest.approx(1)
    assert machine.looks <= before + 2


def test_a_quiet_machine_again(machine: Machine) -> None:
    """When the others are done, that is noticed after half a second of computing."""
    pressure = Pressure(clock=lambda: machine.now)
    pressure.begin()
    machine.passes(3, others=2)
    assert pressure.look().busy_cores == pytest.approx(2)
    machine.passes(3)
    assert pressure.look().busy_cores == 0


def test_what_others_do_in_its_pauses_costs_nothing(machine: Machine) -> None:
    """Whoever computes only while this process waits is no reason to compute with fewer threads."""
    pressure = Pressure(clock=lambda: machine.now)
    for _ in range(20):
        pressure.begin()
        machine.passes(0.05, own=2)
        pressure.end()
        machine.passes(1, others=2)
    assert pressure.look().busy_cores == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("busy", "wanted", "cores", "threads"),
    [(0, 2, 2, 2), (0.3, 2, 2, 2), (1, 2, 2, 1), (2, 2, 2, 1), (9, 2, 2, 1), (3, 8, 8, 5), (3, 2, 8, 2), (0, 1, 2, 1)],
)
def test_threads_leave_room_for_others(busy: float, wanted: int, cores: int, threads: int) -> None:
    """A core that somebody else keeps busy gets no thread of ours; one thread always works."""
    assert Load(busy_cores=busy).threads(wanted, cores) == threads


@pytest.mark.parametrize(
    ("power", "plugged", "saves"),
    [
        ("auto", None, False),
        ("auto", True, False),
        ("auto", False, True),
        ("full", False, False),
        ("saving", True, True),
    ],
)
def test_on_battery(machine: Machine, power: str, plugged: bool | None, saves: bool) -> None:
    """By default a laptop saves when it is unplugged; a machine without a battery never does."""
    machine.plugged = plugged
    assert Pressure(power, clock=lambda: machine.now).look().saves_power is saves


@pytest.mark.parametrize(("power", "others", "saves"), [("auto", 3, True), ("auto", 1, False), ("full", 3, False)])
def test_on_a_busy_machine(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, power: str, others: float, saves: bool
) -> None:
    """While others need most of the cores, nothing is computed that nobody has asked for yet."""
    monkeypatch.setattr("fimble.engine.pressure.cores", lambda: 4)
    pressure = Pressure(power, clock=lambda: machine.now)
    pressure.begin()
    machine.passes(2, others=others)
    assert pressure.look().saves_power is saves


def test_the_real_machine_can_be_looked_at() -> None:
    """psutil has what is asked of it on this system."""
    now = [0.0]
    pressure = Pressure(clock=lambda: now[0])
    pressure.begin()
    now[0] = 10.0
    assert 0 <= pressure.look().busy_cores <= (psutil.cpu_count() or 1) * 10
