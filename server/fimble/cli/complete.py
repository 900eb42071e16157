"""``fimble complete FILE:LINE:COLUMN``: the recipe, without an editor."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fimble import config
from fimble.cli.explain import show
from fimble.cli.models.chosen import chosen
from fimble.cli.output import console, failures, note, print_json
from fimble.context.history import EditHistory
from fimble.core import Ask, Document, Trigger
from fimble.engine.client import EngineClient
from fimble.engine.launch import Launcher, settings_for
from fimble.errors import ConfigError, FimbleError, WorkspaceError
from fimble.index.client import IndexClient
from fimble.index.launch import IndexLauncher
from fimble.index.launch import settings_for as index_settings_for
from fimble.languages import language_of
from fimble.models import adapters
from fimble.privacy import Exclusions
from fimble.settings import Config
from fimble.suggest.recipe import Outcome, Suggester
from fimble.suggest.surroundings import Surroundings
from fimble.text import Encoding, Text

#: Nobody types while this runs: the model gets more time than a keystroke would give it.
_DEADLINE_MS = 10_000

#: A large repository that has never been read goes on being read afterwards.
_READ_S = 10.0

T = TypeVar("T")


def run(place: str, model: str, as_json: bool, explain: bool) -> int:
    """Print the suggestion at *place*; returns the exit status: 0, or 1 if there is none."""
    with failures():
        path, line, column = _parse(place)
        ask = _ask(path, line, column)
        flags: dict[str, Any] = {"suggest": {"deadline_ms": _DEADLINE_MS}, **({"model": model} if model else {})}
        loaded = config.load(project=Path.cwd(), flags=flags)
        if explain:
            return show(asyncio.run(_asked(loaded.config, ask, Suggester.explain)), as_json)
        outcome = asyncio.run(_asked(loaded.config, ask, Suggester.suggest))
    if as_json:
        print_json({"file": str(path), "line": line, "column": column, **_as_dict(outcome)})
    else:
        for problem in loaded.problems:
            console(stderr=True).print(f"[yellow]Note:[/] {problem}", markup=True)
        if outcome.suggestions:
            console().print(outcome.suggestions[0].text, markup=False)
        else:
            console(stderr=True).print(f"Nothing is suggested here: {outcome.silence}.", markup=False)
    return 0 if outcome.suggestions else 1


async def _asked(settings: Config, ask: Ask, question: Callable[[Suggester, Ask], Awaitable[T]]) -> T:
    """What a window's recipe answers to *question*, once the repository is known."""
    failed: list[FimbleError] = []
    model = chosen(settings.model).path
    adapter = adapters.for_window(Path.cwd(), model, note)
    engine = EngineClient(Launcher(settings_for(model, settings.engine, adapter)), on_notice=note)
    indexes = _indexes(settings, ask)
    try:
        await engine.ensure()
        await _wait_read(indexes)
        around = Surroundings(indexes, EditHistory(), Exclusions(settings.privacy.exclude))
        suggester = Suggester(settings, engine, on_failure=failed.append, surroundings=around)
        answer = await question(suggester, ask)
    finally:
        await engine.close()
        for index in indexes:
            await index.close()
    if failed and not (isinstance(answer, Outcome) and answer.suggestions):
        raise failed[0]
    return answer


def _indexes(settings: Config, ask: Ask) -> list[IndexClient]:
    """The index of the file's repository, if there is one."""
    if ask.document.file is None or not settings.index.enabled:
        return []
    try:
        return [IndexClient(IndexLauncher(index_settings_for(ask.document.file.parent, settings)))]
    except (FimbleError, OSError):
        return []  # a file of no project has no surroundings


async def _wait_read(indexes: Sequence[IndexClient]) -> None:
    """Wait until the repository has been read, for a while; says so where it takes longer."""
    with console(stderr=True).status("Reading the repository ..."), contextlib.suppress(WorkspaceError, TimeoutError):
        async with asyncio.timeout(_READ_S):
            for index in indexes:
                while (await index.status()).progress.is_busy:  # noqa: ASYNC110 - tells no event
                    await asyncio.sleep(0.05)


def _parse(place: str) -> tuple[Path, int, int]:
    path, _, rest = place.rpartition(":")
    path, _, line = path.rpartition(":")
    if not path or not line.isdecimal() or not rest.isdecimal() or int(line) < 1 or int(rest) < 1:
        raise ConfigError(f"{place!r} is not FILE:LINE:COLUMN.", "For example: fimble complete src/main.py:12:5")
    return Path(path), int(line), int(rest)


def _ask(path: Path, line: int, column: int) -> Ask:
    try:
        source = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text.", "Fimble completes text files only.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from None
    text = Text(source)
    if line > text.line_count:
        raise ConfigError(f"{path} has only {text.line_count} lines.", "Choose a line that exists.")
    offset = text.offset_at(line - 1, column - 1, Encoding.UTF32)
    file = path.resolve()
    name = file.relative_to(Path.cwd()).as_posix() if file.is_relative_to(Path.cwd()) else path.name
    document = Document(file.as_uri(), name, language_of(path.name), 1, text, file)
    return Ask(document, offset, Trigger.INVOKED)


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    suggestions = [
        {
            "text": s.text,
            "source": str(s.source),
            "confidence": round(s.confidence, 3),
            "latency_ms": round(s.latency_ms, 2),
        }
        for s in outcome.suggestions
    ]
    return {"suggestions": suggestions, "silence": outcome.silence}
