"""``fimble complete FILE:LINE:COLUMN``: the recipe, without an editor."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fimble import catalog, config
from fimble.cli.output import console, failures, print_json
from fimble.core import Ask, Document, Trigger
from fimble.engine.client import EngineClient
from fimble.engine.launch import Launcher, settings_for
from fimble.errors import ConfigError, FimbleError
from fimble.languages import language_of
from fimble.settings import Config
from fimble.suggest.recipe import Outcome, Suggester
from fimble.text import Encoding, Text

#: Nobody types while this runs: the model gets more time than a keystroke would give it.
_DEADLINE_MS = 10_000


def run(place: str, model: str, as_json: bool) -> int:
    """Print the suggestion at *place*; returns the exit status: 0, or 1 if there is none."""
    with failures():
        path, line, column = _parse(place)
        ask = _ask(path, line, column)
        flags: dict[str, Any] = {"suggest": {"deadline_ms": _DEADLINE_MS}, **({"model": model} if model else {})}
        loaded = config.load(project=Path.cwd(), flags=flags)
        outcome = asyncio.run(_suggest(loaded.config, ask))
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


async def _suggest(settings: Config, ask: Ask) -> Outcome:
    failed: list[FimbleError] = []
    engine = EngineClient(Launcher(settings_for(catalog.resolve(settings.model), settings.engine)))
    try:
        outcome = await Suggester(settings, engine, on_failure=failed.append).suggest(ask)
    finally:
        await engine.close()
    if failed and not outcome.suggestions:
        raise failed[0]
    return outcome


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
    document = Document(path.resolve().as_uri(), path.name, language_of(path.name), 1, text)
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
