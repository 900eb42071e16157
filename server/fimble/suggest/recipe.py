"""One keystroke, from the question to the suggestions.

    gate -> recall -> echo -> window -> model -> stop -> trim -> remember

Memory and echo answer in microseconds and without the engine.  The model is asked only when they have nothing
good enough, and is stopped as soon as its answer is complete or nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from fimble import catalog, echo
from fimble.context.anchor import Anchors, Window
from fimble.core import Ask, Source, Suggestion, Trigger
from fimble.engine.wire import InfillRequest
from fimble.errors import EngineError, FimbleError, ModelError
from fimble.languages import are_related
from fimble.settings import Config
from fimble.stats import Stats
from fimble.store import Store
from fimble.suggest.gate import Gate
from fimble.suggest.place import Place, unix_lines
from fimble.suggest.recall import Memory
from fimble.suggest.stop import Stop
from fimble.suggest.trim import trim

if TYPE_CHECKING:
    from fimble.engine.client import EngineClient

#: A repetition of so many characters is the model's draft, and from the second number on it is shown if the model
#: has nothing.
_LEAST_DRAFT_CHARS = 4
_LEAST_ECHO_CHARS = 8

#: The engine keeps the deadline itself; this much later it is taken for stuck.
_GRACE_S = 0.25


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a keystroke came to: suggestions, or why there are none."""

    suggestions: tuple[Suggestion, ...] = ()
    silence: str = ""


class Suggester:
    """The recipe, with what it needs to know between keystrokes.  One per window."""

    def __init__(
        self,
        config: Config,
        engine: EngineClient | None,
        store: Store | None = None,
        stats: Stats | None = None,
        on_failure: Callable[[FimbleError], None] = lambda _error: None,
    ) -> None:
        self._config = catalog.suited(config)
        self._engine = engine
        self._store = store
        self._stats = stats or Stats()
        self._on_failure = on_failure
        self._gate = Gate(config)
        self._anchors = Anchors()
        self._memory = Memory()
        # Two windows may show the same file; their requests must not replace each other.
        self._session = secrets.token_hex(4)

    async def suggest(self, ask: Ask) -> Outcome:
        """Answer *ask*.  Never raises for what a user, a model or an engine does; cancelling stops the engine, too."""
        started = time.perf_counter()
        place = Place.at(ask.document, ask.offset)
        if silence := self._gate.why_silent(ask):
            return Outcome(silence=silence)
        invoked = ask.trigger is Trigger.INVOKED
        found: list[tuple[str, Source]] = []
        if remembered := self._recall(ask, place):
            found.append((remembered, Source.MEMORY))
        copy = self._copy(ask) if invoked or not found else None
        copied = trim(copy.text, place) if copy else ""
        if copy and copied and copy.match_chars >= self._config.suggest.echo_min_chars:
            found.append((copied, Source.ECHO))
        if invoked or not found:
            written = await self._ask_model(ask, place, copy.text if copy else "")
            if written:
                found.append((written, Source.MODEL))
            elif copy and copied and copy.match_chars >= _LEAST_ECHO_CHARS:
                found.append((copied, Source.ECHO))
        return self._conclude(ask, place, found, (time.perf_counter() - started) * 1000)

    async def warm(self, ask: Ask) -> None:
        """Have the engine evaluate what the next key at *ask* will need, if it does not have it.

        For idle moments: the engine lets everybody else go first, and cancelling stops it.  Never raises.
        """
        if self._engine is None or not self._engine.is_ready or self._gate.why_silent(ask):
            return
        frame = self._anchors.ahead(ask.document, ask.offset)
        if frame is None:
            return
        request = self._request(ask, frame.window(ask.document.text.source, ask.offset))
        request.n_predict, request.deadline_ms = 0, 0
        request.session += ":ahead"  # beside what the cache has of the place where the user has been
        self._stats.add("warming_requests")
        try:
            async with aclosing(self._engine.infill(request)) as chunks:
                async for chunk in chunks:
                    if chunk.stop_type == "limit":
                        self._anchors.adopt(ask.document.uri, frame)
        except (EngineError, ModelError):
            self._stats.add("engine_failures")  # the next key meets the same failure, and reports it

    def forget(self, uri: str) -> None:
        """A document was closed."""
        self._anchors.forget(uri)

    def _conclude(self, ask: Ask, place: Place, found: list[tuple[str, Source]], latency_ms: float) -> Outcome:
        first: dict[str, Source] = {}
        for text, source in found:
            first.setdefault(text, source)
        suggestions = tuple(Suggestion(text, source, latency_ms=latency_ms) for text, source in first.items())
        if not suggestions:
            return Outcome(silence="nothing worth showing was found")
        if suggestions[0].source is not Source.MEMORY:
            self._memory.remember(ask.document.uri, place, suggestions[0].text)
        return Outcome(suggestions)

    def _recall(self, ask: Ask, place: Place) -> str:
        text = self._memory.recall(ask.document.uri, place)
        return trim(text, place) if text else ""

    def _copy(self, ask: Ask) -> echo.Echo | None:
        if not self._config.suggest.echo:
            return None
        source = ask.document.text.source
        others = (
            unix_lines(other.text.source[-echo.MAX_SEARCH_CHARS :])
            for other in ask.others
            if are_related(ask.document.language, other.language) and not self._gate.is_excluded(other.path)
        )
        before = source[max(0, ask.offset - echo.MAX_SEARCH_CHARS) : ask.offset]
        return echo.find(unix_lines(before), others, _LEAST_DRAFT_CHARS)

    async def _ask_model(self, ask: Ask, place: Place, draft: str) -> str:
        if self._engine is None:
            return ""
        stop = Stop(place, self._config.suggest.multiline)
        request = self._request(ask, self._anchors.window(ask.document, ask.offset))
        request.draft = _sendable(draft)
        key = self._store_key(request, stop.is_block)
        if self._store and (stored := await self._store.get(key)) is not None:
            self._stats.add("disk_hits")
            return trim(stored, place)
        try:
            text, complete = await self._generate(request, stop)
        except (EngineError, ModelError) as failure:
            self._stats.add("engine_failures")
            self._on_failure(failure)
            return ""
        if self._store and complete:
            # As it was written: what has to be trimmed may be different when it is found again.
            self._store.put(key, text)
        return trim(text, place)

    def _request(self, ask: Ask, window: Window) -> InfillRequest:
        return InfillRequest(
            input_prefix=_sendable(window.prefix),
            prompt=_sendable(window.typed),
            input_suffix=_sendable(window.suffix),
            filename=_sendable(ask.document.path),
            n_predict=self._config.suggest.max_tokens,
            deadline_ms=self._config.suggest.deadline_ms,
            session=f"{self._session}:{ask.document.uri}",
        )

    async def _generate(self, request: InfillRequest, stop: Stop) -> tuple[str, bool]:
        """The model's text up to where it should end, and whether it got there (and not only to the deadline)."""
        assert self._engine is not None
        text = ""
        try:
            async with asyncio.timeout(request.deadline_ms / 1000 + _GRACE_S):
                await self._engine.ensure()
                self._stats.add("engine_requests")
                async with aclosing(self._engine.infill(request)) as chunks:
                    async for chunk in chunks:
                        text += chunk.content
                        if (end := stop.cut(text)) is not None:
                            return text[:end], True
                        if chunk.stop:
                            return text, chunk.stop_type in ("eos", "word", "limit")
        except TimeoutError:
            self._stats.add("deadlines")
        return text, False

    def _store_key(self, request: InfillRequest, is_block: bool) -> str:
        assert self._engine is not None
        model = self._engine.launcher.settings.model_digest
        texts = (request.filename, request.input_prefix, request.prompt, request.input_suffix)
        asked = (model, is_block, request.n_predict, *texts)
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()


def _sendable(text: str) -> str:
    """*text* with ``\n`` line ends, and with what no encoding can carry (half an emoji) replaced."""
    text = unix_lines(text)
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
