"""What goes wrong around an engine and inside it: the session goes on, and a suggestion is all that is lost."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest
from models import BUNDLED_MODEL
from window import NewClient

from fimble import paths
from fimble.engine.client import EngineClient
from fimble.engine.endpoint import Endpoint
from fimble.engine.launch import running_engines
from fimble.engine.wire import Chunk, InfillRequest
from fimble.errors import EngineCrashed, EngineError

REQUEST = InfillRequest(input_prefix="def add(first, second):\n", prompt="    return ", n_predict=8)


def the_engine() -> Endpoint:
    (found,) = running_engines(paths.runtime_dir())
    return found


def take_away(engine: Endpoint, what: str) -> None:
    """Delete the files by which windows reach an engine, or one of them."""
    if what in ("socket", "both"):
        Path(engine.socket).unlink()
    if what in ("address", "both"):
        (paths.runtime_dir() / f"{engine.key}.json").unlink()


async def answer(client: EngineClient) -> Chunk:
    """The end of an answer."""
    async with aclosing(_chunks(client)) as chunks:
        return [chunk async for chunk in chunks][-1]


def _chunks(client: EngineClient) -> AsyncGenerator[Chunk, None]:
    return client.infill(REQUEST)


async def has_measured_or_is_busy(client: EngineClient) -> bool:
    props = await client.props()
    is_measured = bool(props.tuning and props.tuning.measured)
    return is_measured or bool(props.load and props.load.busy_cores > 0.25)


async def answer_within(client: EngineClient, seconds: float) -> Chunk:
    """Ask until there is an answer, as the keys of somebody who goes on typing do."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await answer(client)
            except EngineError:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS], ids=lambda n: signal.Signals(n).name
)
async def test_a_death_inside_llama_cpp_costs_one_answer(new_client: NewClient, number: int) -> None:
    """An assertion of llama.cpp, a wild pointer, a page of the model's file that is gone: another engine answers."""
    client = new_client()
    await answer(client)
    dead = the_engine()
    os.kill(dead.pid, number)
    assert (await answer_within(client, 10)).stop_type in ("eos", "limit")
    assert the_engine().pid != dead.pid


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process's memory")
async def test_memory_that_runs_out_ends_no_session(new_client: NewClient) -> None:
    """An engine that gets no more memory answers, or says that it failed, or is replaced; and then it answers."""
    client = new_client()
    await answer(client)
    engine = psutil.Process(the_engine().pid)
    used = engine.memory_info().vms
    resource.prlimit(engine.pid, resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))
    texts = [InfillRequest(input_prefix=f"value_{n} = 1\n" * 100, n_predict=4, session=str(n)) for n in range(12)]

    async def ask(request: InfillRequest) -> str:
        try:
            return [chunk.stop_type async for chunk in client.infill(request)][-1]
        except EngineError as failure:
            return type(failure).__name__

    ends = await asyncio.wait_for(asyncio.gather(*(ask(request) for request in texts)), 60)
    assert len(ends) == len(texts)
    if engine.is_running():
        resource.prlimit(engine.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert (await answer_within(client, 20)).stop_type in ("eos", "limit")


@pytest.mark.parametrize("what", ["socket", "address", "both"])
async def test_a_way_in_that_is_gone_comes_back(new_client: NewClient, what: str) -> None:
    """Whoever cleans the runtime folder makes an engine unreachable: it ends, and a new window gets another one."""
    client = new_client()
    await answer(client)
    hidden = the_engine()
    await client.close()
    take_away(hidden, what)
    newcomer = new_client()
    assert (await answer_within(newcomer, 20)).stop_type in ("eos", "limit")
    assert the_engine().pid != hidden.pid
    assert not psutil.pid_exists(hidden.pid) or psutil.Process(hidden.pid).status() == psutil.STATUS_ZOMBIE


async def test_an_open_window_outlives_its_socket(new_client: NewClient) -> None:
    """The window whose engine became unreachable goes on after a moment, without being restarted."""
    client = new_client()
    await answer(client)
    hidden = the_engine()
    take_away(hidden, "socket")
    async with asyncio.timeout(20):
        while psutil.pid_exists(hidden.pid) and psutil.Process(hidden.pid).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.05)
    assert (await answer_within(client, 20)).stop_type in ("eos", "limit")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process's files")
async def test_a_full_disk_stops_no_engine(new_client: NewClient) -> None:
    """An engine that can write neither its log nor what it measured answers all the same."""
    client = new_client()
    await client.ensure()
    # As on a full disk, every write to a file fails from now on (with EFBIG; Python ignores the signal that it sends).
    resource.prlimit(the_engine().pid, resource.RLIMIT_FSIZE, (0, 0))
    assert (await answer(client)).stop_type in ("eos", "limit")
    async with asyncio.timeout(30):
        # Until it has measured, and could not keep that; on a machine that is busy it does not measure.
        while not await has_measured_or_is_busy(client):
            await asyncio.sleep(0.05)
    assert (await answer(client)).stop_type in ("eos", "limit")
    assert not list(paths.cache_dir().glob("tuning-*.json"))


async def test_a_frozen_engine_is_left_alone_at_the_deadline(new_client: NewClient) -> None:
    """An engine that was stopped (a debugger, a laptop that sleeps) delays nobody for ever, and goes on afterwards."""
    client = new_client()
    await answer(client)
    engine = psutil.Process(the_engine().pid)
    engine.suspend()
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(answer(client), 1)
    finally:
        engine.resume()
    assert (await answer_within(client, 10)).stop_type in ("eos", "limit")


async def test_a_model_that_vanishes_is_no_crash(new_client: NewClient, tmp_path: Path) -> None:
    """The file of a running engine can be deleted; the next engine says what is wrong instead of crashing."""
    model = tmp_path / "model.gguf"
    model.write_bytes(BUNDLED_MODEL.read_bytes())
    client = new_client(model)
    await answer(client)
    model.unlink()
    assert (await answer(client)).stop_type in ("eos", "limit")
    os.kill(the_engine().pid, signal.SIGKILL)
    with pytest.raises(EngineCrashed):
        await answer(client)
    with pytest.raises(Exception, match="model file") as caught:
        await asyncio.wait_for(answer(client), 20)
    assert type(caught.value).__name__ == "ModelNotFound"
