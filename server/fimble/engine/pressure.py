"""What else this machine is doing: an engine that shares it politely is faster, too.

Threads of a decode wait for one another at every operation, so one that has to share its core holds up all.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from fimble.engine.tuning import cores
from fimble.engine.wire import Load

#: The load is worked out anew after so many seconds of computing.
_LOOK_EVERY_S = 0.5


class Pressure:
    """Measures what others do *while this process computes*: what they do in its pauses costs it nothing.

    *power* ``auto`` saves on battery and while others keep more than half of the cores busy, ``full`` never,
    ``saving`` always.
    """

    def __init__(self, power: str = "auto", clock: Callable[[], float] = time.monotonic) -> None:
        self._power = power
        self._clock = clock
        self._process = psutil.Process()
        self._since: tuple[float, float] | None = None
        self._computed_s = self._others_s = 0.0
        self._load = Load(saves_power=self._saves())

    def begin(self) -> None:
        """There is something to compute from now on, if there was not already."""
        self._since = self._since or (self._clock(), self._others_seconds())

    def end(self) -> None:
        """Until somebody asks for something there is nothing to compute."""
        if self._since:
            began, others = self._since
            self._computed_s += self._clock() - began
            self._others_s += max(self._others_seconds() - others, 0.0)
            self._since = None

    def look(self) -> Load:
        """The load of the last half second of computing, or more."""
        passed = self._computed_s + (self._clock() - self._since[0] if self._since else 0.0)
        if passed >= _LOOK_EVERY_S:
            is_computing = self._since is not None
            self.end()
            busy = self._others_s / self._computed_s
            self._load = Load(busy_cores=busy, saves_power=self._saves(busy))
            self._computed_s = self._others_s = 0.0
            if is_computing:
                self.begin()
        return self._load

    def _others_seconds(self) -> float:
        """Seconds of CPU that other processes have used since the machine started, those at low priority left out."""
        all_times = psutil.cpu_times()
        own = self._process.cpu_times()
        return float(all_times.user + all_times.system - own.user - own.system)

    def _saves(self, busy_cores: float = 0.0) -> bool:
        if self._power != "auto":
            return self._power == "saving"
        if busy_cores > cores() / 2:
            return True
        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
        return battery is not None and battery.power_plugged is False
