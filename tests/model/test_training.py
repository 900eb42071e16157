"""The training pipeline: samples are what the engine prompts, runs repeat, and llama.cpp computes what PyTorch does."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

import checkpoint
import smoke
import train
import verify
from feed import Feed, Packer, Position
from fimble.engine.llama import Model
from fimble.engine.prompt import render_infill
from fimble.engine.wire import ExtraFile, InfillRequest
from model import NO_LOSS, PRESETS, Decoder, attend
from optimiser import Rates
from samples import Frame, Recipe, Sample, Sampler
from store import Store

pytestmark = pytest.mark.timeout(600)

#: What a cut could stumble over: blank lines, spaces at line ends, tabs, letters of several bytes, no last newline.
_AWKWARD = (
    "x = 1\n\n\n    \n\ty = '<|fim_middle|>'  \n\n  # Grüße, 世界 🎉\n"
    "\u00a0z = 3\n\t\t\n)\n\n\n}\n  ;\n'''\n\n  a\n'''\nend"
)


@pytest.fixture(scope="module")
def smoked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole pipeline has run."""
    folder = tmp_path_factory.mktemp("smoke")
    smoke.run(folder)
    return folder


@pytest.fixture(scope="module")
def sampler(smoked: Path) -> Sampler:
    """Middles only, cut as the product cuts."""
    return Sampler(Store(smoked / "store"), Recipe(middles=1.0, anchored=0.7))


def _some_samples(sampler: Sampler, count: int) -> list[tuple[bytes, Sample]]:
    """Samples with room for everything, and the text that each was cut from."""
    rng = np.random.default_rng(7)
    store = sampler.store
    made = []
    while len(made) < count:
        number = int(rng.integers(len(store.files)))
        text = store.text(store.files[number])
        lines = store.safe_lines(text)
        if not len(lines):
            continue
        start = int(lines[int(rng.integers(len(lines)))])
        stop = int(lines[int(np.searchsorted(lines, start + 400, side="right")) - 1])
        if stop == start:
            continue
        frame = list(Frame)[len(made) % 3]
        sample = sampler.sample(number, text[start:stop], False, 1500, frame, rng)
        # One that snippets have filled up is shortened by what its cut line takes more than the whole one.
        if sample.answer_text and len(sample.tokens) < 1500:
            made.append((store.decode(text[start:stop]), sample))
    return made


def _segments(sampler: Sampler, sample: Sample) -> dict[str, bytes | list[bytes]]:
    """A sample's prompt taken apart at its control tokens: the text of each segment."""
    control, decode = sampler.control, sampler.store.decode
    found: dict[str, bytes | list[bytes]] = {"files": []}
    names = {control.prefix: "prefix", control.suffix: "suffix", control.middle: "typed", control.repo: "repo"}
    prompt = sample.tokens[: sample.answer]
    marks = [i for i, token in enumerate(prompt) if token in names or token == control.file]
    for start, stop in zip(marks, [*marks[1:], len(prompt)], strict=True):
        text = decode(np.array(prompt[start + 1 : stop], dtype=np.int64))
        if prompt[start] == control.file:
            found["files"].append(text)  # type: ignore[union-attr]
        else:
            found[names[prompt[start]]] = text
    return found


def _request(segments: dict[str, bytes | list[bytes]]) -> InfillRequest:
    """The same prompt as a window would ask for it."""
    text = {name: part.decode() for name, part in segments.items() if isinstance(part, bytes)}
    *snippets, header = [part.decode() for part in segments["files"]] or [""]  # type: ignore[union-attr]
    extras = [ExtraFile(*snippet.removesuffix("\n").split("\n", 1)) for snippet in snippets]
    return InfillRequest(
        input_prefix=text["prefix"], input_suffix=text["suffix"], prompt=text.get("typed", ""), input_extra=extras,
        filename=header.removesuffix("\n"), repo_name=text.get("repo", "").removesuffix("\n"),
    )  # fmt: skip


def test_samples_are_what_the_engine_prompts(smoked: Path, sampler: Sampler) -> None:
    """The engine, given a sample's texts, renders the very tokens that training used."""
    model = Model(smoked / "smoke-q8_0.gguf")
    with_snippets = anchored = 0
    for _, sample in _some_samples(sampler, 90):
        request = _request(_segments(sampler, sample))
        rendered = render_infill(request, model.vocab, model.fim, 16_384)
        assert list(rendered.tokens) == sample.tokens[: sample.answer]
        with_snippets += bool(request.input_extra)
        anchored += bool(request.prompt)
    assert with_snippets > 10
    assert anchored > 30


def test_samples_lose_no_text(sampler: Sampler) -> None:
    """Prefix, typed, answer and suffix together are the text that was cut; the answer ends with the end token."""
    for text, sample in _some_samples(sampler, 90):
        parts = _segments(sampler, sample)
        assert parts["prefix"] + parts["typed"] + sample.answer_text + parts["suffix"] == text  # type: ignore[operator]
        assert sample.tokens[-1] == sampler.control.end
        assert all(sample.loss[sample.answer :])


def test_half_words_carry_no_loss(sampler: Sampler) -> None:
    """Where a cut goes through a token, what stands before the cut is no target; natural tokens are."""
    cut_through = 0
    for _, sample in _some_samples(sampler, 90):
        middle = sample.tokens.index(sampler.control.middle)
        typed, loss = sample.tokens[middle + 1 : sample.answer], sample.loss[middle + 1 : sample.answer]
        text = sampler.store.decode(np.array(typed, dtype=np.int64)) + sample.answer_text
        natural = sampler.store.encode(text)[: len(typed)]
        differs = next((i for i, (a, b) in enumerate(zip(typed, natural, strict=False)) if a != b), len(natural))
        assert loss == [i < differs for i in range(len(typed))]
        cut_through += differs < len(typed)
    assert cut_through > 3


def test_text_may_be_cut_at_safe_lines(sampler: Sampler) -> None:
    """Tokens of both sides of a safe line start are the tokens of the whole."""
    store = sampler.store
    texts = [_AWKWARD.encode(), *(store.decode(store.text(file)) for file in store.files[::5])]
    checked = 0
    for text in texts:
        tokens = np.array(store.encode(text))
        for line in store.safe_lines(tokens)[:: 7 if len(text) > 500 else 1]:
            left, right = store.decode(tokens[:line]), store.decode(tokens[line:])
            assert left == b"" or left.endswith(b"\n")
            assert [*store.encode(left), *store.encode(right)] == tokens.tolist()
            checked += 1
    assert checked > 100


def test_chunks_repeat_and_epochs_differ(sampler: Sampler) -> None:
    """The same chunk is the same whoever makes it; an epoch later its cuts are new; little is padded."""
    first, again = (Packer(sampler.store, Recipe(), 1024, seed=3) for _ in range(2))
    tokens, flags = first.rows(1)
    for got, wanted in zip(again.rows(1), (tokens, flags), strict=True):
        assert np.array_equal(got, wanted)
    later = first.rows(1 + first.chunks)[0]
    assert later.shape != tokens.shape or not np.array_equal(later, tokens)
    assert (tokens == sampler.control.pad).mean() < 0.05


@pytest.mark.parametrize("context", [64, 100, 300])
def test_every_sample_fits_its_row(sampler: Sampler, context: int) -> None:
    """Rows are full and never over-full, even where a row is hardly longer than a line."""
    packer = Packer(sampler.store, Recipe(), context, seed=1)
    for chunk in range(packer.chunks):
        tokens, flags = packer.rows(chunk)
        assert tokens.shape == flags.shape
        assert (tokens[:, 0] != sampler.control.pad).all()


def test_feed_goes_on_where_it_stopped(smoked: Path) -> None:
    """Batches from a position are those that would have followed; worker processes change nothing."""
    feed = Feed(smoked / "store", Recipe(), 128, 5, workers=0)
    stream = feed.batches(48, Position())
    batches = [next(stream) for _ in range(9)]
    workers = Feed(smoked / "store", Recipe(), 128, 5, workers=2)
    try:
        resumed = workers.batches(48, batches[3][2])
        for wanted, got in zip(batches[4:], resumed, strict=False):
            assert np.array_equal(wanted[0], got[0])
            assert np.array_equal(wanted[1], got[1])
            assert wanted[2] == got[2]
    finally:
        workers.close()


def _train(smoked: Path, run: Path, steps: int, threads: int = 1) -> dict[str, torch.Tensor]:
    words = ["--store", str(smoked / "store"), "--run", str(run), "--preset", "smoke", "--context", "96"]
    words += ["--rows", "4", "--micro-rows", "1", "--threads", str(threads), "--workers", "0"]
    words += ["--total-steps", "6", "--steps", str(steps)]
    done = train.train(train.arguments(words), time.monotonic())
    return {name: weight.detach().clone() for name, weight in done.model.named_parameters()}


def test_a_resumed_run_is_the_uninterrupted_run(smoked: Path, tmp_path: Path) -> None:
    """Bit by bit, in weights, on the CPU."""
    whole = _train(smoked, tmp_path / "whole", 6)
    _train(smoked, tmp_path / "halves", 3)
    halves = _train(smoked, tmp_path / "halves", 6)
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_threads_change_no_bit(smoked: Path, tmp_path: Path) -> None:
    """Rows are added up in their order, whoever was first to finish."""
    one, four = (_train(smoked, tmp_path / str(threads), 6, threads) for threads in (1, 4))
    assert all(torch.equal(one[name], four[name]) for name in one)


def test_the_loss_is_pytorchs_own() -> None:
    """Loss and gradients, worked out some tokens at a time, are those of PyTorch's cross-entropy; so is attention."""
    torch.manual_seed(1)
    model = Decoder(dataclasses.replace(PRESETS["smoke"], context=700))
    tokens, targets = torch.randint(0, 512, (2, 2, 700))
    targets[torch.rand(2, 700) < 0.25] = NO_LOSS
    loss = model.loss_sum(tokens, targets)
    logits = model(tokens).flatten(0, 1)
    plain = functional.cross_entropy(logits, targets.flatten(), ignore_index=NO_LOSS, reduction="sum")
    assert float(loss.detach()) == pytest.approx(float(plain.detach()), rel=1e-5)
    weights = list(model.parameters())
    for ours, theirs in zip(torch.autograd.grad(loss, weights), torch.autograd.grad(plain, weights), strict=True):
        assert (ours - theirs).norm() <= 1e-4 * theirs.norm()
    q, k, v = torch.randn(3, 2, 4, 700, 32)
    expected = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert (attend(q, k, v) - expected).abs().max() < 1e-5


def test_a_batch_without_targets_is_no_loss() -> None:
    """Rows of nothing but snippets and padding have no targets: loss zero, gradients zero, no error."""
    model = Decoder(PRESETS["smoke"])
    loss = model.loss_sum(torch.zeros(1, 8, dtype=torch.long), torch.full((1, 8), NO_LOSS))
    assert float(loss.detach()) == 0.0
    assert all(not found.any() for found in torch.autograd.grad(loss, list(model.parameters())))


def test_a_portable_checkpoint_fits_what_travels(tmp_path: Path) -> None:
    """45 M parameters: at most 6 files, 16 MiB each, 60 MiB together; what comes back is nearly what went in."""
    model = Decoder(PRESETS["gpu"])
    tensors = {checkpoint.WEIGHTS + name: weight.detach() for name, weight in model.named_parameters()}
    tensors["optimiser.momentum"] = torch.zeros(PRESETS["gpu"].width, 4096)
    checkpoint.save(tmp_path / "portable", tensors, {"step": 1}, "portable")
    sizes = [path.stat().st_size for path in (tmp_path / "portable").iterdir()]
    assert len(sizes) <= 6
    assert max(sizes) <= 16 * 2**20
    assert sum(sizes) <= 60 * 2**20
    back = checkpoint.weights(checkpoint.load(tmp_path / "portable")[0])
    for name, weight in model.named_parameters():
        assert (back[name] - weight).norm() <= 0.006 * weight.norm()


def test_a_lost_piece_is_noticed(tmp_path: Path) -> None:
    """A checkpoint with a piece missing says so."""
    checkpoint.save(tmp_path / "c", {"model.w": torch.ones(8, 32)}, {}, "exact")
    (tmp_path / "c" / "piece-00.bin").unlink()
    with pytest.raises(ValueError, match="a piece is missing"):
        checkpoint.load(tmp_path / "c")


def test_rates_warm_up_hold_and_decay() -> None:
    """The factor rises, stays at one, and falls to nothing at the end of the whole run."""
    rates = Rates(warm_up=0.1, decay=0.25)
    assert rates.factor(0.0) < 0.1
    assert rates.factor(0.2) == rates.factor(0.7) == 1.0
    assert rates.factor(0.875) == pytest.approx(0.5)
    assert rates.factor(1.0) == 0.0


def test_llama_cpp_computes_the_same(smoked: Path) -> None:
    """PyTorch against the exported F32 file, and the quantised file against that."""
    tokens = verify.some_tokens(Store(smoked / "held-out"), 160)
    full = verify.llama_logits(smoked / "smoke-f32.gguf", tokens)
    parity = verify.compare(verify.torch_logits(smoked / "run" / "checkpoint", tokens), full)
    assert parity.largest < 1e-4
    assert parity.top1 == 1.0
    assert verify.compare(full, verify.llama_logits(smoked / "smoke-q8_0.gguf", tokens)).divergence < 1e-3


def test_the_engine_loads_the_export(smoked: Path) -> None:
    """Fimble's own engine finds the fill-in-the-middle tokens."""
    assert verify.probe(smoked / "smoke-q5_k_m.gguf")["fim_tokens"] == [1, 2, 3]
