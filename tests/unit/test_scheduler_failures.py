"""What the scheduler does when something goes wrong: it costs one answer, or is told to every window."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimble.engine.job import Job
from fimble.engine.llama import Model
from fimble.engine.scheduler import Scheduler
from fimble.engine.wire import Chunk, CompletionRequest, EngineSettings, InfillRequest
from fimble.errors import EngineError, ModelNotFound

PATIENCE_S = 60

#: More than the bundled model was trained on.
CONTEXT_TOKENS = 65_536

#: How an answer ends that nobody ended early.
COMPLETE = ("eos", "limit")


def settings_for(path: Path) -> EngineSettings:
    return EngineSettings(
        model_path=str(path),
        model_digest="",
        context_tokens=CONTEXT_TOKENS,
        threads=1,
        idle_minutes=1,
        transport="auto",
    )


def answer(scheduler: Scheduler, request: InfillRequest | CompletionRequest) -> Chunk:
    """The end of the answer to *request*; raises what was answered instead."""
    answers: queue.Queue[Chunk | Exception] = queue.Queue()
    scheduler.submit(Job(request, answers.put))
    while True:
        item = answers.get(timeout=PATIENCE_S)
        if isinstance(item, Exception):
            raise item
        if item.stop:
            return item


@pytest.fixture
def scheduler(bundled: Path) -> Iterator[Scheduler]:
    """A scheduler that has loaded the bundled model."""
    made = Scheduler(settings_for(bundled))
    made.start()
    answer(made, InfillRequest(input_prefix="x", n_predict=0))
    yield made
    made.close()


def test_the_context_is_never_longer_than_the_models(scheduler: Scheduler, model: Model) -> None:
    """A setting above what the model was trained on is cut to that."""
    assert scheduler.ready
    assert model.n_ctx_train < CONTEXT_TOKENS
    assert (scheduler.n_ctx, scheduler.progress) == (model.n_ctx_train, 1.0)


def test_a_request_that_cannot_be_served_costs_only_itself(scheduler: Scheduler) -> None:
    """A token that does not exist is told to its sender; the engine goes on."""
    with pytest.raises(ValueError, match="vocabulary"):
        answer(scheduler, CompletionRequest(prompt=[5, 10**6]))
    assert answer(scheduler, CompletionRequest(prompt=[50, 60], n_predict=1)).stop_type in COMPLETE


def test_a_bug_costs_one_answer(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody foresaw becomes an error answer, and the thread lives on."""
    with monkeypatch.context() as broken:
        broken.setattr("fimble.engine.generator.render_infill", lambda *_: 1 / 0)
        with pytest.raises(EngineError, match="ZeroDivisionError"):
            answer(scheduler, InfillRequest(input_prefix="x"))
    assert answer(scheduler, InfillRequest(input_prefix="x", n_predict=1)).stop_type in COMPLETE


def test_a_model_that_cannot_be_loaded_is_remembered(tmp_path: Path) -> None:
    """The engine stays up to tell every window what is wrong."""
    scheduler = Scheduler(settings_for(tmp_path / "gone.gguf"))
    scheduler.start()
    scheduler._first.thread.join(PATIENCE_S)
    assert isinstance(scheduler.failure, ModelNotFound)
    assert not scheduler.ready


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_while_loading_is_a_failure_too(bundled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When loading ends in a way that nobody foresaw, windows are told, instead of waiting for a dead thread."""
    monkeypatch.setattr("fimble.engine.loading.check_finite", lambda *_: 1 / 0)
    scheduler = Scheduler(settings_for(bundled))
    scheduler.start()
    scheduler._first.thread.join(PATIENCE_S)
    assert scheduler.failure is not None
    assert not scheduler.ready
