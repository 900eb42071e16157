"""`fimble personalise`: what it learns from, computes and measures, and that it changes nothing otherwise."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from waiting import until

from fimble import catalog, config, paths
from fimble.engine import launch
from fimble.engine.llama import Context, LoraAdapter, Model
from fimble.errors import ConfigError
from fimble.index.launch import settings_for
from fimble.models import adapters, personalising
from fimble.models.personal import corpus, export, job, measure, parity, prompts, training
from fimble.models.personal.network import HeadLoss, Network
from fimble.settings import Config, EngineConfig
from random_model import Shape, write_random_model

pytestmark = pytest.mark.timeout(300)

BUNDLED = catalog.resolve("")
SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"

#: What every file of the project does once, each time in the same way: no prompt has room for all of it.
HABITS = {
    "post": ("settle_against", "escalate_to_operator", "current_clerk", "rounded_to_cents"),
    "void": ("reverse_out_of", "park_for_review", "shift_supervisor", "negated"),
    "hold": ("freeze_within", "notify_treasury", "duty_officer", "as_reserved"),
    "free": ("thaw_from", "ring_the_auditor", "night_manager", "as_available"),
    "split": ("partition_over", "retry_tomorrow", "floor_manager", "spread_evenly"),
    "merge": ("fold_into", "abort_the_batch", "branch_director", "summed_up"),
    "audit": ("trace_through", "seal_the_ledger", "chief_inspector", "with_evidence"),
    "quote": ("price_under", "widen_the_margin", "desk_trader", "in_minor_units"),
    "defer": ("carry_beyond", "charge_late_fee", "credit_officer", "accrued_daily"),
    "remit": ("wire_across", "swap_the_carrier", "payments_lead", "net_of_fees"),
}

#: Of the prompts: the bundled model is the real one, and reads as much in a quarter of the time.
CONTEXT_TOKENS = 512


@pytest.fixture
def repository(home: Path) -> Iterator[Path]:
    """A small project with habits of its own, and things in it that are nobody's business."""
    folder = home / "ledger"
    (folder / ".git").mkdir(parents=True)
    (folder / "ledger").mkdir()
    dice = random.Random(3)
    nouns = [f"{a}{b}" for a in ("invoice", "refund", "payout", "charge") for b in ("", "_line", "_batch", "_total")]
    for number, noun in enumerate(nouns):
        lines = ["from ledger import kernel", "from ledger.kernel import Amount", ""]
        for verb, (call, fallback, clerk, result) in dice.sample(list(HABITS.items()), len(HABITS)):
            lines += [
                f"def {verb}_{noun}(journal, amount: Amount) -> Amount:",
                f'    """{verb.title()} one {noun} in the journal."""',
                f"    settled = kernel.{call}(journal, amount, on_failure=kernel.{fallback})",
                f"    journal.append_entry({noun!r}, settled, approved_by=journal.{clerk}())",
                f"    return settled.{result}()",
                "",
            ]
        (folder / "ledger" / f"{noun}_{number}.py").write_text("\n".join(lines))
    (folder / "ledger" / "access.py").write_text(f'TOKEN = "{SECRET}"\n\n\ndef token():\n    return TOKEN\n')
    (folder / ".gitignore").write_text("build/\n")
    (folder / "build").mkdir()
    (folder / "build" / "made.py").write_text("ignored = True\n" * 200)
    (folder / ".fimbleignore").write_text("private.py\n")
    (folder / "private.py").write_text("private = True\n" * 200)
    (folder / ".env").write_text("PASSWORD=hunter2hunter2\n")
    # Its name is one of Python's own modules: whoever imports it from here has run what a repository brought along.
    (folder / "copy.py").write_bytes((folder / "ledger" / "invoice_0.py").read_bytes())
    yield folder
    state = personalising.read_state(personalising.state_of(folder))
    if state and not state.is_over:
        personalising.stop(state)


def read(folder: Path) -> list[corpus.File]:
    return corpus.read(settings_for(folder, Config()))


def test_what_is_learned_from(repository: Path) -> None:
    """Source code that git has, each text once; no ignored or excluded file, and no line with a secret."""
    files = read(repository)
    names = {file.path for file in files}
    assert "ledger/access.py" in names
    assert not names & {"build/made.py", "private.py", ".env"}
    assert len(names & {"copy.py", "ledger/invoice_0.py"}) == 1
    assert SECRET not in "".join(file.text for file in files)
    assert "return TOKEN" in "".join(file.text for file in files)


def test_whole_files_are_held_out(repository: Path) -> None:
    """The same for the same seed, others for another; nothing is on both sides."""
    files = read(repository)
    one, again, other = corpus.split(files, 1), corpus.split(files, 1), corpus.split(files, 2)
    assert one == again != other
    for drawn in (one, other):
        parts = [{file.path for file in part} for part in (drawn.learned, drawn.watched, drawn.held_out)]
        assert all(parts)
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(files)
    assert sum(len(file.text) for file in one.held_out) > 0.1 * sum(len(file.text) for file in files)


def test_too_little_is_refused(repository: Path) -> None:
    """Three files teach nothing, and holding some of them out would show nothing."""
    with pytest.raises(ConfigError, match="too little"):
        corpus.split(read(repository)[:3], 1)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(BUNDLED)


def test_pytorch_computes_what_llama_cpp_computes(model: Model, tmp_path: Path) -> None:
    """For both architectures, quantised weights included; a network that does not is refused."""
    text = Path(corpus.__file__).read_text("utf-8")
    assert parity.divergence(Network(BUNDLED), model, model.vocab.tokenize(text)[:100]) < 0.003
    qwen = tmp_path / "qwen2.gguf"
    write_random_model(BUNDLED, qwen, Shape("qwen2", layers=2, width=256, feed_forward=512, heads=4, context=512))
    made = Model(qwen)
    assert parity.divergence(Network(qwen), made, made.vocab.tokenize(text)[:100]) < 0.003
    wrong = Network(BUNDLED)
    wrong._weights["blk.2.attn_k.weight"] = -wrong._weights["blk.2.attn_k.weight"]
    with pytest.raises(ConfigError, match="do not agree"):
        parity.check(wrong, model, text)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    """By its name, with the way out."""
    path = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(path, "starcoder2")
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ConfigError, match="starcoder2") as caught:
        Network(path)
    assert "fimble adapters add" in caught.value.fix


def test_the_loss_is_pytorchs_own() -> None:
    """Loss and gradient, worked out some tokens at a time, are those of PyTorch's cross-entropy."""
    torch.manual_seed(1)
    hidden, head = torch.randn(600, 32, requires_grad=True), torch.randn(500, 32)
    targets = torch.randint(0, 500, (600,))
    ours, plain = (
        HeadLoss.apply(hidden, head, targets),
        functional.cross_entropy(hidden @ head.T, targets, reduction="sum"),
    )
    assert float(ours.detach()) == pytest.approx(float(plain.detach()), rel=1e-5)
    (left,), (right,) = torch.autograd.grad(ours, hidden), torch.autograd.grad(plain, hidden)
    assert (left - right).norm() <= 1e-4 * right.norm()


def test_llama_cpp_adds_what_was_trained(model: Model, tmp_path: Path) -> None:
    """With the exported file it computes what PyTorch does with the matrices, and not what it does without."""
    network = Network(BUNDLED)
    generator = torch.Generator().manual_seed(1)
    network.add_lora(training.RANK, generator)
    for _, up in network.lora.values():
        with torch.no_grad():
            up.normal_(0, 0.1, generator=generator)
    path = tmp_path / "a.gguf"
    export.write(path, network.trained, "llama", training.RANK, "test")
    tokens = model.vocab.tokenize(Path(corpus.__file__).read_text("utf-8"))[:100]
    fresh = Model(BUNDLED)
    adapter = LoraAdapter(fresh, path)
    context = Context(fresh, n_ctx=256, n_seq=1, n_batch=128, threads=1, threads_batch=1)
    found = {}
    for name, used in (("bare", None), ("adapted", adapter)):
        context.use_adapter(used)
        context.clear(0)
        context.decode(tokens, 0, 0)
        found[name] = context.logits().copy()
    with torch.no_grad():
        ours = network.logits(torch.tensor([tokens]))[0, -1].numpy()
    effect = np.abs(found["bare"] - found["adapted"]).max()
    assert effect > 2.0
    assert np.abs(ours - found["adapted"]).max() < 0.2 * effect


def test_samples_are_the_engines_prompts(repository: Path, model: Model) -> None:
    """Every sample is a prompt as the engine evaluates it with its answer; loss is on the file's own text alone."""
    files = read(repository)
    rendered = prompts.Prompts(model, "ledger", 512)
    samples = rendered.epoch(files, 0, random.Random(1))
    assert len(samples) > 20
    fim = model.fim
    for sample in samples:
        assert len(sample.tokens) == len(sample.learned) <= 512
        middle = sample.tokens.index(fim.middle)
        assert all(sample.learned[middle + 1 :])
        control = {fim.prefix, fim.suffix, fim.middle, fim.repo, fim.file}
        assert not any(flag for token, flag in zip(sample.tokens, sample.learned, strict=True) if token in control)
        assert not any(sample.learned[: sample.tokens.index(fim.prefix)])
    place = prompts.lines_to_complete(files, 1, 1)[0]
    made = rendered.sample(place, (), 0)
    assert made is not None
    tokens, healing = rendered.ask(place)
    assert made.tokens[: len(tokens)] == tokens
    text = b"".join(model.vocab.piece(token) for token in made.tokens[len(tokens) : -1])
    assert text == healing.rest + place.truth.encode()


def make_job(repository: Path, **changed: Any) -> personalising.Job:
    options = {"seed": 1, "minutes": 5.0, "epochs": 1, "lines": 40} | changed
    return personalising.job_for(repository, Config(engine=EngineConfig(context_tokens=CONTEXT_TOKENS)), **options)


def test_what_does_not_help_changes_nothing(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter that adds nothing gains exactly nothing, so it is not kept, and the repository uses none."""

    def untrained(network: Network, *_: Any, **__: Any) -> training.Trained:
        network.add_lora(training.RANK, torch.Generator().manual_seed(1))
        return training.Trained(network.trained, (1.0, 1.0), 1, 1.0)

    monkeypatch.setattr(training, "train", untrained)
    todo = make_job(repository, lines=20)
    folder = adapters.folder() / "making"
    folder.mkdir(parents=True)
    result = job.Learning(todo, job.Teller(todo), folder).run()
    assert result.measured.bits_saved.value == 0
    assert result.measured.bits_before == result.measured.bits_after
    assert not result.measured.helps
    assert result.adapter == ""
    assert adapters.listing() == []
    assert adapters.for_engine(repository, BUNDLED) is None


def test_intervals_are_paired() -> None:
    """A gain that every line has is sure, though lines differ much; one that half of them has is not."""
    dice = random.Random(1)
    before = [measure.Score(dice.uniform(5, 200), 20, False) for _ in range(100)]
    better = [measure.Score(score.bits - 4, 20, False) for score in before]
    mixed = [measure.Score(score.bits + 40 * (-1) ** n, 20, False) for n, score in enumerate(before)]
    assert measure.compare(before, better, 1).bits_saved.low > 0.19
    assert measure.compare(before, better, 1).helps
    assert not measure.compare(before, mixed, 1).helps
    fewer = [measure.Score(score.bits - 4, 20, False) for score in before]
    exact = [measure.Score(score.bits, 20, n < 30) for n, score in enumerate(before)]
    assert not measure.compare(exact, fewer, 1).helps  # cheaper, but surely less often right


def test_too_little_time_is_said(repository: Path) -> None:
    """With the minutes that one reading takes, before they are spent."""
    todo = make_job(repository, minutes=0.001)
    folder = adapters.folder() / "making"
    folder.mkdir(parents=True)
    with pytest.raises(ConfigError, match="minutes") as caught:
        job.Learning(todo, job.Teller(todo), folder).run()
    assert "--minutes" in caught.value.fix


def fimble(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "fimble", *args]
    environ = {**os.environ, "FIMBLE_ENGINE_CONTEXT_TOKENS": str(CONTEXT_TOKENS)}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=cwd, env=environ)


def test_a_repository_is_learned(repository: Path) -> None:
    """From the command line to an engine that uses it: better on held-out lines, and kept only for this repository."""
    done = fimble("personalise", "--json", "--epochs", "2", "--lines", "40", cwd=repository)
    assert done.returncode == 0, done.stdout + done.stderr
    state = json.loads(done.stdout)
    assert state["stage"] == "done"
    measured = state["result"]["measured"]
    assert measured["bits_saved"]["low"] > 0.1
    assert measured["exact_after"]["value"] > measured["exact_before"]["value"]
    name = state["result"]["adapter"]
    (known,) = adapters.listing()
    assert (known.name, adapters.chosen(repository)) == (name, name)
    assert Path(known.path).stat().st_mode & 0o077 == 0
    assert adapters.for_engine(repository, BUNDLED) is not None
    assert adapters.for_engine(repository.parent, BUNDLED) is None
    assert [path.name for path in adapters.folder().iterdir()] == [f"{name}.gguf"]
    told = fimble("personalise", "--status", cwd=repository)
    assert "It helps" in told.stdout
    new = repository / "ledger" / "new.py"
    new.write_text("def post_tip(journal, amount):\n    settled = kernel.settle_against(journal, \n")
    asked = fimble("complete", f"{new}:2:46", "--json", cwd=repository)
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["suggestions"]
    (engine,) = launch.running_engines(paths.runtime_dir())
    assert known.path in engine.command[-2]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_is_ended_leaves_nothing(repository: Path, how: str) -> None:
    """Asked to, it ends at once; killed, it has failed, and the next one takes away what it left."""
    assert fimble("personalise", "--background", "--epochs", "50", "--json", cwd=repository).returncode == 0
    file = personalising.state_of(repository)
    state = until(
        lambda: (found := personalising.read_state(file)) and found.stage != "reading" and found, "reading", 120
    )
    assert state.stage == "training", state
    again = fimble("personalise", "--status", cwd=repository)
    assert "Learning" in again.stdout
    if how == "stop":
        assert "nothing has changed" in fimble("personalise", "--stop", cwd=repository).stdout
        assert [path.name for path in adapters.folder().iterdir()] == []
    else:
        import psutil

        process = psutil.Process(state.pid)
        process.send_signal(signal.SIGKILL)
        psutil.wait_procs([process], timeout=10)
        failed = fimble("personalise", "--status", cwd=repository)
        assert failed.returncode == 1
        assert "ended from outside" in failed.stderr
        with job._alone() as folder:
            assert list(folder.iterdir()) == []
    assert adapters.listing() == []
    assert adapters.for_engine(repository, BUNDLED) is None


def test_without_pytorch_it_says_what_to_install(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the command for this very Python."""
    monkeypatch.setattr(personalising.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match="torch") as caught:
        make_job(repository)
    assert f"{sys.executable} -m pip install torch gguf" in caught.value.fix


def test_the_privacy_settings_count(repository: Path) -> None:
    """What `privacy.exclude` keeps out of prompts is not learned, either."""
    (repository / ".fimble.toml").write_text('[privacy]\nexclude = ["ledger/refund*"]\n')
    todo = personalising.job_for(
        repository, config.load(project=repository).config, seed=1, minutes=1.0, epochs=1, lines=20
    )
    names = [file.path for file in corpus.read(todo.index)]
    assert names
    assert not [name for name in names if "refund" in name]
    assert paths.state_dir() in Path(todo.state_file).parents
