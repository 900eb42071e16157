"""Predictions and the choice that is made from them, on machines that are made up."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from fimble import catalog
from fimble.catalog import Entry, Shape
from fimble.engine.slices import Gpu, Slice, Timing
from fimble.errors import EngineCrashed, ModelNotFound
from fimble.models import fitting, speeds
from fimble.models.fitting import Measured, Report, decide, goal_of, note_measured
from fimble.models.machine import Memory, look
from fimble.models.prediction import KEY_MS, TOKEN_MS, cost, cut, memory_use, slice_of
from fimble.models.speeds import Speeds
from fimble.settings import Config, EngineConfig, SuggestConfig

GB = 10**9

SHAPE = Shape(n_layer=20, n_embd=1024, n_ff=4096, n_head=16, n_head_kv=4, head_dim=64, n_vocab=100_000, tied=True)


def entry(name: str, size_mb: float, shape: Shape = SHAPE, file: str = "") -> Entry:
    return Entry(name=name, file=file or f"{name}-q8_0.gguf", licence="MIT", size_mb=size_mb, memory_gb=1, shape=shape)


def timing(token_ms: float, threads: int = 1, **more: float) -> Timing:
    values = {"pair_ms": 1.5 * token_ms, "attention_ms": 0.0, "chunk_ms": 20 * token_ms, **more}
    return Timing(threads=threads, token_ms=token_ms, **values)


def roomy(gb: float = 100, gpus: list[Gpu] | None = None) -> Memory:
    return Memory(total_bytes=200 << 30, available_bytes=int(gb * GB) + (1 << 30), gpus=gpus or [])


def decided(
    keys_ms: Mapping[str, float],
    found: Memory | None = None,
    goal_ms: float = 300.0,
    noted: dict[str, Measured] | None = None,
) -> Report:
    """Models of growing size, each of which takes so long for a token."""
    entries, known = [], Speeds()
    for number, (name, token_ms) in enumerate(keys_ms.items()):
        shape = msgspec.structs.replace(SHAPE, n_ff=SHAPE.n_ff + 256 * number)
        entries.append(entry(name, 300 * (number + 1), shape))
        part = slice_of(entries[-1])
        assert part
        known.timings[speeds.key_of(part)] = [timing(token_ms * part.n_layer / shape.n_layer)]
    return decide(entries, known, found or roomy(), Config(), goal_ms, {"small"}, noted or {})


def by_name(report: Report) -> dict[str, fitting.Fit]:
    return {one.name: one for one in report.fits}


def test_a_slice_is_the_smallest_that_is_large_enough() -> None:
    """It has its share of the vocabulary; a small model is its own slice."""
    part = cut(SHAPE, "Q8_0", 100_000_000)
    smaller = cut(SHAPE, "Q8_0", part.bytes - 1)
    assert part.bytes >= 100_000_000
    assert smaller == part
    assert part.n_vocab == math.ceil(100_000 * part.n_layer / 20)
    assert cut(SHAPE, "Q8_0", 1 << 60).n_layer == 20


def test_what_a_key_takes_is_what_the_explanation_adds_up() -> None:
    """Half of the layers take half of the time; attention grows with the prompt; the engine has its own share."""
    part = msgspec.structs.replace(cut(SHAPE, "Q8_0", 1 << 60), n_layer=10)
    found = cost(part, [timing(4.0, attention_ms=0.05)], 2048)
    token_ms = 2 * 4.0 + 20 * 2 * 0.05
    pair_ms = 2 * 6.0 + 2 * 20 * 2 * 0.05
    assert found.token_ms == pytest.approx(token_ms)
    assert found.keystroke_ms == pytest.approx(KEY_MS + pair_ms + 11 * token_ms + 12 * TOKEN_MS)
    assert found.decode_tokens_s == pytest.approx(1000 / 8.0)
    assert found.prompt_tokens_s == pytest.approx(64 * 1000 / 160.0)
    assert f"= {token_ms:.2f} ms" in found.arithmetic[2]
    assert f"= {found.keystroke_ms:.0f} ms" in found.arithmetic[3]


def test_the_threads_that_write_fastest_are_chosen() -> None:
    """With a long prompt that may be others than with a short one; prompts are read on all."""
    timings = [timing(5.0, 1, attention_ms=0.5, chunk_ms=0.0), timing(5.5, 2, attention_ms=0.1, chunk_ms=90.0)]
    part = cut(SHAPE, "Q8_0", 1 << 60)
    assert (cost(part, timings, 0).threads, cost(part, timings, 2048).threads) == (1, 2)
    assert cost(part, timings, 0).prompt_tokens_s == pytest.approx(64 / 0.090)


def test_memory_is_weights_caches_and_buffers() -> None:
    """A cache at 8 bits takes half; a longer context more."""
    one = memory_use(entry("a", 500), EngineConfig(context_tokens=2048))
    assert one.weights_bytes == 500_000_000
    assert one.kv_bytes % (2048 * SHAPE.kv_bytes_per_token) == 0
    each = one.kv_bytes / memory_use(entry("a", 500), EngineConfig(context_tokens=2048, kv_type="q8_0")).kv_bytes
    assert 1 < each < 2
    assert memory_use(entry("a", 500), EngineConfig(context_tokens=4096)).kv_bytes >= one.kv_bytes


def test_the_largest_that_is_in_time_is_recommended() -> None:
    """Each other one is told why it is not."""
    report = decided({"small": 2.0, "middle": 10.0, "large": 50.0})
    assert report.recommended == "middle"
    found = by_name(report)
    assert found["middle"].why == ""
    assert found["small"].why == "middle is larger, and in time too"
    assert found["large"].why.startswith("a keystroke takes ")
    assert (found["small"].here, found["middle"].here) == (True, False)


def test_what_has_no_room_is_not_recommended() -> None:
    """However fast it is; memory of the GPU counts where there is one."""
    report = decided({"small": 2.0, "large": 3.0}, roomy(0.65))
    assert report.recommended == "small"
    assert "this machine can spare" in by_name(report)["large"].why
    gpu = Gpu(name="card", free_bytes=700_000_000, total_bytes=GB)
    report = decided({"small": 2.0, "large": 3.0}, roomy(100, [gpu]))
    assert report.recommended == "small"
    assert "the GPU has free" in by_name(report)["large"].why


def test_where_nothing_is_in_time_the_first_is_recommended() -> None:
    """The bundled model: better late than nothing, and everybody has it."""
    report = decided({"small": 200.0, "large": 300.0})
    assert report.recommended == "small"
    assert all(one.why for one in report.fits)


def test_what_was_not_measured_says_so() -> None:
    """Also a file whose name does not tell how it is quantised, and a slice that llama.cpp did not survive."""
    strange, lost = entry("strange", 1, file="x.gguf"), entry("lost", 2)
    part = slice_of(lost)
    assert part
    known = Speeds(problems={speeds.key_of(part): "llama.cpp ended while it was measured"})
    report = decide([strange, lost], known, roomy(), Config(), 300.0, set(), {})
    assert "how x.gguf is quantised" in report.fits[0].why
    assert "llama.cpp ended" in report.fits[1].why
    known = Speeds()
    assert decide([lost], known, roomy(), Config(), 300.0, set(), {}).fits[0].why == "it was not measured"


def test_measurements_correct_predictions() -> None:
    """A model that was measured is as fast as it was; the others are corrected by what the measured ones say."""
    plain = by_name(decided({"small": 4.0, "large": 8.0}))
    cost_before = plain["small"].cost
    assert cost_before
    noted = {
        "small-q8_0.gguf": Measured(prompt_tokens_s=100, decode_tokens_s=cost_before.decode_tokens_s / 1.5, unix_s=0)
    }
    found = by_name(decided({"small": 4.0, "large": 8.0}, noted=noted))
    for name in ("small", "large"):
        before, after = plain[name].cost, found[name].cost
        assert before
        assert after
        assert after.decode_tokens_s == pytest.approx(before.decode_tokens_s / 1.5)
    assert found["small"].measured == noted["small-q8_0.gguf"]
    assert "× 1.50" in found["large"].cost.arithmetic[2]  # type: ignore[union-attr]


def test_a_measurement_far_off_is_believed_by_half() -> None:
    """It was not of a quiet machine, or of another one."""
    noted = {"small-q8_0.gguf": Measured(prompt_tokens_s=1, decode_tokens_s=0.01, unix_s=0)}
    plain, found = by_name(decided({"small": 4.0})), by_name(decided({"small": 4.0}, noted=noted))
    assert plain["small"].cost
    assert found["small"].cost
    assert found["small"].cost.token_ms == pytest.approx(2 * plain["small"].cost.token_ms)


def test_measurements_are_kept(home: Path) -> None:
    """By the file's name; numbers that cannot be true are not."""
    assert fitting.measured() == {}
    note_measured(Path("/models/a.gguf"), 100.0, 20.0)
    note_measured(Path("/models/b.gguf"), 50.0, math.nan)
    note_measured(Path("/models/b.gguf"), 0.0, 3.0)
    note_measured(Path("/elsewhere/a.gguf"), 200.0, 40.0)
    found = fitting.measured()
    assert list(found) == ["a.gguf"]
    assert (found["a.gguf"].prompt_tokens_s, found["a.gguf"].decode_tokens_s) == (200.0, 40.0)


def test_the_goal_follows_the_settings() -> None:
    """The longest suggestion has the deadline, a usual one its share."""
    assert goal_of(Config())[0] == pytest.approx(281.25)
    assert goal_of(Config(suggest=SuggestConfig(deadline_ms=3000)))[0] == pytest.approx(562.5)
    assert goal_of(Config(suggest=SuggestConfig(max_tokens=8)))[0] == 1500


def test_only_what_is_new_is_measured() -> None:
    """Models of one shape share a slice; those for which there is no memory are left out."""
    first, second = entry("a", 500), entry("b", 500)
    (part,) = fitting.to_measure([first, second], roomy(), Speeds())
    known = Speeds(timings={speeds.key_of(part): [timing(1.0)]})
    assert fitting.to_measure([first, second], roomy(), known) == []
    assert fitting.to_measure([first], roomy(0.001), Speeds()) == []


def test_a_machine_with_little_memory_has_smaller_slices() -> None:
    """And predicts from them."""
    small = roomy(0.4)
    (part,) = fitting.to_measure([entry("a", 500)], small, Speeds())
    assert part.bytes <= 0.2 * GB
    known = Speeds(timings={speeds.key_of(part): [timing(1.0)]})
    (one,) = decide([entry("a", 500)], known, small, Config(), 300.0, set(), {}).fits
    assert one.cost


def test_a_name_that_nobody_knows(home: Path) -> None:
    """It is told before anything is measured."""
    with pytest.raises(ModelNotFound, match="no model called nothing"):
        fitting.fit(Config(), names=["nothing"])


def test_without_measuring_only_what_is_known_is_told(home: Path) -> None:
    """For those who must not wait."""
    report = fitting.fit(Config(), measure=False)
    assert report.recommended == catalog.load().bundled.name
    assert all(one.cost is None for one in report.fits)


TINY = Slice(
    mixture="Q8_0", of_layers=2, n_layer=1, n_embd=128, n_ff=128, n_head=2, n_head_kv=1, head_dim=64, n_vocab=300
)


def test_what_was_measured_is_kept(home: Path) -> None:
    """By a real process; a slice that cannot be loaded costs itself alone."""
    impossible = msgspec.structs.replace(TINY, n_expert=4, n_expert_used=9)
    done: list[int] = []
    found = speeds.measure([impossible, TINY], done.append)
    assert done == [1, 2]
    timings = found.timings[speeds.key_of(TINY)]
    assert all(timing.token_ms > 0 and timing.pair_ms > 0 and timing.attention_ms >= 0 for timing in timings)
    assert max(timings, key=lambda timing: timing.threads).chunk_ms > 0
    assert found.problems[speeds.key_of(impossible)]
    assert speeds.known().timings == found.timings


def test_a_slice_that_ends_llama_cpp_costs_itself_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is killed at the first slice that it is told, each time; the next one has a process of its own."""
    folder = home / "patched"
    folder.mkdir()
    # Python reads this first.
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'fimble.engine.trial' in ' '.join(sys.orig_argv):\n"
        "    import os, fimble.engine.trial as trial\n"
        "    measure = trial.measure\n"
        "    def die(part):\n"
        "        if part.n_vocab == 301:\n"
        "            with trial._loaded(part):\n"
        "                os.abort()\n"
        "        return measure(part)\n"
        "    trial.measure = die\n"
        "    sys.exit(trial.main())\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    temporary = home / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    deadly = msgspec.structs.replace(TINY, n_vocab=301)
    found = speeds.measure([deadly, TINY])
    assert speeds.key_of(TINY) in found.timings
    assert found.problems == {speeds.key_of(deadly): "llama.cpp ended while it was measured"}
    with pytest.raises(EngineCrashed, match="Nothing could be measured"):
        speeds.measure([deadly])
    assert list(temporary.iterdir()) == []  # nor is its file left behind


def test_others_keep_some_memory() -> None:
    """A gibibyte, or a tenth of a small machine."""
    assert roomy(8).for_model_bytes == 8 * GB
    assert Memory(total_bytes=GB, available_bytes=GB // 2).for_model_bytes == 4 * GB // 10


def test_this_machine_can_be_looked_at() -> None:
    """What is available is no more than there is, and it is said what it ends at."""
    found = look([])
    assert 0 < found.for_model_bytes < found.available_bytes <= found.total_bytes
    assert found.limit
