"""A generator on the bundled model, driven by hand: no thread, no socket, one decode a step."""

from __future__ import annotations

from typing import Any

from fimble import catalog
from fimble.engine.generator import Generator
from fimble.engine.job import Job
from fimble.engine.llama import Context, Model
from fimble.engine.wire import Chunk, Counters, InfillRequest

#: Loaded once for every test: hypothesis and function fixtures do not mix.
MODEL = Model(catalog.resolve(""))


class Engine:
    """Two sequences of at most 512 tokens."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.context = Context(MODEL, n_ctx=1024, n_seq=2, n_batch=64, threads=1, threads_batch=1)
        self.generator = Generator(MODEL, self.context, 512, 2, self.counters)

    def run(self, **request: Any) -> list[Chunk]:
        """The whole answer to one request."""
        chunks: list[Any] = []
        job = Job(InfillRequest(**request), chunks.append)
        while not job.is_done:
            self.generator.step([job])
        assert all(isinstance(chunk, Chunk) for chunk in chunks), chunks
        return chunks
