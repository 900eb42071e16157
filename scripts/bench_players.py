"""Who is asked at every key: our window and engine; others are in bench_servers.  See bench.py."""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import psutil

from bench_engine import Setup
from bench_engines import BenchFailed, code, stop_engine, wake
from bench_trace import Stroke
from fimble.core import Ask
from fimble.engine.client import EngineClient
from fimble.engine.launch import Launcher, settings_for
from fimble.engine.wire import Chunk, Counters, ExtraFile, InfillRequest
from fimble.errors import FimbleError
from fimble.lsp.idle import IDLE_S
from fimble.settings import CacheConfig, Config, SuggestConfig
from fimble.stats import Stats
from fimble.suggest.recipe import Suggester
from fimble.suggest.surroundings import Surroundings

#: However little room is left: some snippets stand in every prompt.
_MIN_SNIPPET_TOKENS = 256

#: A snippet as large as a ring's chunk of 32 lines.
_SNIPPET_CHARS = 1200

#: Snippets to learn from how many tokens such text has.
_TRIAL_CHARS = 2 * _SNIPPET_CHARS


@dataclass(frozen=True, slots=True)
class Answer:
    """What one key came to.  Milliseconds from the key on; tokens as the server counts them."""

    first_ms: float
    done_ms: float
    prompt_n: int
    cache_n: int
    predicted_n: int
    queued_ms: float = 0.0


class Player(ABC):
    """One of those who are compared."""

    name: str

    def __init__(self) -> None:
        self.snippets: list[ExtraFile] = []
        self.answers: list[Answer] = []

    @abstractmethod
    async def start(self) -> None:
        """Be ready to be asked."""

    @abstractmethod
    async def ask(self, stroke: Stroke) -> Answer:
        """Answer a key.  Being cancelled ends the work as the product's own window would."""

    async def ask_paced(self, stroke: Stroke) -> Answer:
        """As `ask`, when keys do not wait for answers: a cancelled one ends as the product would end it."""
        return await self.ask(stroke)

    async def pause(self, _stroke: Stroke, seconds: float) -> None:
        """What the window does while its user looks at the answer to a key."""
        await asyncio.sleep(seconds)

    async def settle(self) -> None:  # noqa: B027 - there is nothing where cancelling ends the work
        """Wait for what a cancelled key left under way."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """The process that computes."""

    async def counters(self) -> Counters | None:
        """What was computed so far, by whoever counts it at once."""
        return None

    @abstractmethod
    async def stop(self) -> None:
        """End everything."""

    def rest(self) -> None:
        """Let others have the machine."""
        psutil.Process(self.pid).suspend()

    async def wake(self) -> None:
        """Go on."""
        await wake(self.pid, self.look)

    @abstractmethod
    async def look(self) -> object:
        """Ask the server how it is."""

    async def fill(self, stroke: Stroke, prompt_tokens: int) -> int:
        """Choose snippets that make the prompt about *prompt_tokens* long; returns what its first one is."""
        bare = await self.ask(stroke)
        self.snippets = snippets(_TRIAL_CHARS)
        full = await self.ask(stroke)
        bare_n, full_n = bare.prompt_n + bare.cache_n, full.prompt_n + full.cache_n
        per_char = max(full_n - bare_n, 1) / _TRIAL_CHARS
        wanted = max(prompt_tokens - bare_n, _MIN_SNIPPET_TOKENS)
        self.snippets = snippets(int(wanted / per_char))
        answer = await self.ask(stroke)
        return answer.prompt_n + answer.cache_n


def snippets(chars: int) -> list[ExtraFile]:
    """So much text of another file, in pieces; the same whenever it is asked for."""
    text = code(chars, start=30_000)
    pieces = [text[start : start + _SNIPPET_CHARS] for start in range(0, chars, _SNIPPET_CHARS)]
    return [ExtraFile(f"lib/options_{number}.py", piece) for number, piece in enumerate(pieces)]


@dataclass(slots=True)
class _Heard:
    """What the client saw of one key's request."""

    first: float = 0.0
    last_chunk: Chunk | None = None
    asked: bool = False


class _HearingClient(EngineClient):
    """The window's client, which notes every answer and keeps it to itself.

    So nothing is remembered, nothing ends an answer early, and every key asks the engine.  Where the recipe has no
    snippets, it adds constant ones.
    """

    def __init__(self, launcher: Launcher) -> None:
        super().__init__(launcher)
        self.heard = _Heard()
        self.snippets: Sequence[ExtraFile] = ()
        self.other_requests = 0

    async def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk, None]:
        """As the client does it, but only the end is handed on."""
        if not request.input_extra:
            request.input_extra = list(self.snippets)
        heard = self.heard if request.n_predict > 0 and not self.heard.asked else _Heard()
        self.other_requests += heard is not self.heard
        heard.asked = True
        async with aclosing(super().infill(request)) as chunks:
            async for chunk in chunks:
                if chunk.content and not heard.first:
                    heard.first = time.perf_counter()
                if chunk.stop:
                    heard.last_chunk = chunk
                    break
        yield Chunk(stop=True, stop_type="limit", timings=chunk.timings)


class Fimble(Player):
    """The window's recipe on its anchors, and its engine."""

    def __init__(self, setup: Setup, surroundings: Surroundings | None = None, name: str = "fimble") -> None:
        super().__init__()
        self.name = name
        folder = setup.home / name.partition(" ")[0]
        folder.mkdir(mode=0o700, exist_ok=True)
        self.client = _HearingClient(Launcher(settings_for(setup.model, setup.config()), folder))
        suggest = SuggestConfig(max_tokens=setup.n_predict, echo=False, deadline_ms=60_000)
        config = Config(suggest=suggest, cache=CacheConfig(enabled=False))
        self._failures: list[FimbleError] = []
        self._stats = Stats()
        self._suggester = Suggester(
            config, self.client, stats=self._stats, on_failure=self._failures.append, surroundings=surroundings
        )
        self._pid = 0

    async def start(self) -> None:
        await self.client.ensure()
        self._pid = (await self.client.props()).pid

    @property
    def pid(self) -> int:
        return self._pid

    def stats(self) -> dict[str, int]:
        """The window's counters."""
        return self._stats.as_dict()

    async def counters(self) -> Counters | None:
        return (await self.client.props()).counters

    async def look(self) -> object:
        return await self.client.props()

    async def ask(self, stroke: Stroke) -> Answer:
        heard = self.client.heard = _Heard()
        self.client.snippets = self.snippets
        started = time.perf_counter()
        await self._suggester.suggest(Ask(stroke.document, stroke.offset))
        done = time.perf_counter()
        end = heard.last_chunk
        if end is None or end.timings is None:
            said = self._failures[-1] if self._failures else "it was not asked"
            raise BenchFailed(f"The engine did not answer a key: {said}.")
        times, first = end.timings, heard.first or done
        counts = (times.prompt_n, times.cache_n, times.predicted_n)
        return Answer((first - started) * 1000, (done - started) * 1000, *counts, queued_ms=times.queued_ms)

    async def pause(self, stroke: Stroke, seconds: float) -> None:
        """The window prepares the place of the last edit, until the next key comes."""
        ends = time.monotonic() + seconds
        await asyncio.sleep(IDLE_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + ends - time.monotonic()):
                await self._suggester.warm(stroke.left or Ask(stroke.document, stroke.offset))
        await asyncio.sleep(max(ends - time.monotonic(), 0))

    async def stop(self) -> None:
        await stop_engine(self.client)
