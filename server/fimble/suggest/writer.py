"""What the model writes at a place: the request, and the stream up to where the answer ends."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fimble.context.anchor import Anchors, Window
from fimble.core import Ask, Document
from fimble.engine.wire import ExtraFile, InfillRequest
from fimble.errors import EngineError, FimbleError, ModelError
from fimble.settings import SuggestConfig
from fimble.stats import Stats
from fimble.store import Store
from fimble.suggest.archive import Archive
from fimble.suggest.evidence import Written
from fimble.suggest.explanation import ToldPart, told
from fimble.suggest.following import typed_since
from fimble.suggest.place import Place, unix_lines
from fimble.suggest.stop import Stop
from fimble.suggest.surroundings import Surroundings

if TYPE_CHECKING:
    from fimble.engine.client import EngineClient

#: The engine keeps the deadline itself; this much later it is taken for stuck.
_GRACE_S = 0.25


@dataclass(frozen=True, slots=True)
class Answer:
    """What was written, up to where it should end."""

    text: str
    is_complete: bool = True
    """Whether it got there, and not only to the deadline."""
    tokens: tuple[Written, ...] = ()
    """With their probabilities; empty if those are not known."""
    is_stored: bool = False
    """Whether it comes from the disk."""


class Writer:
    """The model, as one window asks it.  *on_failure* hears what a question of the user's has met."""

    def __init__(
        self,
        config: SuggestConfig,
        engine: EngineClient | None,
        store: Store | None,
        stats: Stats,
        on_failure: Callable[[FimbleError], None],
        surroundings: Surroundings | None = None,
    ) -> None:
        self._config = config
        self._surroundings = surroundings
        self._engine = engine
        self._archive = Archive(store, config.max_tokens, config.multiline) if store else None
        self._stats = stats
        self._on_failure = on_failure
        self._anchors = Anchors()
        #: What running answers have written so far, by the engine's sessions.
        self._written: dict[str, str] = {}
        # Two windows may show the same file; their requests must not replace each other.
        self._session = secrets.token_hex(4)

    async def stored(self, ask: Ask, place: Place) -> Answer | None:
        """What an earlier session wrote here, if it is known."""
        if self._archive and self._engine:
            text = await self._archive.find(self._model, ask.document.path, place)
            if text is not None:
                self._stats.add("disk_hits")
                return Answer(text, is_stored=True)
        return None

    def keep(self, ask: Ask, place: Place, answer: Answer) -> None:
        """Store *answer* as it was written: what has to be trimmed may be different when it is found again."""
        if self._archive and answer.is_complete and not answer.is_stored:
            self._archive.keep(self._model, ask.document.path, place, answer.text)

    async def write(self, ask: Ask, stop: Stop, draft: str) -> Answer | None:
        """Ask the model; None if it cannot be asked.  *draft* is what is likely to come, for it to check.

        Never raises but when cancelled, which stops the engine, too.
        """
        if self._engine is None or (ask.is_guess and not self._engine.is_ready):
            return None
        request = self._request(ask, self._anchors.window(ask.document, ask.offset))
        request.draft = _sendable(draft)
        try:
            return await self._stream(self._engine, request, stop)
        except (EngineError, ModelError) as failure:
            self._stats.add("engine_failures")
            if not ask.is_guess:
                self._on_failure(failure)
            return None

    async def gather(self, ask: Ask) -> bool:
        """Find what other files have to say about *ask*; whether that is news, with which its next frames begin."""
        if not (self._surroundings and self._engine and self._engine.is_ready):
            return False
        kept = self._anchors.snippets(ask.document.uri)
        found = await self._surroundings.find(ask, kept, self._engine.n_ctx)
        if found == kept:
            return False
        self._stats.add("snippets_changed")
        self._anchors.want(ask.document.uri, found)
        return True

    async def warm(self, ask: Ask) -> None:
        """Have the engine evaluate what the next key at *ask* will need, if it does not have it.

        The engine lets everybody else go first, and cancelling stops it.  Never raises.
        """
        if self._engine is None or not self._engine.is_ready:
            return
        frame = self._anchors.ahead(ask.document, ask.offset)
        if frame is None:
            return
        request = self._request(ask, frame.window(ask.document.text.source, ask.offset))
        request.n_predict, request.n_probs, request.deadline_ms = 0, 0, 0
        request.session += ":ahead"  # beside what the cache has of the place where the user has been
        self._stats.add("warming_requests")
        try:
            async with aclosing(self._engine.infill(request)) as chunks:
                async for chunk in chunks:
                    if chunk.stop_type == "limit":
                        self._anchors.adopt(ask.document.uri, frame)
                        if self._surroundings and chunk.timings:
                            self._surroundings.evaluated(chunk.timings.prompt_ms / 1000)
        except (EngineError, ModelError):
            self._stats.add("engine_failures")  # the next key meets the same failure, and reports it

    async def explain(self, ask: Ask) -> tuple[ToldPart, ...]:
        """What the model is told at *ask*; nothing, if it cannot be asked.  Raises EngineError and ModelError."""
        if self._engine is None:
            return ()
        if frame := self._anchors.ahead(ask.document, ask.offset):
            self._anchors.adopt(ask.document.uri, frame)  # evaluated or not
        window = self._anchors.window(ask.document, ask.offset)
        return told(await self._engine.account(self._request(ask, window)), window.snippets)

    def is_writing_on(self, ask: Ask, document: Document | None) -> bool:
        """Whether the answer to *ask* is being written, and begins with what was typed until *document*."""
        typed = typed_since(ask, document) if document else None
        return bool(typed) and self._written.get(self._session_of(ask), "").startswith(typed or "")

    def forget(self, uri: str) -> None:
        """A document was closed."""
        self._anchors.forget(uri)
        if self._surroundings:
            self._surroundings.forget(uri)

    @property
    def _model(self) -> str:
        assert self._engine is not None
        return self._engine.launcher.settings.weights_digest

    def _request(self, ask: Ask, window: Window) -> InfillRequest:
        return InfillRequest(
            input_prefix=_sendable(window.prefix),
            prompt=_sendable(window.typed),
            input_suffix=_sendable(window.suffix),
            input_extra=[ExtraFile(_sendable(s.filename), _sendable(s.text)) for s in window.snippets],
            filename=_sendable(ask.document.path),
            repo_name=_sendable(self._surroundings.repository_of(ask)) if self._surroundings else "",
            n_predict=self._config.max_tokens,
            n_probs=1,
            deadline_ms=self._config.deadline_ms,
            session=self._session_of(ask),
            priority="speculative" if ask.is_guess else "interactive",
        )

    def _session_of(self, ask: Ask) -> str:
        # A guess must not end what the user asks, nor cut what the cache has of it.
        return f"{self._session}:{ask.document.uri}" + ":next" * ask.is_guess

    async def _stream(self, engine: EngineClient, request: InfillRequest, stop: Stop) -> Answer:
        text, tokens = "", list[Written]()
        try:
            async with asyncio.timeout(request.deadline_ms / 1000 + _GRACE_S):
                await engine.ensure()
                self._stats.add("prefetch_requests" if request.priority == "speculative" else "engine_requests")
                async with aclosing(engine.infill(request)) as chunks:
                    async for chunk in chunks:
                        text += chunk.content
                        self._written[request.session] = text
                        tokens += [Written(t["token"], t["logprob"]) for t in chunk.completion_probabilities or ()]
                        if (end := stop.cut(text)) is not None:
                            return Answer(text[:end], True, tuple(tokens))
                        if chunk.stop:
                            return Answer(text, chunk.stop_type in ("eos", "word", "limit"), tuple(tokens))
        except TimeoutError:
            self._stats.add("deadlines")
        finally:
            self._written.pop(request.session, None)
        return Answer(text, False, tuple(tokens))


def _sendable(text: str) -> str:
    """*text* with ``\\n`` line ends, and with what no encoding can carry (half an emoji) replaced."""
    text = unix_lines(text)
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
