"""Who decides which model is started, and is told what becomes of it."""

from __future__ import annotations

from typing import Protocol

from fimble.engine.launch import Launcher
from fimble.errors import ModelError


class ModelWatch(Protocol):
    """Chooses the model before each start of an engine, and hears what became of it (models/fallback.py)."""

    async def choose(self) -> Launcher:
        """What to start now.  Raises ModelError if there is nothing."""

    async def crashed(self, launcher: Launcher, pid: int, *, is_loading: bool) -> None:
        """The engine *pid* went away."""

    async def refused(self, launcher: Launcher, failure: ModelError) -> None:
        """An engine says that the model of *launcher* cannot be used."""

    async def works(self, launcher: Launcher) -> None:
        """An engine has loaded the model of *launcher*."""
