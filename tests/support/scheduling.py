"""Jobs whose answers can be waited for, and lanes that can be stopped inside a decode."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

from fimble.engine.job import Job
from fimble.engine.lane import Lane
from fimble.engine.llama import Decoded
from fimble.engine.wire import Chunk, EngineSettings, InfillRequest

PATIENCE_S = 60

#: How an answer ends that nobody ended early.
COMPLETE = ("eos", "limit")


def settings_for(path: Path, context_tokens: int = 4096, threads: int = 1) -> EngineSettings:
    """An engine's settings for the model at *path*."""
    return EngineSettings(
        model_path=str(path),
        model_digest="",
        context_tokens=context_tokens,
        threads=threads,
        idle_minutes=1,
        transport="auto",
    )


class Asked(Job):
    """A job that collects what it is answered."""

    def __init__(self, **request: Any) -> None:
        self.answers: queue.Queue[Chunk | Exception] = queue.Queue()
        self.has_ended = threading.Event()
        self.ends = 0
        super().__init__(InfillRequest(**request), self._hear)

    def _hear(self, item: Chunk | Exception) -> None:
        self.answers.put(item)
        if isinstance(item, Exception) or item.stop:
            self.ends += 1
            self.has_ended.set()

    def last(self) -> Chunk:
        """The end of the answer, waited for."""
        return self.chunks()[-1]

    def chunks(self) -> list[Chunk]:
        """The whole answer, waited for."""
        found: list[Chunk] = []
        while not (found and found[-1].stop):
            item = self.answers.get(timeout=PATIENCE_S)
            if isinstance(item, Exception):
                raise item
            found.append(item)
        return found

    def text(self) -> str:
        """What the whole answer says, waited for."""
        return "".join(chunk.content for chunk in self.chunks())

    def ended_at_once(self) -> Chunk | None:
        """The end of the answer if it is there already."""
        try:
            item = self.answers.get_nowait()
        except queue.Empty:
            return None
        assert isinstance(item, Chunk)
        assert item.stop
        return item


class Held:
    """Keeps a lane's thread inside its next decode until it is let go."""

    def __init__(self, lane: Lane) -> None:
        context = lane.context
        assert context is not None
        self._context, self._decode = context, context.decode_together
        self._entered, self._go = threading.Event(), threading.Event()
        vars(self._context)["decode_together"] = self._wait

    def _wait(self, *args: Any) -> Decoded:
        self._entered.set()
        assert self._go.wait(PATIENCE_S)
        return self._decode(*args)

    def wait_until_inside(self) -> None:
        assert self._entered.wait(PATIENCE_S)

    def let_go(self) -> None:
        vars(self._context).pop("decode_together", None)
        self._go.set()
