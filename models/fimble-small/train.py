"""Train a model: one script for a laptop's CPU and for a lent GPU.

It stops to the minute and goes on where it stopped.  The learning rate follows the share of the whole run that has
passed (`--total-minutes`, over all calls; or `--total-steps`, which makes a run repeatable bit by bit on a CPU):

    python train.py --store S --held-out H --run R --preset cpu --minutes 60 --total-minutes 360
    python train.py ... the same line again: it continues from R/checkpoint

`--smoke` runs the whole pipeline on this repository's own sources, from tokenizer to a completion, in minutes.
"""

from __future__ import annotations

import time

_STARTED = time.monotonic()

import argparse  # noqa: E402  (the clock starts before PyTorch is loaded: a lease counts that too)
import contextlib  # noqa: E402
import dataclasses  # noqa: E402
import json  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402

import checkpoint  # noqa: E402
from curves import draw_curves  # noqa: E402
from feed import Feed, Position  # noqa: E402
from heldout import HeldOut  # noqa: E402
from model import NO_LOSS, PRESETS, Decoder, Shape  # noqa: E402
from optimiser import Optimiser, Rates  # noqa: E402
from progress import Line  # noqa: E402
from samples import Recipe  # noqa: E402
from store import Flags, Tokens  # noqa: E402

#: An optimiser that begins (a run by the clock, whose start may take longer than its warm-up; a portable checkpoint,
#: which has none) raises its learning rates over this many steps.
_RISING_STEPS = 50


class Run:
    """A model, its optimiser, its place in the data, and the time it has used."""

    def __init__(self, args: argparse.Namespace, shape: Shape, device: torch.device, began: float) -> None:
        torch.manual_seed(args.seed)
        self.args = args
        self.began = began
        self.half = half_precision(device, args.precision)
        self.model = Decoder(shape).to(device)
        if self.half and device.type == "cuda":
            self.model.stream = torch.bfloat16
        self.optimiser = Optimiser(self.model, Rates(muon=args.muon_rate, adam=args.adam_rate, decay=args.decay))
        self.position = Position()
        self.step = self.tokens = 0
        self.seconds_before = 0.0
        self.began_at: int | None = None if args.total_steps else 0

    def seconds(self) -> float:
        """Of this call and the calls before it."""
        return self.seconds_before + time.monotonic() - self.began

    def progress(self) -> float:
        """The share of the whole run that has passed."""
        if self.args.total_steps:
            return self.step / self.args.total_steps
        return self.seconds() / (60 * self.args.total_minutes - self.args.reserve)

    def over(self) -> bool:
        """Whether this call has to end."""
        if self.args.total_steps:
            return self.step >= min(self.args.steps or self.args.total_steps, self.args.total_steps)
        return self.progress() >= 1 or time.monotonic() - self.began > 60 * self.args.minutes - self.args.reserve

    def factor(self) -> float:
        """The learning rates' factor at this step."""
        factor = self.optimiser.rates.factor(self.progress())
        if self.began_at is not None:
            factor *= min(1.0, (self.step - self.began_at + 1) / _RISING_STEPS)
        return factor

    def save(self, folder: Path, form: str) -> int:
        """Write a checkpoint; return its bytes."""
        tensors = {checkpoint.WEIGHTS + name: weight for name, weight in self.model.named_parameters()}
        tensors |= {f"optimiser.{name}": value for name, value in self.optimiser.state().items()}
        state = {
            "shape": self.model.shape.as_dict(), "seed": self.args.seed, "rows": self.args.rows, "step": self.step,
            "tokens": self.tokens, "seconds": self.seconds(), "optimiser_steps": self.optimiser.steps,
            "chunk": self.position.chunk, "row": self.position.row,
        }  # fmt: skip
        return checkpoint.save(folder, tensors, state, form)

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint.  One without an optimiser starts that afresh, gently."""
        tensors, state = checkpoint.load(folder)
        if Shape(**state["shape"]) != self.model.shape:
            raise SystemExit(f"{folder} holds a model of another shape: {state['shape']}")
        self.model.load_state_dict(checkpoint.weights(tensors))
        optimiser = {name.removeprefix("optimiser."): value for name, value in tensors.items()}
        if optimiser.keys() >= self.optimiser.state().keys():
            self.optimiser.load(optimiser, state["optimiser_steps"])
            self.began_at = None
        else:
            self.began_at = state["step"]
        self.step, self.tokens, self.seconds_before = state["step"], state["tokens"], state["seconds"]
        self.position = Position(state["chunk"], state["row"])


def half_precision(device: torch.device, wanted: str) -> bool:
    """Whether to multiply in bf16: on every GPU, and on a CPU that does so by itself (there it doubles the speed)."""
    if wanted != "auto":
        return wanted == "bf16"
    able = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cuda" or bool(able())


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Inputs and targets [rows, context]: each token is to be followed by the next, where that carries loss."""

    inputs: torch.Tensor
    targets: torch.Tensor
    count: int
    """How many targets carry loss; counted before they leave, as asking a GPU would wait for all it has to do."""

    @classmethod
    def on(cls, device: torch.device, tokens: Tokens, flags: Flags) -> Batch:
        """The batch of what a Feed yields."""
        whole = tokens.astype(np.int64)
        parts = whole[:, :-1].copy(), np.where(flags[:, 1:], whole[:, 1:], NO_LOSS)
        tensors = [torch.from_numpy(part) for part in parts]
        if device.type == "cuda":  # from pinned memory, or the copy waits for the GPU
            tensors = [tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors]
        return cls(*tensors, count=max(int(flags[:, 1:].sum()), 1))


class Gradients:
    """Works out gradients, `--micro-rows` rows at a time, on one CPU thread each where there are several.

    Threads that take the next rows as they come free share the cores better than PyTorch's own threads, which wait
    for one another at every product: beside other work those fell to a tenth (TRAINING.md).  What the threads found
    is added up in the order of the rows, so their number changes no bit.
    """

    def __init__(self, run: Run, loss_sum: Any) -> None:
        self._run = run
        self._loss_sum = loss_sum
        self._weights = list(run.model.parameters())
        self._map: Any = map
        if run.args.threads > 1:
            self._map = ThreadPoolExecutor(run.args.threads, "gradients", torch.set_num_threads, (1,)).map

    def work_out(self, batch: Batch) -> torch.Tensor:
        """Leave the batch's gradients in the weights; returns the mean loss in nats per target, a scalar."""
        total = torch.zeros((), device=batch.inputs.device)
        size = self._run.args.micro_rows
        parts = batch.inputs.split(size), batch.targets.split(size)
        for loss, found in self._map(partial(self._some, batch.count), *parts):
            total += loss
            for weight, gradient in zip(self._weights, found, strict=True):
                weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)
        return total

    def _some(
        self, count: int, inputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The loss of some rows, as a share of a batch with *count* targets, and its gradients."""
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self._run.half):
            loss = self._loss_sum(inputs, targets) / count
        return loss.detach(), torch.autograd.grad(loss, self._weights)


def train_step(run: Run, gradients: Gradients, batch: Batch) -> torch.Tensor:
    """One step over a batch; returns the mean loss in nats per target, a scalar."""
    loss = gradients.work_out(batch)
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    run.optimiser.step(run.factor())
    run.step += 1
    run.tokens += batch.inputs.numel()
    return loss


class Journal:
    """log.jsonl, the curves, the checkpoints: what a run leaves behind."""

    def __init__(self, run: Run, held_out: HeldOut | None) -> None:
        self._run = run
        self._held_out = held_out
        self._log = run.args.run / "log.jsonl"
        self._looked = self._saved = time.monotonic()

    def write(self, **row: Any) -> None:
        """Add a line to the log."""
        head = {"step": self._run.step, "tokens": self._run.tokens, "seconds": round(self._run.seconds(), 1)}
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(head | row) + "\n")

    def look(self) -> str:
        """Score the held-out middles."""
        self._looked = time.monotonic()
        if self._held_out is None:
            return ""
        score = self._held_out.score(self._run.model)
        self.write(held_out_bits=round(score.bits_per_byte, 4), held_out_exact=round(score.exact, 4))
        return f"step {self._run.step}: held out {score.bits_per_byte:.3f} bits/byte, {score.exact:.1%} exact"

    def save(self) -> str:
        """Write the checkpoints and the curves."""
        args = self._run.args
        size = self._run.save(args.run / "checkpoint", "exact")
        said = f"saved {size / 2**20:.1f} MiB in {args.run / 'checkpoint'}"
        if args.portable:
            size = self._run.save(args.portable / "checkpoint", "portable")
            shutil.copyfile(self._log, args.portable / "log.jsonl")
            said += f", {size / 2**20:.1f} MiB in {args.portable}"
        with contextlib.suppress(ImportError):
            draw_curves([self._log], (args.portable or args.run) / "curves.png")
        self._saved = time.monotonic()
        return said

    def due(self) -> Iterator[str]:
        """Look and save when it is time to."""
        now = time.monotonic()
        if now - self._looked > 60 * self._run.args.look_every:
            yield self.look()
        if now - self._saved > 60 * self._run.args.save_every:
            yield self.save()


def train(args: argparse.Namespace, began: float) -> Run:
    """The whole of one call, whose minutes count from *began* (time.monotonic())."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)  # see Gradients
    torch.set_float32_matmul_precision("high")
    args.run.mkdir(parents=True, exist_ok=True)
    vocabulary = json.loads((args.store / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    shape = PRESETS[args.preset]
    if len(vocabulary) > shape.vocabulary:
        shape = dataclasses.replace(shape, vocabulary=-(-len(vocabulary) // 256) * 256)
    if args.context:
        shape = dataclasses.replace(shape, context=args.context)
    run = Run(args, shape, device, began)
    own = args.run / "checkpoint"
    if own.exists() or own.with_name("checkpoint.old").exists():
        run.load(own)
    elif args.resume:
        run.load(args.resume)
    loss_sum = torch.compile(run.model.loss_sum, dynamic=False) if device.type == "cuda" else run.model.loss_sum
    held_out = HeldOut(args.held_out, args.held_out_samples, shape.context) if args.held_out else None
    journal, line = Journal(run, held_out), Line()
    line.note(f"{run.model.size() / 1e6:.2f} M parameters on {device}, from step {run.step}")
    feed = Feed(args.store, Recipe(), shape.context, args.seed, args.workers)
    try:
        _loop(run, Gradients(run, loss_sum), feed, journal, line)
    finally:
        feed.close()
    line.note(journal.look())
    line.note(journal.save())
    return run


def _loop(run: Run, gradients: Gradients, feed: Feed, journal: Journal, line: Line) -> None:
    """Step after step until the call is over or someone asks to stop (SIGINT, SIGTERM: it saves first)."""
    asked: list[int] = []
    before = {number: signal.signal(number, lambda got, _: asked.append(got)) for number in (2, 15)}
    device = run.model.embedding.weight.device
    since, tokens = time.monotonic(), run.tokens
    losses: list[torch.Tensor] = []
    for tokens_of_rows, flags, position in feed.batches(run.args.rows, run.position):
        if run.over() or asked:
            break
        losses.append(train_step(run, gradients, Batch.on(device, tokens_of_rows, flags)))
        run.position = position
        if len(losses) < run.args.log_every:
            continue
        loss = float(torch.stack(losses).mean())  # here a GPU is waited for
        losses.clear()
        rate = (run.tokens - tokens) / (time.monotonic() - since)
        journal.write(loss=round(loss, 4), rate=round(rate))
        line.show(run.progress(), f"step {run.step}  {run.tokens / 1e6:.2f} M tokens  loss {loss:.3f}  {rate:,.0f}/s")
        for said in journal.due():
            line.note(said)
    for number, handler in before.items():
        signal.signal(number, handler)


def arguments(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_argument_group("what to train on, and where to keep it")
    what.add_argument("--smoke", action="store_true", help="run the whole pipeline on a tiny corpus, and nothing else")
    what.add_argument("--store", type=Path, help="training tokens, made by `store.py build`")
    what.add_argument("--held-out", type=Path, help="tokens of projects to look at but never train on")
    what.add_argument("--run", type=Path, default=Path("run"), help="folder for checkpoint and log (default: run)")
    what.add_argument("--preset", choices=PRESETS, default="cpu", help="the model's shape (default: cpu; see model.py)")
    what.add_argument("--resume", type=Path, help="begin from this checkpoint, if --run has none of its own yet")
    what.add_argument("--portable", type=Path, help="also write what may travel here: pieces of 16 MiB, log, curves")
    when = parser.add_argument_group("how long")
    when.add_argument("--minutes", type=float, default=10.0, help="this call, from its start (default: 10)")
    when.add_argument("--total-minutes", type=float, help="all calls together; the decay is planned by it")
    when.add_argument("--reserve", type=float, default=20.0, help="seconds kept for the last save (default: 20)")
    when.add_argument("--total-steps", type=int, help="instead of minutes: a run that repeats bit by bit on a CPU")
    when.add_argument("--steps", type=int, help="with --total-steps: end this call at that step")
    when.add_argument("--look-every", type=float, default=2.0, help="minutes between held-out looks (default: 2)")
    when.add_argument("--save-every", type=float, default=5.0, help="minutes between checkpoints (default: 5)")
    how = parser.add_argument_group("how")
    how.add_argument("--rows", type=int, default=16, help="sequences per step (default: 16)")
    how.add_argument("--micro-rows", type=int, default=8, help="sequences at a time, by memory (default: 8)")
    how.add_argument("--context", type=int, help="tokens per sequence (default: the preset's)")
    how.add_argument("--workers", type=int, default=1, help="processes that prepare batches; 0: none (default: 1)")
    how.add_argument("--precision", choices=("auto", "bf16", "f32"), default="auto", help="of products (default: auto)")
    how.add_argument("--threads", type=int, default=1, help="that work on gradients; 1 on a GPU (default: 1)")
    how.add_argument("--seed", type=int, default=0)
    how.add_argument("--muon-rate", type=float, default=Rates().muon)
    how.add_argument("--adam-rate", type=float, default=Rates().adam)
    how.add_argument("--decay", type=float, default=Rates().decay, help="share of the run at its end (default: 0.3)")
    how.add_argument(
        "--log-every", type=int, default=1, metavar="STEPS", help="log the mean loss of so many steps (default: 1)"
    )
    how.add_argument("--held-out-samples", type=int, default=64, help="middles per look (default: 64)")
    args = parser.parse_args(words)
    if not args.smoke and args.store is None:
        parser.error("--store is needed (or --smoke)")
    args.total_minutes = args.total_minutes or args.minutes
    return args


def main() -> int:
    """Train, or run the smoke test."""
    args = arguments(sys.argv[1:])
    if args.smoke:
        import smoke

        return smoke.main(args.run if args.run != Path("run") else None)
    train(args, _STARTED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
