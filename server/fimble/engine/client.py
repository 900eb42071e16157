"""The window's side of the engine: start it when needed, ask it, survive it.

The engine may be killed, crash or be missing at any moment.  A request then fails fast with an EngineError,
and the next one finds a new engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

import aiohttp
import msgspec

from fimble.engine.endpoint import Endpoint
from fimble.engine.failures import as_error
from fimble.engine.launch import Launcher
from fimble.engine.watch import ModelWatch
from fimble.engine.wire import Chunk, ErrorAnswer, Health, InfillRequest, PromptPart, Props
from fimble.errors import EngineCrashed, EngineError, EngineOverloaded, EngineUnreachable, FimbleError, ModelError

T = TypeVar("T")

#: How long to wait before the next start after the first, second and third crash in a row, in seconds.  After
#: the third the engine is left alone for a while: the cache and echo go on without it.
_BACKOFF_S = (0.0, 1.0, 60.0)

#: A model that cannot be used is looked at again after this long: its file may have been replaced.
_MODEL_RETRY_S = 30.0

#: A model of many gigabytes on a slow disk takes its time.
_START_TIMEOUT_S = 300.0

_POLL_S = 0.02
_LOOK_TIMEOUT_S = 5.0


class EngineClient:
    """Talks to the engine of one Launcher, or of those that a *watch* chooses; belongs to one event loop.

    *on_progress* hears the share of the model that is loaded, from 0 to 1; *on_notice* what a person should know of an
    engine that works (an adapter that is not used).
    """

    def __init__(
        self,
        launcher: Launcher,
        on_progress: Callable[[float], None] = lambda _share: None,
        watch: ModelWatch | None = None,
        on_notice: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self.launcher = launcher
        self.on_progress = on_progress
        self._on_notice = on_notice
        self.n_ctx = 0
        """How long prompts may be, in tokens; 0 until an engine has answered."""
        self._session: aiohttp.ClientSession | None = None
        self._endpoint: Endpoint | None = None
        self._starting: asyncio.Task[None] | None = None
        self._watch = watch
        self._telling: asyncio.Task[None] | None = None
        self._crashes = 0
        self._not_before = 0.0
        self._was_up = False
        # The process of an engine that was seen loading; 0 if none was, or it is up.
        self._loading = 0
        self._model_failure: FimbleError | None = None
        self._model_retry_at = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether an engine has answered and has not failed since."""
        return self._endpoint is not None

    @property
    def is_starting(self) -> bool:
        """Whether an engine is being started, or its model loaded."""
        return self._starting is not None and not self._starting.done()

    async def ensure(self) -> None:
        """Wait until an engine with the model loaded answers, starting one if there is none.

        Callers share one attempt, and being cancelled does not stop it.  Raises ModelError if the model cannot
        be used, EngineError if no engine comes up.
        """
        if self._endpoint is not None:
            return
        if self._model_failure and time.monotonic() < self._model_retry_at:
            raise self._model_failure
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._start())
            # Somebody may have stopped waiting before it fails; the failure is then nobody's news.
            self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._starting)

    async def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk, None]:
        """Stream the answer to *request*; closing the iterator cancels the engine's work.

        Raises EngineCrashed when the engine goes away meanwhile, EngineOverloaded when it has too much to do.
        """
        await self.ensure()
        asked = self._endpoint
        request.stream = True
        try:
            async with self._http().post("/infill", data=msgspec.json.encode(request)) as response:
                if response.status != 200:
                    raise _as_error(await response.read())
                async for line in response.content:
                    if line.startswith(b"data: "):
                        yield _parse_event(line[6:])
        except GeneratorExit:
            self._crashes = 0  # an answer that is long enough is one
            raise
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            # Whom nobody could connect to was gone before.
            await self._lost(asked, was_answering=not isinstance(error, aiohttp.ClientConnectorError))
            raise EngineCrashed("The engine stopped while it was answering.") from error
        self._crashes = 0

    async def props(self) -> Props:
        """Who the engine is and what it has done.  Raises EngineUnreachable."""
        return await _get_props(self._http())

    async def account(self, request: InfillRequest) -> list[PromptPart]:
        """What the prompt of *request* is made of.  Raises EngineUnreachable."""
        await self.ensure()
        timeout = aiohttp.ClientTimeout(total=_LOOK_TIMEOUT_S)
        try:
            async with self._http().post("/account", data=msgspec.json.encode(request), timeout=timeout) as response:
                return msgspec.json.decode(await response.read(), type=list[PromptPart])
        except (aiohttp.ClientError, ConnectionError, TimeoutError, ValueError, msgspec.DecodeError) as error:
            raise EngineUnreachable("The engine does not answer.", "Stop it with `fimble engine stop`.") from error

    async def close(self) -> None:
        """Let go of the connection; the engine stays for other windows."""
        if self._starting:
            self._starting.cancel()
        await self._drop_session()

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise EngineUnreachable("There is no engine.")
        return self._session

    async def _lost(self, asked: Endpoint | None, *, was_answering: bool) -> None:
        """Forget the engine that was asked: it went away.  Several requests lose it, but it is one crash."""
        if self._endpoint is not asked:
            return
        self._endpoint = None
        if self._watch and asked and was_answering:
            self._tell(self._watch.crashed(self.launcher, asked.pid, is_loading=False))
        await self._drop_session()
        self._note_crash()

    def _tell(self, news: Coroutine[Any, Any, None]) -> None:
        """Let the watch know beside what else happens; the next start waits until it does."""
        self._telling = asyncio.create_task(news)

    async def _choose(self) -> bool:
        """Ask the watch what to start now.  Whether that is another model than before."""
        if self._telling:
            await asyncio.wait({self._telling})
        if self._watch is None:
            return False
        before, self.launcher = self.launcher, await self._watch.choose()
        if self.launcher is before:
            return False
        self._crashes, self._not_before, self._was_up, self._loading = 0, 0.0, False, 0
        return True

    def _note_crash(self) -> None:
        self._crashes += 1
        self._not_before = time.monotonic() + _BACKOFF_S[min(self._crashes, len(_BACKOFF_S)) - 1]

    async def _back_off(self) -> None:
        """Wait until the next start is due.  Raises EngineCrashed after too many crashes in a row."""
        wait = max(self._not_before - time.monotonic(), 0.0)
        if self._crashes < len(_BACKOFF_S):
            await asyncio.sleep(wait)
        elif wait:
            said = self.launcher.last_words()
            raise EngineCrashed(
                f"The engine stopped {self._crashes} times in a row" + (f" ({said})." if said else "."),
                "It is tried again in a minute; `fimble doctor` helps to find out why.",
            )
        else:
            self._crashes = 0

    async def _start(self) -> None:
        await self._choose()
        await self._back_off()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                if await self._try_connect():
                    return
            except ModelError as failure:
                if not (self._watch and await self._go_on_without(self._watch, failure)):
                    raise
            if self._session is None and not self.launcher.is_starting:
                await self._spawn()
            await asyncio.sleep(_POLL_S)
        raise EngineUnreachable("The engine did not start in time.", "Run `fimble doctor` to find out why.")

    async def _go_on_without(self, watch: ModelWatch, failure: ModelError) -> bool:
        """The model was refused; whether there is another."""
        await watch.refused(self.launcher, failure)
        if not await self._choose():
            return False
        self._model_failure = None
        return True

    async def _spawn(self) -> None:
        crashed, self._loading = self._loading, 0  # perhaps another window's
        # 0: it ended when idle; 3: another engine is there, or just going.  Neither is a crash.
        if not self._was_up and self.launcher.exit_status() not in (None, 0, 3):
            self._note_crash()
            crashed = self.launcher.child_pid
        if self._watch and crashed:
            await self._watch.crashed(self.launcher, crashed, is_loading=True)
        await self._choose()  # another window may have put the model aside meanwhile
        await self._back_off()
        self._was_up = False
        await asyncio.to_thread(self.launcher.spawn)

    async def _try_connect(self) -> bool:
        """True when an engine with a loaded model answers."""
        found = self.launcher.endpoint()
        if found is None:
            return False
        if self._session is None:
            self._session = _open_session(found)
        try:
            async with self._session.get("/health", timeout=aiohttp.ClientTimeout(total=_LOOK_TIMEOUT_S)) as response:
                health = msgspec.json.decode(await response.read(), type=Health)
        except (aiohttp.ClientError, ConnectionError, TimeoutError, ValueError, msgspec.DecodeError):
            await self._drop_session()
            return False
        if health.status == "ok":
            self._endpoint, self._was_up, self._loading, self.n_ctx = found, True, 0, health.n_ctx
            if health.notice:
                self._on_notice(health.notice)
            if self._watch:
                self._tell(self._watch.works(self.launcher))
            return True
        if health.status == "error" and health.error:
            await self._drop_session()
            self._model_failure = as_error(health.error)
            self._model_retry_at = time.monotonic() + _MODEL_RETRY_S
            raise self._model_failure
        self._loading = found.pid
        self.on_progress(health.progress)
        return False

    async def _drop_session(self) -> None:
        session, self._session = self._session, None
        if session:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                await session.close()


async def ask_props(found: Endpoint) -> Props:
    """Who the engine at *found* is and what it has done.  Raises EngineUnreachable."""
    async with _open_session(found) as session:
        return await _get_props(session)


async def _get_props(session: aiohttp.ClientSession) -> Props:
    try:
        async with session.get("/props", timeout=aiohttp.ClientTimeout(total=_LOOK_TIMEOUT_S)) as response:
            return msgspec.json.decode(await response.read(), type=Props)
    except (aiohttp.ClientError, ConnectionError, TimeoutError, ValueError, msgspec.DecodeError) as error:
        raise EngineUnreachable("The engine does not answer.", "Stop it with `fimble engine stop`.") from error


def _open_session(found: Endpoint) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    if found.socket:
        return aiohttp.ClientSession(
            "http://engine", connector=aiohttp.UnixConnector(found.socket), timeout=timeout, trust_env=False
        )
    headers = {"Authorization": f"Bearer {found.token}"}
    return aiohttp.ClientSession(f"http://127.0.0.1:{found.port}", headers=headers, timeout=timeout, trust_env=False)


def _parse_event(data: bytes) -> Chunk:
    if data.startswith(b'{"error"'):
        raise _as_error(data)
    return msgspec.json.decode(data, type=Chunk)


def _as_error(body: bytes) -> FimbleError:
    try:
        error = msgspec.json.decode(body, type=ErrorAnswer).error
    except (ValueError, msgspec.DecodeError):
        return EngineError("The engine answered something that cannot be read.")
    if error.type == EngineOverloaded.__name__:
        return EngineOverloaded(error.message, error.fix)
    return as_error(error)
