"""The adapter of an engine's settings: used if it can be, told about if not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from fimble.engine.llama import Context, LoraAdapter, Model, damaged
from fimble.engine.wire import Adapter
from fimble.errors import AdapterUnusable, EngineError, ModelCorrupt

_log = logging.getLogger("fimble.engine")


class Adapted:
    """Loads *wanted* for *model*, before any context is made; None is the bare model.  Raises nothing."""

    def __init__(self, wanted: Adapter | None, model: Model) -> None:
        self.notice = ""
        """Why it is not used, for a person; empty if it is, or none was wanted."""
        self._scale = wanted.scale if wanted else 0.0
        self._adapter: LoraAdapter | None = None
        if wanted:
            try:
                self._adapter = LoraAdapter(model, Path(wanted.path))
            except AdapterUnusable as failure:
                self._note(failure)

    def use_in(self, context: Context, check: Callable[[], None]) -> None:
        """Let *context* compute with it, unless *check* then raises ModelCorrupt."""
        if self._adapter is None:
            return
        try:
            context.use_adapter(self._adapter, self._scale)
            check()
        except (EngineError, ModelCorrupt):
            context.use_adapter(None)
            self._note(damaged(self._adapter.path))
            self._adapter = None

    def _note(self, failure: AdapterUnusable) -> None:
        _log.warning("%s", failure)
        self.notice = f"{failure}  Until then the model works without it."
