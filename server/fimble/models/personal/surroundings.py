"""What other files say about a place, as the product finds it: asked of the repository's own index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from fimble.context.history import EditHistory
from fimble.core import Ask, Document, Snippet
from fimble.index.client import IndexClient
from fimble.index.launch import IndexLauncher
from fimble.index.wire import IndexSettings
from fimble.models.personal.prompts import Place, cut_out
from fimble.privacy import Exclusions
from fimble.suggest.surroundings import Surroundings
from fimble.text import Text

_POLL_S = 0.1


def snippets_of(
    places: Sequence[Place], settings: IndexSettings, n_ctx: int, on_progress: Callable[[float], None]
) -> list[tuple[Snippet, ...]]:
    """The snippets for each place, in a prompt of *n_ctx* tokens.  Raises WorkspaceError if there is no index."""
    return asyncio.run(_ask(places, settings, n_ctx, on_progress))


async def _ask(
    places: Sequence[Place], settings: IndexSettings, n_ctx: int, on_progress: Callable[[float], None]
) -> list[tuple[Snippet, ...]]:
    index = IndexClient(IndexLauncher(settings))
    try:
        while (await index.status()).progress.is_busy:  # noqa: ASYNC110 - tells no event
            await asyncio.sleep(_POLL_S)
        found = []
        for number, place in enumerate(places):
            on_progress(number / len(places))
            file = index.root / place.file.path
            document = Document(file.as_uri(), place.file.path, place.file.language, 1, Text(cut_out(place)), file)
            # A window of its own: what one place has been told says nothing about the next.
            window = Surroundings([index], EditHistory(), Exclusions(settings.exclude))
            found.append(await window.find(Ask(document, place.offset), (), n_ctx))
        return found
    finally:
        await index.close()
