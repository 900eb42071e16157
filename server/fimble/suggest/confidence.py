"""How likely the user accepts a suggestion: a logistic model per source, which goes on learning here.

The weights that ship are fitted by ``scripts/calibrate.py``.  What was accepted and what was not moves them a little;
they are plain JSON in Fimble's data folder, with the names of `evidence`, and nothing else is kept.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
from importlib import resources
from math import exp
from pathlib import Path

import msgspec

from fimble import paths
from fimble.core import Source
from fimble.suggest.evidence import Evidence

_log = logging.getLogger("fimble.suggest")

#: How far one outcome moves the weights, and how strongly they are drawn back to those that shipped.  The constant
#: follows fast: what one writes today is new, or much like what is there already.
_STEP, _PULL = 0.004, 0.001
_STEP_OF_ONE, _PULL_OF_ONE = 0.06, 0.01

#: No weight moves further than this from where it shipped: an odd day must not silence Fimble for ever.
_MOST = 1.0

#: Weights are written to disk after so many outcomes, and at the end.
_SAVE_EVERY = 50

Weights = dict[str, dict[str, float]]


class Confidence:
    """Belongs to one event loop.  *file* is where this user's weights are kept; None: for as long as this lives."""

    def __init__(self, file: Path | None = None) -> None:
        self._shipped = shipped()
        self._file = file
        self._weights = _read(file, self._shipped) if file else shipped()
        self._unsaved = 0

    def of(self, source: Source, evidence: Evidence) -> float:
        """The probability, from 0 to 1, that a suggestion of *source* is accepted, at least its first word."""
        weights = self._weights[source]
        total = sum(value * weights.get(name, 0.0) for name, value in evidence.items())
        return 1 / (1 + exp(-max(min(total, 30.0), -30.0)))

    def why(self, source: Source, evidence: Evidence) -> list[tuple[str, float]]:
        """What each piece of evidence adds to the logarithm of the odds, the weightiest first."""
        weights = self._weights[source]
        parts = [(name, value * weights.get(name, 0.0)) for name, value in evidence.items()]
        return sorted(parts, key=lambda part: -abs(part[1]))

    def learn(self, source: Source, evidence: Evidence, accepted: bool) -> None:
        """Somebody saw a suggestion with this *evidence* and took it, or did not."""
        error = accepted - self.of(source, evidence)
        weights, home = self._weights[source], self._shipped[source]
        for name, value in evidence.items():
            shipped_weight = home.get(name, 0.0)
            step, pull = (_STEP_OF_ONE, _PULL_OF_ONE) if name == "one" else (_STEP, _PULL)
            moved = weights.get(name, 0.0) + step * error * value
            moved += pull * (shipped_weight - moved)
            weights[name] = max(min(moved, shipped_weight + _MOST), shipped_weight - _MOST)
        self._unsaved += 1
        if self._unsaved >= _SAVE_EVERY:
            # The loop does not wait for a disk.
            threading.Thread(target=self.save, name="confidence").start()

    def save(self) -> None:
        """Write what was learnt; a disk that does not take it costs what was learnt since."""
        if self._file is None or not self._unsaved:
            return
        self._unsaved = 0
        with contextlib.suppress(OSError):
            paths.make_private_dir(self._file.parent)
            part = self._file.with_suffix(f".{os.getpid()}")
            with open(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
                file.write(msgspec.json.format(msgspec.json.encode(self._weights)))
            part.replace(self._file)


@functools.cache
def _shipped_json() -> bytes:
    return resources.files("fimble.suggest").joinpath("confidence.json").read_bytes()


def shipped() -> Weights:
    """The weights that come with Fimble, by source and name of the evidence."""
    return msgspec.json.decode(_shipped_json(), type=Weights)


def _read(file: Path, shipped_weights: Weights) -> Weights:
    """This user's weights, as far as they are there and near those that shipped."""
    found: Weights = {}
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Weights)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, msgspec.DecodeError) as error:
        _log.warning("%s cannot be read (%s); suggestions are judged as on the first day", file, error)
    return {
        source: {
            name: max(min(found.get(source, {}).get(name, weight), weight + _MOST), weight - _MOST)
            for name, weight in weights.items()
        }
        for source, weights in shipped_weights.items()
    }
