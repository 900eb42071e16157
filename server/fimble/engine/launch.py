"""Finding the engine that fits, and starting one where there is none."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from fimble import background, catalog, paths
from fimble.digests import quick_digest as quick_digest
from fimble.engine import endpoint
from fimble.engine.endpoint import Endpoint, settings_key
from fimble.engine.wire import EngineSettings, Probe
from fimble.errors import MODEL_ERRORS, ModelCorrupt, ModelError, ModelNotFound
from fimble.settings import EngineConfig

#: Rounds an OpenMP thread spins at a barrier before it sleeps.  The default spins on, and a laptop that is busy
#: with something else then writes a hundred times slower; 0 halves the speed of a quiet one (server/ARCHITECTURE.md).
_SPIN_COUNT = "10000"


def settings_for(model_path: Path, config: EngineConfig) -> EngineSettings:
    """What the engine for this model and these settings is told.  Reads the model's ends for its digest.

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
    def is_starting(self) -> bool:
        """Whether an engine that was started from here is alive."""
        return self._child is not None and self._child.poll() is None

    def log_tail(self) -> str:
        """The last line that the engine logged, for messages."""
        try:
            text = (paths.log_dir() / f"engine-{self.key}.log").read_text("utf-8", "replace")
        except OSError:
            return ""
        return text.strip().rpartition("\n")[2]


def probe(model_path: Path, timeout_s: float = 120.0) -> Probe:
    """Try a model in a process of its own.

    Raises the ModelError that describes what is wrong with it.
    """
    command = (sys.executable, "-m", "fimble.engine.probe", str(model_path))
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False, env=environment())
        found = msgspec.json.decode(done.stdout, type=Probe)
    except subprocess.TimeoutExpired:
        raise ModelCorrupt(
            f"{model_path} did not load within {timeout_s:.0f} seconds.", "Choose a smaller model."
        ) from None
    except (ValueError, msgspec.DecodeError):
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise ModelCorrupt(
            f"llama.cpp ended on {model_path} (status {done.returncode}): {said}", "Choose another model."
        ) from None
    if found.error:
        raise MODEL_ERRORS.get(found.error.type, ModelError)(found.error.message, found.error.fix)
    return found


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
    # Looked at again and again: no system tells of the end of a process that is not one's child.  Not psutil's wait():
    # it waits for zombies too, and an engine whose window is gone is one until init looks.
    deadline = time.monotonic() + timeout_s
    while is_alive(found) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(found)
