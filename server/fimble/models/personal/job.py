"""The process that learns a repository: ``python -m fimble.models.personal.job JOB_JSON``.

It reads the files, holds some out, trains an adapter on the others, and asks llama.cpp about held-out lines with and
without it.  Only if that is surely better, the adapter is kept and used in this repository.  How far it is stands in
the job's state file.  However it ends, nothing but that file and a kept adapter is left.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from types import FrameType

import filelock
import msgspec
import psutil

from fimble import paths
from fimble.core import Snippet
from fimble.digests import quick_digest
from fimble.engine.llama import LoraAdapter, Model
from fimble.engine.pressure import Pressure
from fimble.engine.tuning import SMALL_MODEL_PARAMS, cores
from fimble.engine.wire import ErrorBody
from fimble.errors import ConfigError, FimbleError
from fimble.index.crash import describe
from fimble.models import adapters
from fimble.models.personal import corpus, export, measure, parity, training
from fimble.models.personal.network import Network
from fimble.models.personal.prompts import Place, Prompts, lines_to_complete
from fimble.models.personal.surroundings import snippets_of
from fimble.models.personalising import Job, Measured, Result, State, write_state

#: What training takes: PyTorch and the rows, and so much for each parameter of the model (measured: 45 M takes
#: 2.5 GB, 0.5 B 13 GB).
_MEMORY_BYTES, _MEMORY_BYTES_PER_PARAMETER = 1_500_000_000, 25

#: How often the state is written.
_TELL_EVERY_S = 0.5

_FOLDER = ".making"

_log = logging.getLogger("fimble.personal")


class _Cancelled(BaseException):
    """The user wants no more of it."""


def main(argv: list[str]) -> int:
    """Do the job; the exit status is 0 when it came to an end, whatever that was."""
    job = msgspec.json.decode(argv[0], type=Job)
    signal.signal(signal.SIGTERM, _cancel)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    teller = Teller(job)
    try:
        with _alone() as folder:
            teller.over("done", result=Learning(job, teller, folder).run())
    except _Cancelled:
        teller.over("cancelled")
    except FimbleError as failure:
        teller.over("failed", error=ErrorBody(code=1, message=failure.message, type="", fix=failure.fix))
    except Exception as failure:
        # Neither its words nor its frames' lines are repeated: source code may stand in them.
        _log.error("learning failed: %s", describe(failure))
        message = f"Learning failed ({type(failure).__name__})."
        body = ErrorBody(code=1, message=message, type="", fix=f"{paths.log_dir() / 'personalise.log'} says where.")
        teller.over("failed", error=body)
        return 1
    return 0


def _cancel(_signal: int, _frame: FrameType | None) -> None:
    raise _Cancelled


@contextlib.contextmanager
def _alone() -> Iterator[Path]:
    """A folder for what is being made, and nobody else who makes anything.  Raises ConfigError."""
    paths.make_private_dir(paths.data_dir())
    paths.make_private_dir(adapters.folder())
    folder = adapters.folder() / _FOLDER
    try:
        with filelock.FileLock(paths.data_dir() / "personalising.lock", timeout=0):
            shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
            paths.make_private_dir(folder)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except filelock.Timeout:
        raise ConfigError("Another repository is being learned.", "Wait until that is done, or stop it.") from None


class Teller:
    """Writes down how far the job is."""

    def __init__(self, job: Job) -> None:
        self._file = Path(job.state_file)
        self._state = State(workspace=job.index.root, pid=os.getpid(), stage="reading")
        self._told_at = 0.0

    def tell(self, stage: str, share: float, seconds_left: float = 0.0) -> None:
        """Say it, if it was not said just now."""
        if stage == self._state.stage and time.monotonic() - self._told_at < _TELL_EVERY_S:
            return
        self._write(
            msgspec.structs.replace(self._state, stage=stage, share=round(share, 4), seconds_left=round(seconds_left))
        )

    def over(self, stage: str, error: ErrorBody | None = None, result: Result | None = None) -> None:
        """Say how it ended."""
        self._write(msgspec.structs.replace(self._state, stage=stage, share=1.0, error=error, result=result))

    def _write(self, state: State) -> None:
        self._state, self._told_at = state, time.monotonic()
        with contextlib.suppress(OSError):  # a full disk: the end is what counts
            write_state(self._file, state)


class Learning:
    """The steps, one after the other."""

    def __init__(self, job: Job, teller: Teller, folder: Path) -> None:
        self._job, self._teller, self._folder = job, teller, folder
        self._root = Path(job.index.root)

    def run(self) -> Result:
        """All of it.  Raises FimbleError."""
        job = self._job
        files = corpus.read(job.index)
        split = corpus.split(files, job.seed)
        model = Model(Path(job.model_path))
        _check_memory(model)
        n_ctx = min(job.context_tokens, model.n_ctx_train or job.context_tokens)
        prompts = Prompts(model, self._root.name, n_ctx)
        places = lines_to_complete(split.held_out, job.lines, job.seed)
        snippets = snippets_of(places, job.index, n_ctx, lambda share: self._teller.tell("reading", share))
        network = Network(model.path)
        parity.check(network, model, split.learned[0].text)
        pressure = Pressure("full")
        pressure.begin()
        trained = training.train(
            network,
            prompts,
            split,
            seed=job.seed,
            minutes=job.minutes,
            epochs=job.epochs,
            # A thread that has to share its core holds up all others.
            threads=lambda: pressure.look().threads(cores(), cores()),
            on_step=lambda step: self._teller.tell("training", step.share, step.seconds_left),
        )
        made = self._folder / "adapter.gguf"
        export.write(made, trained.tensors, network.shape.architecture, training.RANK, f"for {self._root.name}")
        measured = self._measure(model, prompts, n_ctx, places, snippets, made)
        return Result(
            measured=measured,
            adapter=self._keep(made, measured) if measured.helps else "",
            files=len(files),
            held_out_files=len(split.held_out),
            epochs=len(trained.losses) - 1,
            tokens=trained.tokens,
            seconds=round(trained.seconds, 1),
            seed=job.seed,
        )

    def _measure(
        self,
        model: Model,
        prompts: Prompts,
        n_ctx: int,
        places: Sequence[Place],
        snippets: Sequence[Sequence[Snippet]],
        adapter: Path,
    ) -> Measured:
        # Both before either context: llama.cpp plans a context's memory with the adapters that there are.
        lora = LoraAdapter(model, adapter)
        threads = 1 if model.n_params < SMALL_MODEL_PARAMS else cores()
        bare, adapted = (measure.Reader(model, prompts, n_ctx, threads, one) for one in (None, lora))
        before, after = [], []
        for number, (place, pieces) in enumerate(zip(places, snippets, strict=True)):
            self._teller.tell("measuring", number / len(places))
            before.append(bare.read(place, pieces))
            after.append(adapted.read(place, pieces))
        return measure.compare(before, after, self._job.seed)

    def _keep(self, made: Path, measured: Measured) -> str:
        """Let the adapter take its place, and the repository use it.  Returns its name."""
        slug = re.sub(r"[^a-z0-9]+", "-", self._root.name.lower()).strip("-") or "repository"
        name = f"{slug}-{Path(self._job.state_file).stem[:6]}"
        target = adapters.folder() / f"{name}.gguf"
        made.chmod(0o600)
        made.replace(target)
        note = (
            f"learned from {self._root.name} on {date.today().isoformat()}; {measured.lines} held-out lines: "
            f"bits per byte {measured.bits_before.value:.2f} -> {measured.bits_after.value:.2f}, "
            f"exact {measured.exact_before.value:.1f} -> {measured.exact_after.value:.1f} %"
        )
        digest = quick_digest(target)
        known = adapters.Known(
            name=name, path=str(target), digest=digest, model_digest=self._job.model_digest, note=note
        )
        adapters.keep(known, self._root)
        return name


def _check_memory(model: Model) -> None:
    needed = _MEMORY_BYTES + model.n_params * _MEMORY_BYTES_PER_PARAMETER
    free = psutil.virtual_memory().available
    if needed > free:
        raise ConfigError(
            f"Training {model.path.name} takes about {needed / 1e9:.0f} GB of memory; {free / 1e9:.0f} GB are free.",
            "Close other programs, or learn with a smaller model: the bundled one takes 3 GB.",
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
