"""Finding the engine that fits, and starting one where there is none."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil

from fimble import background, catalog, memory, paths
from fimble.builds import OTHER_PROCESSOR, build_command, is_illegal_instruction
from fimble.digests import quick_digest as quick_digest
from fimble.engine import endpoint
from fimble.engine.endpoint import Endpoint, settings_key
from fimble.engine.failures import NO_MEMORY, as_error
from fimble.engine.wire import Adapter, EngineSettings, Probe, Trial
from fimble.errors import EngineCrashed, ModelCrashes, ModelError, ModelNotFound, ModelTooLarge
from fimble.settings import EngineConfig

#: Rounds an OpenMP thread spins at a barrier before it sleeps.  The default spins on, and a laptop that is busy
#: with something else then writes a hundred times slower; 0 halves the speed of a quiet one (server/ARCHITECTURE.md).
_SPIN_COUNT = "10000"

#: How often an engine that is told to end is looked at.
_LOOK_EVERY_S = 0.02

#: Half of it for reading the file, half for computing with it: a slow disk, a slow processor.
_SLOW_BYTES_PER_S = 20e6

#: How lines of the engine's own log begin.
_LOGGED = re.compile(r"\d{4}-\d\d-\d\d ")

#: How processes are asked to go: by a terminal, by Ctrl-C, by everybody else.
_POLITE_SIGNALS = {1, 2, 15}

#: Beyond it are Windows' codes for what ended a process (NTSTATUS).
_LARGEST_EXIT_STATUS = 255

Tried = TypeVar("Tried", Probe, Trial)


def settings_for(model_path: Path, config: EngineConfig, adapter: Adapter | None = None) -> EngineSettings:
    """What the engine for this model, these settings and *adapter* is told.  Reads the model's ends for its digest.

    Raises OSError if the model cannot be read, ModelNotFound if its path cannot be written down.
    """
    try:
        str(model_path).encode("utf-8")
    except UnicodeEncodeError:
        raise ModelNotFound(f"The path {str(model_path)!r} is not UTF-8.", "Rename the file or its folder.") from None
    return EngineSettings(
        model_path=str(model_path),
        model_digest=quick_digest(model_path),
        model_sha256=catalog.sha256_of(model_path),
        context_tokens=config.context_tokens,
        threads=config.threads,
        idle_minutes=float(config.idle_minutes),
        transport=config.transport,
        cache_mb=config.cache_mb,
        power=config.power,
        flash_attention=config.flash_attention,
        kv_type=config.kv_type,
        mmap=config.mmap,
        mlock=config.mlock,
        gpu_layers=config.gpu_layers,
        adapter=adapter,
    )


def environment() -> dict[str, str]:
    """What a process with llama.cpp in it is started with; the user's own choices stand."""
    # Told to, llama.cpp attaches a debugger to itself before it aborts; its assertion is all that we want to hear.
    return {"GOMP_SPINCOUNT": _SPIN_COUNT, "GGML_NO_BACKTRACE": "1", **os.environ}


class Launcher:
    """Starts the engine of one set of settings and knows where it listens."""

    def __init__(self, settings: EngineSettings, folder: Path | None = None) -> None:
        self.settings = settings
        self.folder = folder or paths.runtime_dir()
        self.key = settings_key(settings)
        self._child: subprocess.Popen[bytes] | None = None

    def endpoint(self) -> Endpoint | None:
        """Where the engine said it listens; it may be gone since."""
        return endpoint.read(self.folder, self.key)

    def command(self) -> Sequence[str]:
        """The engine's command line."""
        settings = msgspec.json.encode(self.settings).decode()
        return (sys.executable, "-m", "fimble.engine.server", settings, str(self.folder))

    def spawn(self) -> None:
        """Start an engine that outlives this process.  It ends at once if another one is there already."""
        self._child = background.start(self.command(), f"engine-{self.key}.log", self.folder, environment())

    def exit_status(self) -> int | None:
        """How the engine that was started from here ended; None while it runs or if there was none."""
        return self._child.poll() if self._child else None

    @property
    def child_pid(self) -> int:
        """The number of the process that was started last from here; 0 if there was none."""
        return self._child.pid if self._child else 0

    def has_crashed(self, pid: int, timeout_s: float = 1.0) -> bool:
        """Whether the engine *pid* ended without taking leave: it did not remove its address.  Blocks, for a moment.

        One that was started from here is judged by its exit status: a signal that nobody sends to stop it.
        """
        if pid == self.child_pid and self._child:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._child.wait(timeout_s)
                if is_illegal_instruction(status):
                    return False  # no model's fault: llama.cpp was built for another processor
                return (status < 0 and -status not in _POLITE_SIGNALS) or status > _LARGEST_EXIT_STATUS
            return False
        left = self.endpoint()
        return left is not None and left.pid == pid and _has_ended(left, timeout_s)

    @property
    def is_starting(self) -> bool:
        """Whether an engine that was started from here is alive."""
        return self._child is not None and self._child.poll() is None

    def last_words(self) -> str:
        """Why the engine ended: what its end says by itself, or llama.cpp or Python; empty where it only logged."""
        if is_illegal_instruction(self.exit_status()):
            return OTHER_PROCESSOR
        said = ""
        with contextlib.suppress(OSError):
            text = (paths.log_dir() / f"engine-{self.key}.log").read_text("utf-8", "replace")
            said = text.strip().rpartition("\n")[2]
        return "" if _LOGGED.match(said) else said


def probe(model_path: Path, timeout_s: float = 120.0) -> Probe:
    """Try a model in a process of its own.

    Raises the ModelError that describes what is wrong with it, EngineCrashed if llama.cpp cannot run here at all.
    """
    return _try("probe", str(model_path), model_path, timeout_s, Probe)


def use_on_trial(settings: EngineSettings, timeout_s: float = 0.0) -> Trial:
    """Use a model on a few built-in prompts, in a process of its own (engine/canary.py).

    *timeout_s* 0: a minute, and a second for each 20 MB.  Raises the ModelError that describes what is wrong with it.
    """
    path = Path(settings.model_path)
    with contextlib.suppress(OSError):
        timeout_s = timeout_s or 60.0 + path.stat().st_size / _SLOW_BYTES_PER_S
    return _try("canary", msgspec.json.encode(settings).decode(), path, timeout_s or 60.0, Trial)


def _try(module: str, argument: str, model_path: Path, timeout_s: float, kind: type[Tried]) -> Tried:
    # -P: the folder in which this is started, perhaps a stranger's project, has no say in what is imported.
    command = (sys.executable, "-P", "-m", f"fimble.engine.{module}", argument)
    kills = memory.oom_kills()
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False, env=environment())
        found = msgspec.json.decode(done.stdout, type=kind)
    except subprocess.TimeoutExpired:
        raise ModelTooLarge(
            f"{model_path} was not ready within {timeout_s:.0f} seconds.", "Choose a smaller model."
        ) from None
    except (ValueError, msgspec.DecodeError):
        if is_illegal_instruction(done.returncode):
            raise EngineCrashed(f"{OTHER_PROCESSOR}.", f"Build it here: {build_command('cpu')}") from None
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        if is_out_of_memory(done.returncode, said, memory.oom_kills() - kills):
            raise ModelTooLarge(
                f"Memory ran out for {model_path} (status {done.returncode}).", "Choose a smaller model."
            ) from None
        raise ModelCrashes(
            f"llama.cpp ended on {model_path} (status {done.returncode}): {said}", "Choose another model."
        ) from None
    if found.error:
        raise as_error(found.error, ModelError)
    return found


def is_out_of_memory(status: int | None, said: str, oom_kills: int) -> bool:
    """Whether a process that ended with *status* (None: unknown) and the last words *said* ended for want of memory.

    *oom_kills* is how many processes Linux killed for that meanwhile.
    """
    was_killed = status in (None, -9) and oom_kills > 0  # -9: subprocess's way to say SIGKILL
    return was_killed or any(words in said.lower() for words in NO_MEMORY)


def running_engines(folder: Path) -> list[Endpoint]:
    """The engines that are alive now."""
    return [found for found in endpoint.read_all(folder) if is_alive(found)]


def is_alive(found: Endpoint) -> bool:
    """Whether the process that wrote *found* still runs (and is not another one with a recycled number).

    No clock is asked: it may have been set since.
    """
    try:
        process = psutil.Process(found.pid)
        return process.cmdline() == found.command and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def stop(found: Endpoint, timeout_s: float = 5.0) -> bool:
    """End an engine, gently first; True if it is gone.  Blocks: for the command line and tests."""
    with contextlib.suppress(psutil.NoSuchProcess):
        try:
            process = psutil.Process(found.pid)
            process.terminate()
            if not _has_ended(found, timeout_s):
                process.kill()
        except psutil.AccessDenied:
            return False
    return _has_ended(found, timeout_s)


def _has_ended(found: Endpoint, timeout_s: float) -> bool:
    # Looked for, not psutil's wait(): Linux and macOS tell it of the end, but then it waits until the zombie is buried,
    # and an engine whose window is gone is one until init looks, in containers for ever.
    deadline = time.monotonic() + timeout_s
    while is_alive(found) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
    return not is_alive(found)
