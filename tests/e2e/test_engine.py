"""The engine as a process: started on demand, shared, survived, cancelled."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil
import pytest
from models import BUNDLED_MODEL, read_gguf, write_broken_model
from window import NewClient

from fimble import paths
from fimble.engine.client import EngineClient
from fimble.engine.generator import CHUNK_TOKENS
from fimble.engine.wire import Chunk, Counters, InfillRequest, Slot
from fimble.errors import EngineCrashed, ModelCorrupt, ModelError, ModelNotFound
from fimble.settings import EngineConfig

LONG_PREFIX = "".join(f"value_{i} = compute_something({i}, 'name', option={i % 7})\n" for i in range(400))


async def text_of(client: EngineClient, request: InfillRequest) -> tuple[str, Chunk]:
    """The whole answer and its last chunk."""
    chunks = [chunk async for chunk in client.infill(request)]
    return "".join(chunk.content for chunk in chunks), chunks[-1]


def engine_processes(runtime: Path) -> list[int]:
    """The engine processes of one runtime folder, found without Fimble's own bookkeeping."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if str(runtime) in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


async def has_exited(client: EngineClient) -> int:
    """Wait until the engine that *client* started has ended; returns its exit status."""
    async with asyncio.timeout(15):
        while (status := client.launcher.exit_status()) is None:
            await asyncio.sleep(0.02)
    return status


async def settled(client: EngineClient, still_s: float = 0.25) -> Counters:
    """The counters, once they have stopped moving for so long."""
    before = (await client.props()).counters
    while True:
        await asyncio.sleep(still_s)
        after = (await client.props()).counters
        if after == before:
            return after
        before = after


async def evaluation_has_begun(client: EngineClient, at_least: int = CHUNK_TOKENS) -> int:
    """Wait until a prompt is being evaluated; returns how many tokens have been."""
    while True:
        done = (await client.props()).counters.prompt_tokens_evaluated
        if done >= at_least:
            return done
        await asyncio.sleep(0.01)


async def test_answers_are_the_same_with_and_without_the_cache(new_client: NewClient) -> None:
    """A prompt that is found in the cache gets the answer that it got when it was evaluated."""
    client = new_client()
    request = InfillRequest(input_prefix="def add(a, b):\n", prompt="    ret", input_suffix="\n", n_predict=12)
    first, end = await text_of(client, request)
    again, end_again = await text_of(client, request)
    assert first == again
    assert end.timings is not None
    assert end_again.timings is not None
    assert end.timings.cache_n == 0
    assert end_again.timings.prompt_n == 1


async def test_a_keystroke_evaluates_only_what_was_typed(new_client: NewClient) -> None:
    """Typing after the middle token reuses the whole prompt before it."""
    client = new_client()
    evaluated = []
    for typed in ("x", "x =", "x = ad", "x = add(", "x = add(1,"):
        request = InfillRequest(input_prefix=LONG_PREFIX[:800], prompt=typed, input_suffix="\nprint(x)\n", n_predict=4)
        _, end = await text_of(client, request)
        assert end.timings is not None
        evaluated.append(end.timings.prompt_n)
    assert evaluated[0] > 100
    assert max(evaluated[1:]) <= 4


async def test_windows_that_start_at_once_share_one_engine(new_client: NewClient) -> None:
    """However many windows start at the same moment, they end with one process."""
    clients = [new_client() for _ in range(4)]
    await asyncio.gather(*(client.ensure() for client in clients))
    assert len({(await client.props()).pid for client in clients}) == 1
    runtime = paths.runtime_dir()
    assert len(list(runtime.glob("*.sock"))) == 1
    async with asyncio.timeout(10):
        # The ones that came too late are on their way out.
        while len(engine_processes(runtime)) > 1:
            await asyncio.sleep(0.05)
    assert engine_processes(runtime) == [(await clients[0].props()).pid]


async def test_other_settings_mean_another_engine(new_client: NewClient) -> None:
    """A window whose settings differ gets an engine of its own, and disturbs nobody."""
    one, other = new_client(), new_client(context_tokens=256)
    await one.ensure()
    await other.ensure()
    assert (await one.props()).pid != (await other.props()).pid
    assert (await other.props()).n_ctx == 256


async def test_a_killed_engine_costs_one_answer(new_client: NewClient, slow_model: Path) -> None:
    """kill -9 while it answers: the open request fails within a second, the next one works within five."""
    client = new_client(slow_model, context_tokens=4096)
    await client.ensure()
    pid = (await client.props()).pid
    answer = asyncio.ensure_future(text_of(client, InfillRequest(input_prefix=LONG_PREFIX, n_predict=64)))
    await evaluation_has_begun(client)
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(1):
        with pytest.raises(EngineCrashed):
            await answer
    async with asyncio.timeout(5):
        _, end = await text_of(client, InfillRequest(input_prefix="import os\n", n_predict=4))
    assert end.stop
    assert (await client.props()).pid != pid


@pytest.mark.parametrize("streamed", [True, False])
async def test_closing_the_connection_stops_the_evaluation(
    new_client: NewClient, slow_model: Path, streamed: bool
) -> None:
    """A cancelled prompt is evaluated no further than the chunk that is under way."""
    client = new_client(slow_model, context_tokens=8192)
    await client.ensure()
    found = client.launcher.endpoint()
    assert found is not None
    async with aiohttp.ClientSession("http://engine", connector=aiohttp.UnixConnector(found.socket)) as http:
        body = msgspec.json.encode(InfillRequest(input_prefix=LONG_PREFIX, n_predict=16, stream=streamed))
        request = asyncio.ensure_future(http.post("/infill", data=body))
        evaluated = await evaluation_has_begun(client)
        if streamed:
            (await request).close()
        else:
            request.cancel()
        counters = await settled(client)
    # One chunk may have finished between reading the counter and closing, one more was under way.
    assert counters.prompt_tokens_evaluated <= evaluated + 2 * CHUNK_TOKENS
    assert counters.prompt_tokens_evaluated < 2000
    assert counters.cancelled == 1
    assert counters.tokens_predicted == 0


async def test_a_cancelled_prompt_is_not_evaluated_twice(new_client: NewClient, slow_model: Path) -> None:
    """What was evaluated before a cancel is found in the cache by the next request."""
    client = new_client(slow_model, context_tokens=8192)
    await client.ensure()
    first = asyncio.ensure_future(text_of(client, InfillRequest(input_prefix=LONG_PREFIX, n_predict=4)))
    await evaluation_has_begun(client, 3 * CHUNK_TOKENS)
    first.cancel()
    counters = await settled(client)
    _, end = await text_of(client, InfillRequest(input_prefix=LONG_PREFIX, n_predict=4))
    assert end.timings is not None
    assert end.timings.cache_n == counters.prompt_tokens_evaluated


async def test_the_newest_request_of_a_session_wins(new_client: NewClient, slow_model: Path) -> None:
    """A newer request ends the older one of its session at once; another session's goes on."""
    client = new_client(slow_model, context_tokens=8192)
    await client.ensure()
    old = asyncio.ensure_future(text_of(client, InfillRequest(input_prefix=LONG_PREFIX, n_predict=64, session="a")))
    await evaluation_has_begun(client)
    _, newest = await text_of(client, InfillRequest(input_prefix="import os\n", n_predict=4, session="a"))
    assert newest.stop_type in ("limit", "eos")
    assert (await old)[1].stop_type == "cancelled"


async def test_the_deadline_counts_the_prompt(new_client: NewClient, slow_model: Path) -> None:
    """A prompt that takes longer than the deadline ends there, answerless, and computing stops."""
    client = new_client(slow_model, context_tokens=8192)
    await client.ensure()
    _, end = await text_of(client, InfillRequest(input_prefix=LONG_PREFIX, n_predict=64, deadline_ms=200))
    assert end.stop_type == "deadline"
    assert end.timings is not None
    assert end.timings.predicted_n == 0
    assert (await settled(client)).prompt_tokens_evaluated == end.timings.prompt_n


async def test_a_cold_start_answers_in_time_from_a_short_prompt(new_client: NewClient, slow_model: Path) -> None:
    """The first answer comes within its deadline; the long prompt is evaluated meanwhile and serves the next keys."""
    client = new_client(slow_model, context_tokens=4096)
    await client.ensure()
    common: dict[str, Any] = {
        "input_prefix": LONG_PREFIX,
        "input_suffix": "\n",
        "n_predict": 4,
        "deadline_ms": 1500,
        "session": "a",
    }
    text, first = await text_of(client, InfillRequest(**common, prompt="val"))
    assert text
    assert first.stop_type == "limit"  # and not "deadline"
    assert first.truncated
    assert first.tokens_evaluated < 1024
    counters = await settled(client, 2.0)
    assert counters.short_prompts == 1
    _, later = await text_of(client, InfillRequest(**common, prompt="value"))
    assert later.timings is not None
    assert later.tokens_evaluated > 2000
    assert later.timings.prompt_n <= 4
    assert (await client.props()).counters.short_prompts == 1


async def test_a_short_prompt_disturbs_no_long_one(new_client: NewClient, slow_model: Path) -> None:
    """While the long prompt is evaluated bit by bit between keys, nothing of it is evaluated twice."""
    client = new_client(slow_model, context_tokens=4096)
    await client.ensure()
    common: dict[str, Any] = {"input_prefix": LONG_PREFIX, "n_predict": 2, "deadline_ms": 1000, "session": "a"}
    ends = []
    for size in range(1, 12):
        _, end = await text_of(client, InfillRequest(**common, prompt="value_name"[:size]))
        ends.append(end)
        await asyncio.sleep(0.4)
    counters = await settled(client, 2.0)
    _, last = await text_of(client, InfillRequest(**common, prompt="value_names"))
    assert last.timings is not None
    assert last.timings.prompt_n <= 6
    short = sum(end.timings.prompt_n for end in ends if end.timings and end.tokens_evaluated < 1024)
    # A decode that is broken off for a key is evaluated again.
    again = CHUNK_TOKENS * (counters.decode_aborts + 1) + 100
    assert counters.prompt_tokens_evaluated <= last.tokens_evaluated + short + again


async def test_an_idle_engine_ends_and_cleans_up(new_client: NewClient) -> None:
    """An engine that nobody asks ends by itself, with status 0, and leaves no address behind."""
    client = new_client(idle_minutes=0.005)
    await client.ensure()
    assert await has_exited(client) == 0
    assert client.launcher.endpoint() is None
    assert not list(paths.runtime_dir().glob("*.sock"))


async def test_a_leftover_socket_is_replaced(new_client: NewClient) -> None:
    """After kill -9 the socket and the address stay behind; the next window is not fooled by them."""
    first = new_client()
    await first.ensure()
    pid = (await first.props()).pid
    os.kill(pid, signal.SIGKILL)
    assert list(paths.runtime_dir().glob("*.sock"))
    second = new_client()
    async with asyncio.timeout(5):
        await second.ensure()
    assert (await second.props()).pid != pid


async def test_stopping_is_quick_while_it_computes(new_client: NewClient, slow_model: Path) -> None:
    """SIGTERM ends an engine that is in the middle of a long prompt, cleanly."""
    client = new_client(slow_model, context_tokens=8192)
    await client.ensure()
    asyncio.ensure_future(text_of(client, InfillRequest(input_prefix=LONG_PREFIX))).add_done_callback(
        lambda task: task.cancelled() or task.exception()
    )
    await evaluation_has_begun(client)
    os.kill((await client.props()).pid, signal.SIGTERM)
    assert await has_exited(client) == 0
    assert client.launcher.endpoint() is None


async def test_sockets_and_addresses_are_private(new_client: NewClient) -> None:
    """Nobody else on the machine can reach the engine or read where it is."""
    client = new_client()
    await client.ensure()
    folder = paths.runtime_dir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in [*folder.glob("*.sock"), *folder.glob("*.json")]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_loopback_tcp_asks_for_the_token(new_client: NewClient) -> None:
    """Where there are no Unix sockets the engine listens on loopback, and answers only to the token's owner."""
    client = new_client(transport="tcp")
    await client.ensure()
    found = client.launcher.endpoint()
    assert found is not None
    assert found.port
    _, end = await text_of(client, InfillRequest(input_prefix="import os\n", n_predict=2))
    assert end.stop
    async with aiohttp.ClientSession(f"http://127.0.0.1:{found.port}") as stranger:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            async with stranger.get("/props", headers=headers) as response:
                assert response.status == 401


@pytest.mark.parametrize(
    ("damage", "expected"),
    [("missing", ModelNotFound), ("random", ModelCorrupt), ("cut", ModelCorrupt), ("nan", ModelCorrupt)],
)
async def test_a_bad_model_is_a_clear_error(
    new_client: NewClient, tmp_path: Path, damage: str, expected: type[ModelError]
) -> None:
    """Every window hears what is wrong with the model and what to do, and nothing crashes."""
    path = tmp_path / "bad.gguf"
    path.write_bytes(BUNDLED_MODEL.read_bytes())
    if damage == "random":
        path.write_bytes(os.urandom(100_000))
    elif damage == "cut":
        path.write_bytes(BUNDLED_MODEL.read_bytes()[:2_000_000])
    elif damage == "nan":
        write_broken_model(BUNDLED_MODEL, path)
    one, other = new_client(path), new_client(path)
    if damage == "missing":
        path.unlink()
    for client in (one, other):
        with pytest.raises(expected) as caught:
            await client.ensure()
        assert caught.value.fix
        assert str(path) in caught.value.message


async def test_text_that_spells_control_tokens_is_text(new_client: NewClient) -> None:
    """Source code that contains a model's control tokens neither breaks the prompt nor ends the answer."""
    client = new_client()
    request = InfillRequest(input_prefix="x = '<|fim_middle|><|endoftext|>'\n", prompt="y = ", n_predict=4)
    _, end = await text_of(client, request)
    plain = InfillRequest(input_prefix="x = ''\n", prompt="y = ", n_predict=4)
    _, end_plain = await text_of(client, plain)
    # Written out, the two markers take many ordinary tokens; as control tokens they would take two.
    assert end.tokens_evaluated > end_plain.tokens_evaluated + 6


async def test_the_engine_says_what_it_does_and_never_what_it_reads(new_client: NewClient) -> None:
    """/slots and /metrics tell who is served and what was counted, in numbers and hashes; no text, no session name."""
    client = new_client()
    request = InfillRequest(input_prefix="secret_name = 1\n", prompt="secret", n_predict=3, session="window:file")
    _, end = await text_of(client, request)
    found = client.launcher.endpoint()
    assert found is not None
    assert end.timings is not None
    async with aiohttp.ClientSession("http://engine", connector=aiohttp.UnixConnector(found.socket)) as http:
        slots_text = await (await http.get("/slots")).text()
        response = await http.get("/metrics")
        metrics_text = await response.text()
    assert response.content_type == "text/plain"
    slots = msgspec.json.decode(slots_text, type=list[Slot])
    (used,) = [slot for slot in slots if slot.session]
    trained_on = read_gguf(BUNDLED_MODEL).fields["llama.context_length"].contents()
    assert (len(slots), used.is_processing) == (4, False)
    assert used.n_ctx == min(EngineConfig().context_tokens, trained_on)
    assert used.n_prompt_tokens >= end.tokens_evaluated
    assert "secret" not in slots_text + metrics_text
    assert "window" not in slots_text + metrics_text
    numbers = dict(line.rsplit(" ", 1) for line in metrics_text.split("\n") if line and not line.startswith("#"))
    assert float(numbers["llamacpp:tokens_predicted_total"]) == end.timings.predicted_n
    assert float(numbers["llamacpp:prompt_tokens_total"]) == end.timings.prompt_n
    assert float(numbers["fimble_requests_total"]) == 1
    assert float(numbers["llamacpp:requests_processing"]) == 0


async def test_what_is_no_request_is_refused(new_client: NewClient) -> None:
    """Malformed requests get 4xx answers, and the engine goes on."""
    client = new_client()
    await client.ensure()
    found = client.launcher.endpoint()
    assert found is not None
    async with aiohttp.ClientSession("http://engine", connector=aiohttp.UnixConnector(found.socket)) as http:
        for path, body in (
            ("/infill", b"not json"),
            ("/infill", b'{"n_predict": "many"}'),
            ("/infill", b'{"priority": "urgent"}'),
            ("/completion", b'{"prompt": [99999999]}'),
            ("/completion", b'{"prompt": [-1]}'),
            ("/completion", b'{"prompt": []}'),
        ):
            async with http.post(path, data=body) as response:
                assert response.status == 400, (path, body)
                assert "error" in await response.json()
        async with http.get("/nothing") as response:
            assert response.status == 404
        async with http.post("/v1/completions", data=b'{"prompt": "import ", "max_tokens": 3}') as response:
            assert (await response.json())["choices"][0]["finish_reason"] in ("length", "stop")
    _, end = await text_of(client, InfillRequest(input_prefix="import os\n", n_predict=2))
    assert end.stop


async def test_many_random_cancels_leave_a_working_engine(new_client: NewClient) -> None:
    """After a hundred cancels at random moments the answer is what a fresh engine gives."""
    client = new_client()
    request = InfillRequest(input_prefix=LONG_PREFIX[:900], prompt="value = ", input_suffix="\n", n_predict=24)
    expected, _ = await text_of(client, request)
    for round_ in range(100):
        other = InfillRequest(input_prefix=LONG_PREFIX[round_ * 7 :][:900], prompt="v", n_predict=32, session="c")
        task = asyncio.ensure_future(text_of(client, other))
        await asyncio.sleep(0.0005 * (round_ % 20))
        task.cancel()
    answer, _ = await text_of(client, request)
    assert answer == expected
