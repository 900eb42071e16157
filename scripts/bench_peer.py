"""A llama-server as a child, and its streamed answers.  See bench.py."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from bench_engines import BenchFailed

_START_S = 120.0


@dataclass(frozen=True, slots=True)
class Streamed:
    """One answer; milliseconds from the request, tokens as the server counts them."""

    first_ms: float
    done_ms: float
    prompt_n: int
    cache_n: int
    predicted_n: int


class LlamaServer:
    """One llama-server on a port of its own.  *threads*: while it writes, and while it reads a prompt."""

    def __init__(
        self, program: Path, model: Path, context_tokens: int, threads: tuple[int, int], environ: Mapping[str, str]
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        # What llama.vim recommends (and --fim-qwen-1.5b-default sets), on this model and for the compared threads.
        self._command = [str(program), "-m", str(model), "--host", "127.0.0.1", "--port", str(port)]
        self._command += ["-c", str(context_tokens), "-b", "1024", "-ub", "1024", "--cache-reuse", "256", "-np", "1"]
        self._command += ["-t", str(threads[0]), "-tb", str(threads[1])]
        self._environ = {**os.environ, **environ}
        self._base = f"http://127.0.0.1:{port}"
        self._child: subprocess.Popen[bytes] | None = None
        self._http: aiohttp.ClientSession | None = None

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._child
        return self._child.pid

    async def start(self) -> None:
        """Wait until the model is loaded.  Raises BenchFailed."""
        try:
            self._child = self._spawn()
        except OSError as error:
            raise BenchFailed(f"{self._command[0]} cannot be started: {error.strerror}.") from None
        # A connection for each request, as llama.vim's curl makes it.
        connector, no_limit = aiohttp.TCPConnector(force_close=True), aiohttp.ClientTimeout(total=None)
        self._http = aiohttp.ClientSession(self._base, connector=connector, timeout=no_limit, trust_env=False)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._child.poll() is None:
            with contextlib.suppress(aiohttp.ClientError):
                if await self.is_up():
                    return
            await asyncio.sleep(0.05)
        raise BenchFailed(f"llama-server did not start: {' '.join(self._command)}")

    async def is_up(self) -> bool:
        """Whether the model is loaded.  Raises aiohttp.ClientError when nobody answers."""
        assert self._http
        async with self._http.get("/health") as response:
            return response.status == 200

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    async def ask(self, path: str, body: Mapping[str, Any]) -> Streamed:
        """Put a request to it and read the whole answer."""
        assert self._http
        started = time.perf_counter()
        first = 0.0
        end: dict[str, Any] = {}
        async with self._http.post(path, json=body) as response:
            if response.status != 200:
                raise BenchFailed(f"llama-server answered {response.status}: {(await response.text())[:300]}")
            async for line in response.content:
                if line.startswith(b"data: {"):
                    end = json.loads(line[6:])
                    if end.get("content") and not first:
                        first = time.perf_counter()
        done = time.perf_counter()
        times = end.get("timings") or {}
        counts = (int(times.get(name, 0)) for name in ("prompt_n", "cache_n", "predicted_n"))
        return Streamed(((first or done) - started) * 1000, (done - started) * 1000, *counts)

    async def stop(self) -> None:
        """End it, also when it is suspended."""
        if self._http:
            await self._http.close()
        if self._child:
            with contextlib.suppress(psutil.Error):
                psutil.Process(self._child.pid).resume()
            self._child.kill()
            self._child.wait()
