"""What the server is doing, told to the editor whenever it changes: ``fimble/status``."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fimble.core import Document
from fimble.lsp.session import Session

#: Custom notification, for LSP has none: the fields of `Status`.  Sent to clients whose capabilities say
#: ``{"experimental": {"fimbleStatus": true}}``; the others would only wonder in their logs.
STATUS_NOTIFICATION = "fimble/status"

#: Work that takes less is not worth a flicker: the longest answer of the bundled model takes 0.2 s on two cores.
_PATIENCE_S = 0.3


class State(StrEnum):
    """What a status line says in one word."""

    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    WORKING = "working"
    OFF = "off"
    """Nothing is suggested in the document that the user is in, or anywhere."""
    ERROR = "error"
    """The model cannot be used; copies of what the files say are still suggested."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state, a sentence that explains it, the model's name, and the loaded share in percent while loading."""

    state: State
    message: str
    model: str = ""
    percentage: int | None = None


class StatusTeller:
    """Tells each change of the status once, by *send*.  Belongs to one event loop; silent until `is_wanted`."""

    def __init__(self, session: Session, send: Callable[[dict[str, Any]], None]) -> None:
        self.is_wanted = False
        self._session = session
        self._send = send
        self._told: Status | None = None
        self._document: Document | None = None
        self._percentage = 0
        self._slow = 0

    def changed(self, document: Document | None = None) -> None:
        """Something may have changed; the user is in *document*, if it is given."""
        if not self.is_wanted:
            return
        self._document = document or self._document
        status = self._look()
        if status.state is State.READY:
            self._percentage = 0  # the next engine loads anew
        if status != self._told:
            self._told = status
            self._send(dataclasses.asdict(status))

    def loading(self, share: float) -> None:
        """The loaded share of the model, from 0 to 1."""
        self._percentage = int(100 * share)
        self.changed()

    def closed(self, uri: str) -> None:
        """A document was closed; what was said about it does not hold for the next one."""
        if self._document and self._document.uri == uri:
            self._document = None
            self.changed()

    @contextlib.contextmanager
    def working(self, document: Document) -> Iterator[None]:
        """A suggestion is being looked for in *document*; said if it takes a while."""
        is_slow = False

        def take_long() -> None:
            nonlocal is_slow
            is_slow = True
            self._slow += 1
            self.changed()

        timer = asyncio.get_running_loop().call_later(_PATIENCE_S, take_long)
        try:
            yield
        finally:
            timer.cancel()
            self._slow -= is_slow
            self.changed(document)

    def _look(self) -> Status:
        session, model = self._session, self._session.model_name
        engine = session.engine
        if session.suggester is None:
            return Status(State.STARTING, "Starting", model)
        if silence := session.suggester.why_off(self._document):
            return Status(State.OFF, f"Off here: {silence}", model)
        if engine and engine.is_ready:
            return Status(State.WORKING, "Looking for a suggestion", model) if self._slow else self._ready()
        if engine and engine.is_starting:
            message = f"Loading the model, {self._percentage} %"
            return Status(State.LOADING, message, model, self._percentage)
        if session.failure:
            return Status(State.ERROR, str(session.failure), model)
        return self._ready()

    def _ready(self) -> Status:
        return Status(
            State.READY, f"Ready. {self._session.why_this_model}".removesuffix(". "), self._session.model_name
        )


def wants_status(experimental: Any) -> bool:
    """Whether a client whose experimental capabilities these are wants to be told."""
    wanted = experimental if isinstance(experimental, Mapping) else getattr(experimental, "__dict__", {})
    return wanted.get("fimbleStatus") is True
