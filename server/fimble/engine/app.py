"""The engine's HTTP side: llama-server's dialect over ASGI.

Closing the connection cancels: every answer, streamed or not, races with the client's going away.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.routing import Route

from fimble import __version__
from fimble.engine import metrics
from fimble.engine.failures import error_body
from fimble.engine.job import Job
from fimble.engine.outbox import Outbox
from fimble.engine.prompt import account
from fimble.engine.scheduler import Scheduler
from fimble.engine.wire import (
    PROTOCOL,
    Chunk,
    CompletionRequest,
    ErrorAnswer,
    ErrorBody,
    Health,
    InfillRequest,
    OpenAIRequest,
    Props,
)
from fimble.errors import EngineOverloaded, FimbleError

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: A prompt is at most some hundred kilobytes; anything near this is a mistake.
_MAX_BODY_BYTES = 32 * 1024 * 1024

#: Who only looks does not keep an idle engine alive.
_LOOKS = ("/health", "/props", "/slots", "/metrics")

_encode = msgspec.json.Encoder().encode


class App:
    """The ASGI application around one scheduler.

    With a *token* (loopback TCP) every request must carry it; over a Unix socket the folder's permissions do
    that work.
    """

    def __init__(self, scheduler: Scheduler, token: str = "") -> None:
        self.scheduler = scheduler
        self.in_flight = 0
        self.last_used = time.monotonic()
        self._token = f"Bearer {token}".encode() if token else b""
        routes = [
            Route("/health", _Endpoint(self._health), methods=["GET"]),
            Route("/props", _Endpoint(self._props), methods=["GET"]),
            Route("/slots", _Endpoint(self._slots), methods=["GET"]),
            Route("/metrics", _Endpoint(self._metrics), methods=["GET"]),
            Route("/account", _Endpoint(self._account), methods=["POST"]),
            Route("/infill", _Endpoint(self._infill), methods=["POST"]),
            Route("/completion", _Endpoint(self._completion), methods=["POST"]),
            Route("/v1/completions", _Endpoint(self._openai), methods=["POST"]),
        ]
        self._router = Starlette(routes=routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (or uvicorn's lifespan messages)."""
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        if self._token and not secrets.compare_digest(dict(scope["headers"]).get(b"authorization", b""), self._token):
            await _error(send, 401, "The token is missing or wrong.", "authentication_error")
            return
        self.in_flight += 1
        try:
            await self._router(scope, receive, send)
        finally:
            self.in_flight -= 1
            if scope["path"] not in _LOOKS:
                self.last_used = time.monotonic()

    def idle_seconds(self) -> float:
        """How long nobody has asked for anything."""
        return 0.0 if self.in_flight else time.monotonic() - self.last_used

    async def _health(self, _receive: Receive, send: Send) -> None:
        scheduler = self.scheduler
        if scheduler.failure:
            await _json(send, 503, Health(status="error", error=error_body(scheduler.failure, 503)))
        elif not scheduler.ready:
            body = ErrorBody(code=503, message="Loading model", type="unavailable_error")
            await _json(send, 503, Health(status="loading model", progress=scheduler.progress, error=body))
        else:
            await _json(send, 200, Health(status="ok", n_ctx=scheduler.n_ctx, notice=scheduler.notice))

    async def _props(self, _receive: Receive, send: Send) -> None:
        scheduler = self.scheduler
        model = scheduler.model
        props = Props(
            fimble=__version__,
            protocol=PROTOCOL,
            pid=os.getpid(),
            model_path=scheduler.settings.model_path,
            model_digest=scheduler.settings.model_digest,
            model_description=model.description if model else "",
            n_params=model.n_params if model else 0,
            n_ctx=scheduler.n_ctx,
            can_roll_back=not (model and model.why_no_roll_back),
            why_no_roll_back=model.why_no_roll_back if model else "",
            tuning=scheduler.tuner.tuning,
            load=scheduler.tuner.load,
            settings=scheduler.settings,
            counters=scheduler.counters,
        )
        await _json(send, 200, props)

    async def _slots(self, _receive: Receive, send: Send) -> None:
        await _json(send, 200, self.scheduler.slots())

    async def _metrics(self, _receive: Receive, send: Send) -> None:
        processing, deferred = self.scheduler.load
        body = await asyncio.to_thread(metrics.render, self.scheduler.counters, processing, deferred)
        await _send_body(send, 200, body, metrics.CONTENT_TYPE)

    async def _account(self, receive: Receive, send: Send) -> None:
        request, model = await _body(receive, InfillRequest), self.scheduler.model
        if model is None:
            await self._health(receive, send)
            return
        parts = await asyncio.to_thread(account, request, model.vocab, model.fim, self.scheduler.n_ctx)
        await _json(send, 200, parts)

    async def _infill(self, receive: Receive, send: Send) -> None:
        request = await _body(receive, InfillRequest)
        await self._answer(request, request.stream, receive, send)

    async def _completion(self, receive: Receive, send: Send) -> None:
        request = await _body(receive, CompletionRequest)
        await self._answer(request, request.stream, receive, send)

    async def _openai(self, receive: Receive, send: Send) -> None:
        asked = await _body(receive, OpenAIRequest)
        stop = [asked.stop] if isinstance(asked.stop, str) else asked.stop or []
        common: dict[str, Any] = {"n_predict": asked.max_tokens, "stop": stop, "stream": asked.stream}
        common |= {"temperature": asked.temperature, "top_p": asked.top_p, "seed": asked.seed}
        request: InfillRequest | CompletionRequest
        if asked.suffix is None:
            request = CompletionRequest(prompt=asked.prompt, **common)
        else:
            request = InfillRequest(input_prefix=asked.prompt, input_suffix=asked.suffix, **common)
        await self._answer(request, asked.stream, receive, send, _as_openai, done=b"data: [DONE]\n\n")

    async def _answer(
        self,
        request: InfillRequest | CompletionRequest,
        stream: bool,
        receive: Receive,
        send: Send,
        shape: Callable[[Chunk], Any] = lambda chunk: chunk,
        done: bytes = b"",
    ) -> None:
        """Run *request* and write its answer; stop its computing when the client goes away."""
        if not self.scheduler.ready:
            await self._health(receive, send)
            return
        loop = asyncio.get_running_loop()
        chunks = Outbox(loop)
        job = Job(request, chunks.put)
        self.scheduler.submit(job)
        timer = None
        if request.deadline_ms > 0:
            timer = loop.call_later(request.deadline_ms / 1000, self.scheduler.end, job, "deadline")
        watcher = asyncio.create_task(self._watch(receive, job))
        try:
            if stream:
                await _send_stream(send, chunks, shape, done)
            else:
                await _send_whole(send, chunks, shape)
        finally:
            watcher.cancel()
            if timer:
                timer.cancel()
            self.scheduler.end(job, "cancelled")

    async def _watch(self, receive: Receive, job: Job) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.scheduler.end(job, "cancelled")


class _Endpoint:
    """An ASGI app out of one handler; what goes wrong becomes an error answer."""

    def __init__(self, handler: Callable[[Receive, Send], Awaitable[None]]) -> None:
        self._handler = handler

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._handler(receive, send)
        except (msgspec.DecodeError, ValueError) as error:
            await _error(send, 400, str(error), "invalid_request_error")
        except EngineOverloaded as error:
            await _error(send, 503, error.message, type(error).__name__, error.fix)
        except FimbleError as error:
            await _error(send, 500, error.message, type(error).__name__, error.fix)


async def _body(receive: Receive, kind: type[T]) -> T:
    data = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ValueError("the request was cut off")
        data += message.get("body", b"")
        if len(data) > _MAX_BODY_BYTES:
            raise ValueError(f"the request is larger than {_MAX_BODY_BYTES} bytes")
        if not message.get("more_body"):
            return msgspec.json.decode(data, type=kind)


async def _send_whole(send: Send, chunks: Outbox, shape: Callable[[Chunk], Any]) -> None:
    text: list[str] = []
    details: list[dict[str, Any]] = []
    async for chunk in chunks:
        text.append(chunk.content)
        details += chunk.completion_probabilities or []
        if chunk.stop:
            chunk.content = "".join(text)
            chunk.completion_probabilities = details or None
            await _json(send, 200, shape(chunk))


async def _send_stream(send: Send, chunks: Outbox, shape: Callable[[Chunk], Any], done: bytes) -> None:
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    try:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": _event(shape(chunk)), "more_body": True})
    except Exception as error:
        # The status line is gone already: llama-server sends such an error as an event, too.
        code = 503 if isinstance(error, EngineOverloaded) else 500
        body = ErrorBody(code=code, message=str(error), type=type(error).__name__)
        await send({"type": "http.response.body", "body": _event(ErrorAnswer(body)), "more_body": True})
    await send({"type": "http.response.body", "body": done, "more_body": False})


def _event(item: Any) -> bytes:
    return b"data: " + _encode(item) + b"\n\n"


def _as_openai(chunk: Chunk) -> dict[str, Any]:
    finish = {"limit": "length"}.get(chunk.stop_type, "stop") if chunk.stop else None
    return {
        "object": "text_completion",
        "choices": [{"index": 0, "text": chunk.content, "finish_reason": finish, "logprobs": None}],
    }


async def _json(send: Send, status: int, item: Any) -> None:
    await _send_body(send, status, _encode(item), "application/json")


async def _send_body(send: Send, status: int, body: bytes, kind: str) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _error(send: Send, status: int, message: str, kind: str, fix: str = "") -> None:
    await _json(send, status, ErrorAnswer(ErrorBody(code=status, message=message, type=kind, fix=fix)))
