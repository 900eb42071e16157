"""What a window does when its model cannot be used: it goes on with the last one that worked."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from fimble import memory
from fimble.engine.launch import Launcher, is_out_of_memory
from fimble.engine.wire import EngineSettings
from fimble.errors import ModelCrashes, ModelError, ModelNotFound, ModelTooLarge
from fimble.models import history
from fimble.models.choice import Choice, choose
from fimble.models.history import Aside, Worked

_log = logging.getLogger("fimble.models")


class Fallback:
    """Chooses the model of one window, and judges it by what its engine does (`engine.client.ModelWatch`).

    *setting* is what the settings say, *settings_of* what the engine for a model's file is told.  *tell* shows a
    sentence to the person; it hears each time that another model than the settings' is chosen, in the same words.
    Belongs to one event loop.
    """

    def __init__(
        self, setting: str, settings_of: Callable[[Path], EngineSettings], tell: Callable[[str], None]
    ) -> None:
        self.choice: Choice | None = None
        """What is used; None until something was chosen."""
        self._setting = setting
        self._settings_of = settings_of
        self._tell = tell
        # What this window has put aside; True: the others know.
        self._aside: dict[str, tuple[Aside, bool]] = {}
        self._launcher: Launcher | None = None
        self._crashed: set[int] = set()
        self._kills = memory.oom_kills()

    async def choose(self) -> Launcher:
        """What to start an engine with now.  Raises ModelError if there is nothing at all."""
        choice = await asyncio.to_thread(self._choose)
        before = self.choice
        if self._launcher is None or before is None or (before.path, before.digest) != (choice.path, choice.digest):
            self._launcher = self._launcher_of(choice)
            self._crashed = set()
        self.choice = choice
        if choice.sentence:
            self._tell(choice.sentence)
        return self._launcher

    async def crashed(self, launcher: Launcher, pid: int, *, is_loading: bool) -> None:
        """The engine *pid* went away; if it crashed, and not for the first time, its model is put aside."""
        await asyncio.to_thread(self._judge, launcher, pid, is_loading)

    async def refused(self, launcher: Launcher, failure: ModelError) -> None:
        """An engine says that the model of *launcher* cannot be used."""
        await asyncio.to_thread(self._put_aside, launcher, failure)

    async def works(self, launcher: Launcher) -> None:
        """An engine has loaded the model of *launcher*: it is one to go back to."""
        await asyncio.to_thread(self._note_worked, launcher)

    def _choose(self) -> Choice:
        self._forget_mended()
        self._kills = memory.oom_kills()
        return choose(self._setting, {digest: entry for digest, (entry, _) in self._aside.items()})

    def _launcher_of(self, choice: Choice) -> Launcher:
        try:
            return Launcher(self._settings_of(choice.path))
        except OSError as failure:
            raise ModelNotFound(f"The model cannot be read: {failure}.", "Check `model` in your settings.") from None

    def _forget_mended(self) -> None:
        """Try again what somebody has cleared (`fimble models use`), or whose file was written anew."""
        kept = {one.digest for one in history.load().aside}
        for digest, (entry, is_shared) in list(self._aside.items()):
            if (is_shared and digest not in kept) or history.was_written_anew(entry):
                del self._aside[digest]

    def _judge(self, launcher: Launcher, pid: int, is_loading: bool) -> None:
        name = Path(launcher.settings.model_path).name
        if not self._may_put_aside(launcher) or not launcher.has_crashed(pid):
            return
        status = launcher.exit_status() if pid == launcher.child_pid else None
        kills = memory.oom_kills() - self._kills
        if sys.platform == "linux" and status == -signal.SIGKILL and not kills:
            return  # somebody killed it: no process does that to itself, and Linux counts those that it kills
        self._crashed.add(pid)
        count = max(history.note_crash(launcher.settings.model_digest, pid), len(self._crashed))
        said = launcher.last_words()
        if is_out_of_memory(status, said, kills):
            if is_loading or count >= history.CRASHES:
                self._put_aside(launcher, ModelTooLarge(f"Memory ran out for {name}.", "Choose a smaller model."))
        elif count >= history.CRASHES:
            when = "while it was loaded" if is_loading else "while it answered"
            because = f" ({said})" if said else ""
            message = f"{name} is put aside: the engine ended {count} times, the last time {when}{because}."
            self._put_aside(launcher, ModelCrashes(message, "Choose another model."))

    def _may_put_aside(self, launcher: Launcher) -> bool:
        """Whether it is the model in use, and not the bundled one: without that, nothing would be left."""
        return launcher is self._launcher and self.choice is not None and not self.choice.is_bundled

    def _put_aside(self, launcher: Launcher, failure: ModelError) -> None:
        choice = self.choice
        if choice is None or not self._may_put_aside(launcher) or isinstance(failure, ModelNotFound):
            return  # a missing one is looked for anew each time
        failure.fix = f"{failure.fix} `fimble models use {choice.setting}` tries it again.".strip()
        _log.warning("%s is put aside: %s", choice.path, failure.message)
        entry = Aside.of(choice.setting, choice.path, choice.digest, failure)
        self._aside[choice.digest] = (entry, history.set_aside(entry))

    def _note_worked(self, launcher: Launcher) -> None:
        choice, known = self.choice, history.load().worked
        if choice is None or launcher is not self._launcher or (known and known[-1].digest == choice.digest):
            return
        measured = next((one for one in known if one.digest == choice.digest), None)
        history.note_worked(measured or Worked(setting=choice.setting, path=str(choice.path), digest=choice.digest))
