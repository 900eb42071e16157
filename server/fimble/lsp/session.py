"""What one window has: its settings, its engine, its recipe.  Rebuilt when the settings change."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fimble import catalog, config, paths
from fimble.context.history import EditHistory
from fimble.errors import EngineCrashed, EngineUnreachable, FimbleError, ModelError, WorkspaceError
from fimble.privacy import Exclusions
from fimble.settings import Config
from fimble.stats import Stats
from fimble.store import Store
from fimble.suggest.confidence import Confidence
from fimble.suggest.recipe import Suggester
from fimble.suggest.surroundings import Surroundings

if TYPE_CHECKING:
    from fimble.engine.client import EngineClient
    from fimble.engine.wire import EngineSettings
    from fimble.index.client import IndexClient
    from fimble.models.fallback import Fallback

_CONFIGURE_TIMEOUT_S = 3.0

#: How often is looked at how far the reading of a repository is.
_LOOK_EVERY_S = 0.5

_log = logging.getLogger("fimble.lsp")


class Session:
    """Belongs to one event loop.

    *tell* shows a sentence to the person, *on_progress* hears the loaded share of the model.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        on_progress: Callable[[float], None],
        flags: Mapping[str, Any] | None = None,
    ) -> None:
        self.stats = Stats()
        self.config = Config()
        self.engine: EngineClient | None = None
        self.indexes: list[IndexClient] = []
        self.suggester: Suggester | None = None
        self._tell = tell
        self._told: set[str] = set()
        self._failure: FimbleError | None = None
        self._models: Fallback | None = None
        self._on_progress = on_progress
        self._flags = flags
        self._folders: tuple[Path, ...] = ()
        self._store: Store | None = None
        self._confidence = Confidence(paths.data_dir() / "confidence.json")
        self._configured = asyncio.Event()
        # Editors like to send their settings while the first ones are still being read.
        self._configuring = asyncio.Lock()

    @property
    def model_name(self) -> str:
        """What a person calls the model in use."""
        choice = self._models.choice if self._models else None
        return choice.name if choice else catalog.display_name(self.config.model)

    @property
    def why_this_model(self) -> str:
        """Why it is not the one that the settings name; empty if it is."""
        choice = self._models.choice if self._models else None
        return choice.sentence if choice else ""

    @property
    def failure(self) -> FimbleError | None:
        """Why the model cannot be used, as far as a person can do something about it."""
        if self.engine and self.engine.is_ready:
            self._failure = None
        return self._failure

    async def wait_configured(self) -> None:
        """Wait, for a moment at most, until the settings have been read: the first key may be that fast."""
        if not self._configured.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._configured.wait(), _CONFIGURE_TIMEOUT_S)

    async def configure(
        self, folders: Sequence[Path], editor: Mapping[str, Any] | None, history: EditHistory | None = None
    ) -> None:
        """Read the settings anew and build what depends on them.  What is wrong with them is told once.

        The first of the workspace's *folders* is the project whose settings count; *history* is what was edited.
        """
        async with self._configuring:
            await self._configure(folders, editor, history or EditHistory())

    async def _configure(self, folders: Sequence[Path], editor: Mapping[str, Any] | None, history: EditHistory) -> None:
        loaded = config.load(project=folders[0] if folders else None, editor=editor, flags=self._flags)
        for problem in loaded.problems:
            self.tell_once(problem)
        if self.suggester is not None and (loaded.config, tuple(folders)) == (self.config, self._folders):
            return
        self._folders = tuple(folders)
        self.config = loaded.config
        logging.getLogger("fimble").setLevel(loaded.config.log_level.upper())
        await self.close()
        # The client is a fifth of the start-up time, and nobody needs it to answer `initialize`.
        for module in ("fimble.engine.client", "fimble.models.fallback"):
            await asyncio.to_thread(importlib.import_module, module)
        self._failure = None
        self.engine = await self._new_engine() if self.config.suggest.model else None
        if loaded.config.cache.enabled:
            self._store = Store(paths.cache_dir() / "suggestions", loaded.config.cache.max_mb)
        self.indexes = self._new_indexes(folders)
        surroundings = Surroundings(self.indexes, history, Exclusions(self.config.privacy.exclude))
        self.suggester = Suggester(
            loaded.config, self.engine, self._store, self.stats, self.report, self._confidence, surroundings
        )
        self._configured.set()

    def _new_indexes(self, folders: Sequence[Path]) -> list[IndexClient]:
        """One for each repository among the workspace's folders, the innermost first."""
        from fimble.index.client import IndexClient
        from fimble.index.launch import IndexLauncher, settings_for

        found: dict[str, IndexClient] = {}
        for folder in folders if self.config.index.enabled else ():
            try:
                settings = settings_for(folder, self.config)
                found.setdefault(settings.root, IndexClient(IndexLauncher(settings)))
            except (FimbleError, OSError) as failure:
                _log.warning("the files of %s are not looked into: %s", folder, failure)
        return [found[root] for root in sorted(found, key=len, reverse=True)]

    async def _new_engine(self) -> EngineClient | None:
        from fimble.engine.client import EngineClient
        from fimble.engine.launch import settings_for
        from fimble.models import adapters
        from fimble.models.fallback import Fallback

        engine = self.config.engine

        def settings(model: Path) -> EngineSettings:
            place = self._folders[0] if self._folders else None
            return settings_for(model, engine, adapters.for_window(place, model, self.tell_once))

        self._models = Fallback(self.config.model, settings, self.tell_once)
        try:
            return EngineClient(
                await self._models.choose(), self._on_progress, watch=self._models, on_notice=self.tell_once
            )
        except FimbleError as failure:
            self.report(failure)
        except OSError as failure:
            self.report(ModelError(f"The model cannot be read: {failure}.", "Check `model` in your settings."))
        return None

    async def warm(self) -> None:
        """Start the engine before the first key."""
        if self.engine is None or not self.config.suggest.enabled:
            return
        try:
            await self.engine.ensure()
        except FimbleError as failure:
            self.report(failure)
        for index in self.indexes:
            with contextlib.suppress(WorkspaceError):  # the next pause tries again
                await index.ensure()

    async def watch_reading(self, report: Callable[[float], None]) -> None:
        """Wait until the repositories have been read; *report* hears the share that is done."""
        with contextlib.suppress(WorkspaceError):
            for index in list(self.indexes):
                while index in self.indexes and (progress := (await index.status()).progress).is_busy:
                    report(progress.files_done / max(progress.files_total, 1))
                    await asyncio.sleep(_LOOK_EVERY_S)

    async def stop_reading(self) -> None:
        """The user wants no repository to be read now; another start of the editor does it."""
        from fimble.index.launch import stop

        indexes = list(self.indexes)
        self.indexes.clear()  # the recipe knows this very list
        for index in indexes:
            await index.close()
            await asyncio.to_thread(stop, index.launcher.socket)

    def saved(self, files: Sequence[Path]) -> None:
        """Files were saved, created, renamed or deleted."""
        for index in self.indexes:
            index.changed(files)

    def report(self, failure: FimbleError) -> None:
        """Show what the person can do something about, once; the rest goes to the log."""
        if isinstance(failure, (ModelError, EngineCrashed, EngineUnreachable)) and failure.fix:
            self._failure = failure
            self.tell_once(str(failure))
        else:
            _log.warning("%s", failure)

    def tell_once(self, sentence: str) -> None:
        """Show *sentence* unless it was shown before."""
        if sentence not in self._told:
            self._told.add(sentence)
            _log.warning("%s", sentence)
            self._tell(sentence)

    async def close(self) -> None:
        """Let go of the engine (it stays for other windows) and of the cache."""
        await asyncio.to_thread(self._confidence.save)
        engine, store, indexes = self.engine, self._store, self.indexes
        self.engine = self.suggester = self._store = None
        self.indexes = []
        for index in indexes:
            await index.close()
        if engine:
            await engine.close()
        if store:
            store.close()
