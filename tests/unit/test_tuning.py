"""The best settings for a machine: how they are chosen, measured, kept, and given up while it is busy."""

from __future__ import annotations

import collections
import threading
from collections.abc import Generator
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pytest

from fimble import paths
from fimble.engine import tuning
from fimble.engine.job import Job
from fimble.engine.llama import Context, Model
from fimble.engine.scheduler import Scheduler
from fimble.engine.tuner import Tuner
from fimble.engine.wire import Chunk, EngineSettings, InfillRequest, Load, Measurement, Tuning

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def settings(bundled: Path) -> EngineSettings:
    return EngineSettings(
        model_path=str(bundled), model_digest="d", context_tokens=256, threads=0, idle_minutes=1, transport="auto"
    )


@pytest.fixture(scope="module")
def model() -> Model:
    from fimble import catalog

    return Model(catalog.resolve(""))


def measured(*rows: tuple[int, bool, float, float]) -> list[Measurement]:
    return [Measurement(threads=n, flash_attention=f, token_ms=t, chunk_ms=c) for n, f, t, c in rows]


def finish(steps: Generator[None, None, Tuning]) -> Tuning:
    """Run a measurement to its end."""

    def run() -> Generator[None, None, None]:
        found.append((yield from steps))

    found: list[Tuning] = []
    collections.deque(run(), maxlen=0)
    return found[0]


@pytest.mark.parametrize(
    ("cores", "tries"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 3, 4]), (6, [1, 2, 4, 5, 6]), (16, [1, 2, 4, 8, 15, 16])]
)
def test_what_is_tried(cores: int, tries: list[int]) -> None:
    """Few numbers of threads are tried, never more than there are cores."""
    assert tuning.candidates(cores) == tries


def test_the_fastest_is_chosen_for_each_kind_of_work() -> None:
    """Writing and reading prompts get their own numbers of threads."""
    found = tuning.choose(measured((1, True, 3.0, 90.0), (2, True, 2.0, 50.0), (4, True, 2.5, 30.0)))
    assert (found.threads, found.threads_batch, found.flash_attention) == (2, 4, True)


def test_a_thread_that_gains_little_is_left_to_others() -> None:
    """Of settings that are nearly as fast, the one with the fewest threads."""
    found = tuning.choose(measured((1, True, 2.05, 90.0), (2, True, 2.0, 88.0)))
    assert (found.threads, found.threads_batch) == (1, 1)


def test_flash_attention_wins_where_both_are_alike() -> None:
    """Short texts are measured, and it gains on long ones."""
    assert tuning.choose(measured((2, True, 1.1, 64.0), (2, False, 1.0, 64.0))).flash_attention is True


def test_flash_attention_is_chosen_by_what_it_takes() -> None:
    """On or off, whichever is faster over a token and a chunk's share."""
    rows = measured((1, True, 3.0, 200.0), (2, True, 2.0, 190.0), (1, False, 2.2, 60.0), (2, False, 2.1, 40.0))
    assert tuning.choose(rows).flash_attention is False


def test_the_real_model_is_measured(model: Model) -> None:
    """Every candidate is measured, with and without flash attention, and the choice is one of them."""
    found = finish(tuning.measure(model, [1, 2]))
    assert {(m.threads, m.flash_attention) for m in found.measured} == {(1, True), (2, True), (1, False), (2, False)}
    assert all(0 < m.token_ms < m.chunk_ms for m in found.measured)
    assert found.threads in (1, 2)


def test_an_aborted_decode_is_measured_again(model: Model) -> None:
    """Whoever asks something in the middle of a measurement costs it a decode, not the result."""
    begun = 0

    def begin(context: Context) -> None:
        nonlocal begun
        begun += 1
        if begun % 3 == 0:
            context.abort()
        else:
            context.resume()

    # Every third decode is aborted, and five in a row are needed: let it through after a while.
    steps = tuning.measure(model, [1], lambda context: begin(context) if begun < 30 else context.resume())
    found = finish(steps)
    assert begun == 30
    assert all(m.token_ms < 1e6 and m.chunk_ms < 1e6 for m in found.measured)


def test_what_was_measured_is_found_again(settings: EngineSettings, model: Model) -> None:
    """The next start begins with it; another model, and a file that is damaged, begin with a guess."""
    folder = paths.cache_dir()
    file = tuning.file_of(folder, settings)
    assert tuning.initial(settings, model, folder).measured == []
    kept = Tuning(threads=7, threads_batch=9, flash_attention=False, measured=measured((7, False, 1.0, 2.0)))
    tuning.save(file, kept)
    assert tuning.initial(settings, model, folder) == kept
    other = msgspec.structs.replace(settings, model_digest="e")
    assert tuning.initial(other, model, folder).measured == []
    file.write_bytes(b'{"threads": "many"')
    assert tuning.initial(settings, model, folder).measured == []


def test_a_folder_that_cannot_be_written_costs_a_measurement(tmp_path: Path) -> None:
    """A full or read-only disk is no failure."""
    (tmp_path / "file").write_text("")
    tuning.save(tmp_path / "file" / "tuning.json", Tuning(threads=1, threads_batch=1))


def test_what_the_user_says_stands(settings: EngineSettings, model: Model) -> None:
    """Threads, flash attention and a quantised cache (which needs it) are not overruled by measurements."""
    folder = paths.cache_dir()
    tuning.save(tuning.file_of(folder, settings), Tuning(threads=7, threads_batch=9, flash_attention=True))
    said = msgspec.structs.replace(settings, threads=3, flash_attention="off")
    found = tuning.initial(said, model, folder)
    assert (found.threads, found.threads_batch, found.flash_attention) == (3, 3, False)
    small = msgspec.structs.replace(settings, flash_attention="off", kv_type="q8_0")
    assert tuning.initial(small, model, folder).flash_attention is True


@pytest.mark.parametrize("kv_type", ["f16", "q8_0", "q4_0"])
def test_every_kind_of_cache_answers(bundled: Path, settings: EngineSettings, kv_type: str) -> None:
    """A quantised cache, a locked or a read model: the engine loads and writes."""
    scheduler = Scheduler(msgspec.structs.replace(settings, kv_type=kv_type, mmap=False, threads=1))
    answers: list[Chunk | Exception] = []
    done = threading.Event()

    def hear(item: Chunk | Exception) -> None:
        answers.append(item)
        if isinstance(item, Exception) or item.stop:
            done.set()

    scheduler.start()
    try:
        scheduler.submit(Job(InfillRequest(input_prefix="def add(a, b):\n", prompt="    return ", n_predict=4), hear))
        assert done.wait(30)
        assert isinstance(answers[-1], Chunk)
        assert answers[-1].stop_type in ("limit", "eos")
    finally:
        scheduler.close()


def test_an_idle_engine_measures_itself(settings: EngineSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, in a quiet moment; what it found is kept for the next start and used from now on."""
    scheduler = Scheduler(settings)
    scheduler.tuner._pressure.look = Load  # type: ignore[method-assign]  # a quiet machine
    has_saved, save = threading.Event(), tuning.save

    def noted_save(path: Path, found: Tuning) -> None:
        save(path, found)
        has_saved.set()

    monkeypatch.setattr(tuning, "save", noted_save)
    scheduler.start()
    try:
        assert has_saved.wait(60), "nothing was measured in a minute"
        assert tuning.load(tuning.file_of(paths.cache_dir(), settings)) == scheduler.tuner.tuning
        assert not scheduler.tuner.has_work
    finally:
        scheduler.close()


def test_what_is_measured_beside_others_is_not_kept(
    settings: EngineSettings, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody compiles while the engine measures: it begins anew when they are done."""
    measure = Mock(wraps=tuning.measure)
    monkeypatch.setattr(tuning, "measure", measure)
    load = Load()
    tuner = Tuner(settings, lambda: False)
    tuner._pressure.look = lambda: load  # type: ignore[method-assign]
    tuner.begin(model)
    for _ in range(5):
        tuner.measure()
    for busy_cores, has_work in ((2.0, False), (0.0, True)):
        load = Load(busy_cores=busy_cores)
        tuner.adapt()
        assert tuner.has_work is has_work
    while tuner.has_work:
        tuner.measure()
    assert measure.call_count == 2
    assert tuner.tuning is not None
    assert tuner.tuning.measured
    assert tuning.load(tuning.file_of(paths.cache_dir(), settings)) == tuner.tuning


def test_a_busy_machine_gets_fewer_threads(settings: EngineSettings, model: Model) -> None:
    """Threads are given up while others need the cores, and taken again; the user's own number stands.

    They keep to a core each while nobody else needs it.
    """

    class Noted(Context):
        def __init__(self) -> None:
            self.threads: list[tuple[int, int, bool]] = []

        def set_threads(
            self, threads: int, threads_batch: int, *, apart: bool = False, first: int = 0, beside: int = 0
        ) -> None:
            self.threads.append((threads, threads_batch, apart))

    def adapted(settings: EngineSettings, *busy_cores: float) -> list[tuple[int, int, bool]]:
        tuner = Tuner(settings, lambda: False)
        tuner.begin(model)
        tuner.tuning = Tuning(threads=tuning.cores(), threads_batch=tuning.cores())
        context = Noted()
        for busy in busy_cores:
            tuner._pressure.look = lambda busy=busy: Load(busy_cores=busy)  # type: ignore[method-assign,misc]
            tuner.adapt(context)
        return context.threads

    cores = tuning.cores()
    quiet = (cores, cores, True)
    assert adapted(settings, 0, 0, cores, 0) == [quiet, (1, 1, False), quiet]
    fixed = msgspec.structs.replace(settings, threads=cores)
    assert adapted(fixed, 0, cores) == [quiet, (cores, cores, False)]


def test_two_lanes_divide_the_cores(settings: EngineSettings, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own; whoever computes alone has them all, and a busy machine leaves both fewer."""
    monkeypatch.setattr(tuning, "cores", lambda: 8)
    tuner = Tuner(settings, lambda: False)
    tuner.begin(model)
    tuner.tuning = Tuning(threads=3, threads_batch=8)
    assert tuner.share() == (3, 8, True, 0, 0, 1)
    assert [tuner.share(lane, 2) for lane in (0, 1)] == [(3, 4, True, 0, 4, 2), (3, 4, True, 4, 4, 2)]
    tuner.load = Load(busy_cores=4)
    assert tuner.share(1, 2) == (2, 2, False, 2, 2, 2)
    tuner.load = Load(busy_cores=8)
    assert tuner.share(1, 2) == (1, 1, False, 1, 1, 2)
    fixed = Tuner(msgspec.structs.replace(settings, threads=6), lambda: False)
    fixed.begin(model)
    assert (fixed.share()[:2], fixed.share(1, 2)[:2]) == ((6, 6), (3, 3))


def test_a_machine_that_saves_power_prepares_nothing(settings: EngineSettings) -> None:
    """What nobody has asked for yet is declined at once; what somebody waits for is answered."""
    scheduler = Scheduler(msgspec.structs.replace(settings, power="saving", threads=1))
    answers: list[Chunk | Exception] = []
    scheduler.submit(Job(InfillRequest(input_prefix="x", priority="speculative"), answers.append))
    assert isinstance(answers[0], Chunk)
    assert (answers[0].stop, answers[0].stop_type) == (True, "declined")
    scheduler.submit(Job(InfillRequest(input_prefix="x"), answers.append))
    assert len(answers) == 1
