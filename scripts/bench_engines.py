"""Engines under measurement, and what is put to them.  See bench.py."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from fimble.engine import launch
from fimble.engine.client import EngineClient
from fimble.engine.endpoint import Endpoint
from fimble.engine.launch import Launcher, settings_for
from fimble.engine.wire import Counters, InfillRequest, Timings
from fimble.errors import EngineError
from fimble.settings import EngineConfig

#: Long enough for a prompt of 2,000 tokens with what the layout keeps free; the same for whoever is compared.
CONTEXT_TOKENS = 4096

#: A thread that used this share of what the busiest one used has worked.
_WORKED = 0.3

#: Source code that is on every machine, as text to complete.
_CODE = Path(argparse.__file__).read_text("utf-8")


class BenchFailed(Exception):
    """The benchmark cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answered request, in milliseconds from the call."""

    first_ms: float
    """To the first text."""
    last_ms: float
    """To the last text."""
    done_ms: float
    """To the end of the answer."""
    prompt_tokens: int
    """Of the whole prompt, cached or not."""
    timings: Timings


class Engine:
    """One engine of our own and a client to it.  *environ* is added to what it is started with."""

    def __init__(
        self, model: Path, folder: Path, config: EngineConfig, environ: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.client = EngineClient(Launcher(settings_for(model, config), folder))
        self._environ = environ or {}
        self.pid = 0

    async def start(self) -> None:
        """Wait until the model is loaded."""
        before = {name: os.environ.get(name) for name in self._environ}
        os.environ.update(self._environ)  # the launcher hands its own environment on
        try:
            await self.client.ensure()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        props = await self.client.props()
        self.pid, self.n_ctx = props.pid, props.n_ctx

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        found = self.client.launcher.endpoint()
        if found is None:
            raise BenchFailed("The engine is gone.")
        return found

    @property
    def spin(self) -> str:
        """The GOMP_SPINCOUNT that it runs with."""
        return psutil.Process(self.pid).environ().get("GOMP_SPINCOUNT", "")

    async def counters(self) -> Counters:
        """What it has done so far."""
        return (await self.client.props()).counters

    async def ask(self, request: InfillRequest) -> Reply:
        """Put *request* to it and read the whole answer."""
        started = time.perf_counter()
        first = last = 0.0
        async with contextlib.aclosing(self.client.infill(request)) as chunks:
            async for chunk in chunks:
                if chunk.content:
                    last = time.perf_counter()
                    first = first or last
                if chunk.stop:
                    break
        ended = time.perf_counter()
        if chunk.timings is None:
            raise BenchFailed(f"The engine ended an answer without timings ({chunk.stop_type}).")
        first, last = first or ended, last or ended
        first_ms, last_ms, done_ms = (round((moment - started) * 1000, 3) for moment in (first, last, ended))
        return Reply(first_ms, last_ms, done_ms, chunk.tokens_evaluated, chunk.timings)

    async def threads_at_work(self, n_predict: int, prompt: str, rounds: int = 4) -> int:
        """How many of its threads compute: while it writes, or with *n_predict* 0 while it reads *prompt*.

        Seen from outside, by their processor time; in what way it chose them does not matter.
        """
        process = psutil.Process(self.pid)
        if n_predict:
            await self.ask(InfillRequest(input_prefix=prompt, n_predict=1))
        before = {thread.id: thread.user_time + thread.system_time for thread in process.threads()}
        for number in range(rounds):
            head = "" if n_predict else f"# {number} {time.monotonic_ns()}\n"
            await self.ask(InfillRequest(input_prefix=head + prompt, n_predict=n_predict))
        after = {thread.id: thread.user_time + thread.system_time for thread in process.threads()}
        used = sorted((after[id_] - before.get(id_, 0.0) for id_ in after), reverse=True)
        return max(1, sum(seconds >= _WORKED * used[0] for seconds in used)) if used[0] > 0 else 1

    def memory_mb(self) -> dict[str, float]:
        """See `memory_mb`."""
        return memory_mb(self.pid)

    def rest(self) -> None:
        """Suspend it, so that not even its idle threads spin."""
        psutil.Process(self.pid).suspend()

    async def wake(self) -> None:
        """Let it go on."""
        await wake(self.pid, self.client.props)

    async def stop(self) -> None:
        """End it."""
        await stop_engine(self.client)


async def stop_engine(client: EngineClient) -> None:
    """Let go of an engine and end it, also when it is suspended."""
    found = client.launcher.endpoint()
    await client.close()
    if found:
        with contextlib.suppress(psutil.Error):
            psutil.Process(found.pid).resume()
        await asyncio.to_thread(launch.stop, found)


async def wake(pid: int, look: Callable[[], Awaitable[object]]) -> None:
    """Resume a suspended server, and *look* at it until it answers.

    What it did not hear meanwhile makes it close connections that its client believes to be open.
    """
    psutil.Process(pid).resume()
    for _ in range(20):
        await asyncio.sleep(0.02)
        with contextlib.suppress(EngineError, aiohttp.ClientError):
            await look()
            return
    raise BenchFailed("A server that was suspended does not go on.")


def memory_mb(pid: int) -> dict[str, float]:
    """Megabytes of memory that a process has: resident, and of these its own alone."""
    info = psutil.Process(pid).memory_full_info()
    return {"rss_mb": round(info.rss / 1e6, 1), "uss_mb": round(info.uss / 1e6, 1)}


class Typist:
    """One window as the engine sees it: fixed text around a line that grows by a character at every key."""

    def __init__(self, name: str, prefix_chars: int, n_predict: int) -> None:
        self._name, self._n_predict, self._keys = name, n_predict, 0
        self._prefix, self._suffix = f"# {name}\n" + code(prefix_chars), code(prefix_chars // 4, start=20_000)

    def key(self) -> InfillRequest:
        """The request of the next key."""
        self._keys += 1
        typed = code(200, start=12_000)[: 1 + self._keys % 200]
        return InfillRequest(
            input_prefix=self._prefix,
            input_suffix=self._suffix,
            prompt=typed,
            n_predict=self._n_predict,
            session=self._name,
        )


def code(chars: int, start: int = 0) -> str:
    """So many characters of source code, from *start* on; it begins anew when it ends."""
    text = _CODE
    while len(text) < start + chars:
        text += _CODE
    return text[start : start + chars]


@contextlib.contextmanager
def hogs(count: int) -> Iterator[list[psutil.Process]]:
    """Processes that compute without end, suspended at first."""
    command = [sys.executable, "-c", "while True: pass"]
    children = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        processes = [psutil.Process(child.pid) for child in children]
        for process in processes:
            process.suspend()
        yield processes
    finally:
        for child in children:
            child.kill()
            child.wait()


def cores() -> int:
    """Physical cores, as llama.cpp should use them."""
    return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1


def median_ms(replies: list[Reply]) -> float:
    """The median time to the end of an answer."""
    return round(statistics.median(reply.done_ms for reply in replies), 3)
