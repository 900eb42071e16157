"""The client and what an engine says to it: answers, refusals, and the ends that nobody planned."""

from __future__ import annotations

import asyncio
import functools
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from fimble.engine import client as client_module
from fimble.engine.client import EngineClient
from fimble.engine.endpoint import Endpoint
from fimble.engine.launch import Launcher
from fimble.engine.wire import Chunk, EngineSettings, InfillRequest
from fimble.errors import EngineCrashed, EngineError, EngineOverloaded, ModelCorrupt, ModelError, ModelTooLarge

pytestmark = pytest.mark.usefixtures("home")

SETTINGS = EngineSettings(
    model_path="/m.gguf", model_digest="d", context_tokens=512, threads=1, idle_minutes=1.0, transport="unix"
)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same steps as in real life, without the waiting between them; only the pause stays."""
    monkeypatch.setattr(client_module, "_BACKOFF_S", (0.0, 0.0, 3600.0))
    monkeypatch.setattr(client_module, "_POLL_S", 0.001)


class Served(Launcher):
    """Knows an engine that somebody else runs."""

    def __init__(self, socket: str) -> None:
        super().__init__(SETTINGS)
        self.address: Endpoint | None = Endpoint(key=self.key, model_path="/m.gguf", socket=socket)
        self.on_spawn: Callable[[], object] = lambda: None

    def endpoint(self) -> Endpoint | None:
        return self.address

    def spawn(self) -> None:
        self.on_spawn()


class FakeEngine:
    """An HTTP server on a Unix socket that answers what a test tells it to."""

    def __init__(self) -> None:
        self.health_body: tuple[object, int] = ({"status": "ok"}, 200)
        self.infill: Callable[[web.Request], Awaitable[web.StreamResponse]]
        self.asked = 0

    async def on_health(self, _request: web.Request) -> web.Response:
        body, status = self.health_body
        return web.json_response(body, status=status)

    async def on_infill(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        return await self.infill(request)


@pytest.fixture
def socket() -> Iterator[str]:
    # pytest's own folders have names that are too long for a socket.
    with tempfile.TemporaryDirectory(prefix="fm-", dir="/tmp") as folder:
        yield str(Path(folder) / "e.sock")


@pytest.fixture
async def engine(socket: str) -> AsyncIterator[FakeEngine]:
    fake = FakeEngine()
    app = web.Application()
    app.add_routes([web.get("/health", fake.on_health), web.post("/infill", fake.on_infill)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, socket).start()
    yield fake
    await runner.cleanup()


@pytest.fixture
async def client(engine: FakeEngine, socket: str) -> AsyncIterator[EngineClient]:
    made = EngineClient(Served(socket))
    yield made
    await made.close()


async def ask(client: EngineClient) -> list[Chunk]:
    return [chunk async for chunk in client.infill(InfillRequest(input_prefix="x"))]


async def events(request: web.Request, *lines: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for line in lines:
        await response.write(line)
    return response


async def test_an_answer_is_streamed(engine: FakeEngine, client: EngineClient) -> None:
    """The pieces of an answer arrive in order, and the engine that is there is used."""
    engine.infill = lambda request: events(
        request, b'data: {"content":"a"}\n\n', b'data: {"content":"b","stop":true,"stop_type":"eos"}\n\n'
    )
    assert [chunk.content for chunk in await ask(client)] == ["a", "b"]
    assert client.is_ready


async def test_one_crash_under_several_requests_is_one_crash(engine: FakeEngine, client: EngineClient) -> None:
    """Three requests that die with one engine do not count as three crashes: the next one works at once."""
    all_in = asyncio.Event()

    async def die(request: web.Request) -> web.StreamResponse:
        if engine.asked == 3:
            all_in.set()
        await all_in.wait()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    engine.infill = die
    results = await asyncio.gather(*(ask(client) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [EngineCrashed] * 3
    engine.infill = lambda request: events(request, b'data: {"stop":true}\n\n')
    assert [chunk.stop for chunk in await ask(client)] == [True]


async def test_three_requests_in_a_row_that_crash_are_three_crashes(engine: FakeEngine, client: EngineClient) -> None:
    """An engine that dies of every request is left alone after the third."""

    async def die(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    engine.infill = die
    for _ in range(3):
        with pytest.raises(EngineCrashed, match="while it was answering"):
            await ask(client)
    with pytest.raises(EngineCrashed, match="3 times in a row"):
        await ask(client)
    assert engine.asked == 3


async def test_an_answer_between_crashes_starts_the_count_anew(engine: FakeEngine, client: EngineClient) -> None:
    """Crashes count as in a row only when no request was answered between them."""

    async def die_at_every_second(request: web.Request) -> web.StreamResponse:
        if engine.asked % 2:
            return await events(request, b'data: {"stop":true}\n\n')
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    engine.infill = die_at_every_second
    for _ in range(4):
        assert await ask(client)
        with pytest.raises(EngineCrashed, match="while it was answering"):
            await ask(client)


async def test_an_answer_that_was_long_enough_starts_the_count_anew(engine: FakeEngine, client: EngineClient) -> None:
    """Windows close most answers before their end; that is no less of an answer."""

    async def die_at_every_second(request: web.Request) -> web.StreamResponse:
        if engine.asked % 2:
            return await events(request, b'data: {"content":"a"}\n\n', b'data: {"content":"b"}\n\n')
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    engine.infill = die_at_every_second
    for _ in range(4):
        answer = client.infill(InfillRequest(input_prefix="x"))
        assert (await anext(answer)).content == "a"
        await answer.aclose()
        with pytest.raises(EngineCrashed, match="while it was answering"):
            await ask(client)


async def test_closing_the_answer_hangs_up(engine: FakeEngine, client: EngineClient) -> None:
    """Who stops listening closes the connection, which is how an engine learns to stop."""
    gone = asyncio.Event()

    async def go_on(request: web.Request) -> web.StreamResponse:
        response = await events(request, b'data: {"content":"a"}\n\n')
        try:
            while True:
                await response.write(b'data: {"content":"more"}\n\n' * 5000)
        except ConnectionError:
            gone.set()
        return response

    engine.infill = go_on
    answer = client.infill(InfillRequest(input_prefix="x"))
    assert (await anext(answer)).content == "a"
    await answer.aclose()
    await asyncio.wait_for(gone.wait(), 30)
    assert client.is_ready


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":{"code":503,"message":"busy","type":"EngineOverloaded"}}', EngineOverloaded),
        (b'{"error":{"code":500,"message":"bad","type":"ModelCorrupt","fix":"f"}}', ModelCorrupt),
        (b'{"error":{"code":500,"message":"odd","type":"Whatever"}}', EngineError),
        (b"<html>", EngineError),
        (b"\xff\xfe", EngineError),
    ],
)
async def test_an_error_answer_is_no_crash(
    engine: FakeEngine, client: EngineClient, body: bytes, kind: type[Exception]
) -> None:
    """What an engine refuses comes back as its class, and the engine counts as alive."""

    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=503, body=body)

    engine.infill = refuse
    for _ in range(4):
        with pytest.raises(kind) as caught:
            await ask(client)
        assert type(caught.value) is kind
    assert client.is_ready


async def test_an_error_in_the_middle_of_an_answer_is_raised(engine: FakeEngine, client: EngineClient) -> None:
    """An error that comes as an event, when the status line is long gone, is an error and no empty answer."""
    engine.infill = lambda request: events(
        request,
        b'data: {"content":"a"}\n\n',
        b'data: {"error":{"code":500,"message":"The engine failed","type":"EngineError"}}\n\n',
    )
    with pytest.raises(EngineError, match="The engine failed"):
        await ask(client)


async def test_a_model_that_cannot_be_used_is_asked_about_once(engine: FakeEngine, client: EngineClient) -> None:
    """The engine's reason is raised as its class with its fix, and not fetched anew at every key."""
    error = {"code": 503, "message": "broken", "type": "ModelCorrupt", "fix": "again"}
    engine.health_body = ({"status": "error", "error": error}, 503)
    for _ in range(3):
        with pytest.raises(ModelCorrupt, match="broken again"):
            await client.ensure()
        engine.health_body = ({"status": "ok"}, 200)
    assert not client.is_ready


async def test_an_engine_that_failed_otherwise_is_not_waited_for(engine: FakeEngine, client: EngineClient) -> None:
    """An engine that could not load for a reason that is not the model's is an error, not endless loading."""
    error = {"code": 503, "message": "The engine failed", "type": "EngineError"}
    engine.health_body = ({"status": "error", "error": error}, 503)
    with pytest.raises(EngineError, match="The engine failed"):
        await asyncio.wait_for(client.ensure(), 5)


async def test_loading_is_reported(engine: FakeEngine, socket: str) -> None:
    """While the model loads, its share is heard; then the client is ready."""
    heard: list[float] = []

    def on_progress(share: float) -> None:
        heard.append(share)
        engine.health_body = ({"status": "ok"}, 200)

    loading = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
    engine.health_body = ({"status": "loading model", "progress": 0.5, "error": loading}, 503)
    client = EngineClient(Served(socket), on_progress)
    await client.ensure()
    assert heard == [0.5]
    await client.close()


async def test_a_stale_address_leads_to_a_new_engine(socket: str) -> None:
    """An address that nobody listens at any more is the sign to start an engine."""
    launcher, spawned, loop = Served(socket), asyncio.Event(), asyncio.get_running_loop()
    launcher.on_spawn = lambda: loop.call_soon_threadsafe(spawned.set)
    client = EngineClient(launcher)
    starting = asyncio.ensure_future(client.ensure())
    await asyncio.wait_for(spawned.wait(), 30)
    starting.cancel()
    await client.close()
    assert not client.is_ready


class Watching:
    """A watch with a list of launchers, of which the first is in use; a refused one goes if it is not the last."""

    def __init__(self, *launchers: Launcher) -> None:
        self.launchers = list(launchers)
        self.heard: list[str] = []

    async def choose(self) -> Launcher:
        return self.launchers[0]

    async def crashed(self, launcher: Launcher, pid: int, *, is_loading: bool) -> None:
        self.heard.append(f"{self.launchers.index(launcher)} crashed{' loading' * is_loading}")

    async def refused(self, launcher: Launcher, failure: ModelError) -> None:
        self.heard.append(f"{self.launchers.index(launcher)} refused: {failure.message}")
        del self.launchers[: len(self.launchers) - 1]

    async def works(self, launcher: Launcher) -> None:
        self.heard.append(f"{self.launchers.index(launcher)} works")


async def test_a_model_that_is_refused_gives_way_at_once(engine: FakeEngine, socket: str) -> None:
    """Whoever waits for the engine gets the other one, and hears nothing of the first."""
    error = {"code": 503, "message": "broken", "type": "ModelCorrupt", "fix": "again"}
    engine.health_body = ({"status": "error", "error": error}, 503)
    bad, good = Served(socket), Served(socket)
    watch = Watching(bad, good)
    client = EngineClient(bad, watch=watch)
    refused = watch.refused

    async def mend(launcher: Launcher, failure: ModelError) -> None:
        await refused(launcher, failure)
        engine.health_body = ({"status": "ok"}, 200)

    watch.refused = mend  # type: ignore[method-assign]
    await asyncio.wait_for(client.ensure(), 20)
    assert client.is_ready
    assert client.launcher is good
    await asyncio.sleep(0)
    assert watch.heard == ["0 refused: broken", "0 works"]
    await client.close()


async def test_a_model_that_is_refused_and_has_no_other_is_an_error(engine: FakeEngine, socket: str) -> None:
    error = {"code": 503, "message": "broken", "type": "ModelTooLarge", "fix": "again", "needed_bytes": 5}
    engine.health_body = ({"status": "error", "error": error}, 503)
    client = EngineClient(only := Served(socket), watch=Watching(only))
    with pytest.raises(ModelTooLarge, match="broken again") as caught:
        await asyncio.wait_for(client.ensure(), 20)
    assert caught.value.needed_bytes == 5
    await client.close()


async def test_what_was_put_aside_meanwhile_is_not_started() -> None:
    """Another window's judgement counts up to the moment of the start, not only when the waiting began."""
    bad, good, loop = Served("/nowhere"), Served("/nowhere"), asyncio.get_running_loop()
    started: asyncio.Queue[Launcher] = asyncio.Queue()
    for one in (bad, good):
        one.on_spawn = functools.partial(loop.call_soon_threadsafe, started.put_nowait, one)
    watch = Watching(bad)
    choose = watch.choose

    async def choose_once() -> Launcher:
        chosen = await choose()
        watch.launchers = [good]
        return chosen

    watch.choose = choose_once  # type: ignore[method-assign]
    client = EngineClient(bad, watch=watch)
    starting = asyncio.ensure_future(client.ensure())
    assert await asyncio.wait_for(started.get(), 20) is good
    starting.cancel()
    await client.close()


async def test_another_windows_engine_that_ends_while_it_loads_is_heard_of(engine: FakeEngine, socket: str) -> None:
    """It was seen loading and is gone: its model may be to blame, whoever started it."""
    bad, good = Served(socket), Served(socket)
    watch = Watching(bad, good)
    crashed = watch.crashed

    async def give_way(launcher: Launcher, pid: int, *, is_loading: bool) -> None:
        assert pid == 77
        await crashed(launcher, pid, is_loading=is_loading)
        watch.launchers.remove(launcher)

    watch.crashed = give_way  # type: ignore[method-assign]
    bad.address = Endpoint(key=bad.key, model_path="/m.gguf", socket=socket, pid=77)
    engine.health_body = ({"status": "loading model", "progress": 0.5}, 503)

    def end(_share: float) -> None:
        engine.health_body = ("no engine's words", 503)

    def start() -> None:
        engine.health_body = ({"status": "ok"}, 200)

    good.on_spawn = start
    client = EngineClient(bad, end, watch=watch)
    await asyncio.wait_for(client.ensure(), 20)
    assert client.launcher is good
    await asyncio.sleep(0)
    assert watch.heard == ["0 crashed loading", "0 works"]
    await client.close()


async def test_a_watch_hears_of_ends_while_answering_only(engine: FakeEngine, socket: str) -> None:
    """An engine that was gone before it was asked did not end of the question."""

    async def die(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    engine.infill = die
    watch = Watching(launcher := Served(socket))
    client = EngineClient(launcher, watch=watch)
    with pytest.raises(EngineCrashed):
        await ask(client)
    await client.ensure()
    await client._drop_session()  # with the connections that are open
    client._session = client_module._open_session(Endpoint(key="k", model_path="/m.gguf", socket=f"{socket}.gone"))
    with pytest.raises(EngineCrashed):
        await ask(client)
    assert [one for one in watch.heard if "crashed" in one] == ["0 crashed"]
    await client.close()
