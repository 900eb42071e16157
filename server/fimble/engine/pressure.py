"""What else this machine is doing: an engine that shares it politely is faster, too.

Threads of a decode wait for one another at every operation, so one that has to share its core holds up all.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from fimble.engine.wire import Load

#: The machine is looked at again after this many seconds, when there is something to compute.
_LOOK_EVERY_S = 2.0


class Pressure:
    """Looks at the machine every few seconds, when asked.

    *power* ``auto`` saves on battery, ``full`` never, ``saving`` always.
    """

    def __init__(self, power: str = "auto", clock: Callable[[], float] = time.monotonic) -> None:
        self._power = power
        self._clock = clock
        self._process = psutil.Process()
        self._at, self._others = clock(), self._others_seconds()
        self._load = Load(saves_power=self._saves())

    def look(self) -> Load:
        """The load since the last look, which is at least two seconds ago."""
        now = self._clock()
        passed = now - self._at
        if passed >= _LOOK_EVERY_S:
            others = self._others_seconds()
            busy = max(others - self._others, 0.0) / passed
            self._load = Load(busy_cores=busy, saves_power=self._saves())
            self._at, self._others = now, others
        return self._load

    def _others_seconds(self) -> float:
        """Seconds of CPU that other processes have used since the machine started, those at low priority left out."""
        all_times = psutil.cpu_times()
        own = self._process.cpu_times()
        return float(all_times.user + all_times.system - own.user - own.system)

    def _saves(self) -> bool:
        if self._power != "auto":
            return self._power == "saving"
        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
        return battery is not None and battery.power_plugged is False
