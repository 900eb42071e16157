"""`fimble personalise` as its caller sees it: a process that learns, measures and says how far it is.

The process is ``fimble.models.personal.job``; it alone loads PyTorch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from pathlib import Path

import msgspec
import psutil

from fimble import background, catalog, paths
from fimble.digests import quick_digest
from fimble.engine.launch import environment
from fimble.engine.wire import ErrorBody
from fimble.errors import ConfigError
from fimble.index.launch import repository_of
from fimble.index.launch import settings_for as index_settings_for
from fimble.index.wire import IndexSettings
from fimble.settings import Config

_MODULE = "fimble.models.personal.job"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity with its 95 % interval."""

    value: float
    low: float
    high: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Held-out lines with the bare model and with the adapter: bits per byte, and exact answers in percent."""

    lines: int
    bits_before: Figure
    bits_after: Figure
    bits_saved: Figure
    exact_before: Figure
    exact_after: Figure
    exact_added: Figure

    @property
    def helps(self) -> bool:
        """Whether the truth surely costs fewer bits, and exact answers are not surely fewer."""
        return self.bits_saved.low > 0 and self.exact_added.high >= 0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is told."""

    index: IndexSettings
    model_path: str
    model_digest: str
    context_tokens: int
    seed: int
    minutes: float
    """The longest that training may take."""
    epochs: int
    lines: int
    """How many held-out lines are asked."""
    state_file: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    measured: Measured
    adapter: str
    """The name of the adapter that is used from now on; empty if it did not help, and then nothing has changed."""
    files: int
    held_out_files: int
    epochs: int
    tokens: int
    """How many were read in training."""
    seconds: float
    """How long training took."""
    seed: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is; the process writes it into ``Job.state_file``."""

    workspace: str
    pid: int
    stage: str
    """``reading``, ``training``, ``measuring``; at the end ``done``, ``failed`` or ``cancelled``."""
    share: float = 0.0
    """Of this stage, from 0 to 1."""
    seconds_left: float = 0.0
    error: ErrorBody | None = None
    result: Result | None = None

    @property
    def is_over(self) -> bool:
        """Whether the process has nothing more to say."""
        return self.stage in ("done", "failed", "cancelled")


def job_for(folder: Path, config: Config, *, seed: int, minutes: float, epochs: int, lines: int) -> Job:
    """What to do for the repository around *folder*, with the model that *config* names.

    Raises ConfigError if PyTorch is not installed, and what keeps the repository or the model from being read.
    """
    if missing := [name for name in ("torch", "gguf") if importlib.util.find_spec(name) is None]:
        raise ConfigError(
            f"Training needs {' and '.join(missing)}, which Fimble alone does not.",
            f"Install what is missing: {sys.executable} -m pip install torch gguf  (PyTorch for CPUs is enough).",
        )
    index = index_settings_for(folder, config)
    model = catalog.resolve(config.model)
    return Job(
        index=index,
        model_path=str(model),
        model_digest=quick_digest(model),
        context_tokens=config.engine.context_tokens,
        seed=seed,
        minutes=minutes,
        epochs=epochs,
        lines=lines,
        state_file=str(state_file(Path(index.root))),
    )


def state_of(folder: Path) -> Path:
    """Where the state of the repository around *folder* is kept."""
    return state_file(repository_of(folder))


def state_file(root: Path) -> Path:
    """Where the state of the repository at *root* is kept."""
    return paths.state_dir() / "personal" / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}.json"


def read_state(file: Path) -> State | None:
    """How far it is; None if nothing was ever begun.  One that was killed has ``failed``."""
    try:
        state = msgspec.json.decode(file.read_bytes(), type=State)
    except (OSError, ValueError, msgspec.DecodeError):
        return None
    if state.is_over or _is_alive(state):
        return state
    killed = ErrorBody(
        code=1, message="It was ended from outside, or had too little memory.", type="", fix="Try again."
    )
    return msgspec.structs.replace(state, stage="failed", error=killed)


def write_state(file: Path, state: State) -> None:
    """Write *state* in one step, for this user alone."""
    paths.make_private_dir(file.parent)
    part = file.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
        target.write(msgspec.json.encode(state))
    part.replace(file)


def begin(job: Job) -> int:
    """Start the process, which outlives this one; returns its number.  Raises ConfigError if one is at work already."""
    file = Path(job.state_file)
    state = read_state(file)
    if state and not state.is_over:
        raise ConfigError(f"{job.index.root} is being learned already.", "`fimble personalise --status` shows how far.")
    # Not in the project, and with -P: what lies in a repository must not be imported.
    command = (sys.executable, "-P", "-m", _MODULE, msgspec.json.encode(job).decode())
    try:
        paths.make_private_dir(file.parent)
        child = background.start(command, "personalise.log", file.parent, environment())
        write_state(file, State(workspace=job.index.root, pid=child.pid, stage="reading"))
    except OSError as error:
        raise ConfigError(f"Learning cannot be started: {error.strerror}.", "Is the disk full?") from None
    return child.pid


def stop(state: State, timeout_s: float = 10.0) -> bool:
    """End the process; nothing is left of what it did.  True if it is gone."""
    try:
        process = psutil.Process(state.pid)
        if _MODULE in process.cmdline():
            process.terminate()
            process.wait(timeout_s)
    except psutil.NoSuchProcess:
        return True
    except (psutil.TimeoutExpired, psutil.AccessDenied):
        return False
    return True


def _is_alive(state: State) -> bool:
    try:
        process = psutil.Process(state.pid)
        return _MODULE in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
