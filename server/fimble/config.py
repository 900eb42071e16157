"""Where the settings come from.

Low to high: the defaults (``settings``), the user's ``fimble.toml``, the project's ``.fimble.toml`` or
``[tool.fimble]`` (untrusted), the editor's settings, ``FIMBLE_*`` in the environment, the command line.

A key that nobody knows is a warning; a value that does not fit leaves the default and is one message that
names the key.  Neither stops anything.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pathspec

from fimble import paths
from fimble.errors import ConfigError
from fimble.settings import PROJECT_KEYS, Config, settings


@dataclass(frozen=True, slots=True)
class Origin:
    """One source of settings, as nested mappings, with the name that messages use for it."""

    name: str
    values: Mapping[str, Any]
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and what a person should be told about how they were read."""

    config: Config
    problems: tuple[str, ...] = ()


def load(
    *,
    project: Path | None = None,
    editor: Mapping[str, Any] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read every source, low to high, and merge them.  Never raises for what it reads."""
    problems: list[str] = []
    origins = [_read_toml(user_file(), problems)]
    if project is not None:
        origins += [_read_project(project, problems)]
    if editor:
        origins.append(Origin("the editor's settings", editor))
    origins.append(Origin("the environment", dict(_from_environment(os.environ, problems))))
    if flags:
        origins.append(Origin("the command line", flags))
    return Loaded(_merge(origins, problems), tuple(problems))


def user_file() -> Path:
    """The user's own settings."""
    return paths.config_dir() / "fimble.toml"


_KINDS: dict[str, Any] = {key: field.type for key, field in settings()}


def _read_toml(path: Path, problems: list[str]) -> Origin:
    try:
        with path.open("rb") as file:
            return Origin(str(path), tomllib.load(file))
    except FileNotFoundError:
        pass
    # Bad TOML, bad UTF-8 and absurd numbers are ValueErrors, absurd nesting is a RecursionError.
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path} cannot be read ({error}), so its settings are not used. Correct or remove it.")
    return Origin(str(path), {})


def _read_project(folder: Path, problems: list[str]) -> Origin:
    own = folder / ".fimble.toml"
    if own.is_file():
        origin = _read_toml(own, problems)
        return Origin(origin.name, origin.values, trusted=False)
    # A pyproject.toml that is broken is some other tool's news, not ours.
    origin = _read_toml(folder / "pyproject.toml", [])
    tool = origin.values.get("tool")
    table = tool.get("fimble") if isinstance(tool, Mapping) else None
    return Origin(f"[tool.fimble] in {origin.name}", table if isinstance(table, Mapping) else {}, trusted=False)


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> Iterator[tuple[str, Any]]:
    """``FIMBLE_ENGINE_THREADS=4`` is ``engine.threads = 4``; lists are separated by commas."""
    nested: dict[str, dict[str, Any]] = {}
    for key, kind in _KINDS.items():
        raw = environ.get("FIMBLE_" + key.replace(".", "_").upper())
        if raw is None:
            continue
        value: Any = [part.strip() for part in raw.split(",") if part.strip()] if "tuple" in str(kind) else raw
        try:
            parsed = msgspec.convert(value, kind, strict=False)
        except msgspec.ValidationError as error:
            problems.append(f"{key} from the environment is not used: {error}.")
            continue
        group, _, name = key.rpartition(".")
        if group:
            nested.setdefault(group, {})[name] = parsed
        else:
            yield name, parsed
    yield from nested.items()


def _merge(origins: list[Origin], problems: list[str]) -> Config:
    chosen: dict[str, Any] = {}
    for origin in origins:
        for key, value in _flatten(origin.values):
            if key not in _KINDS:
                problems.append(f"{key} in {origin.name} is not a setting that Fimble knows.")
            elif not origin.trusted and key not in PROJECT_KEYS:
                problems.append(f"{key} in {origin.name} is not used: a project may not set it.")
            else:
                _choose(chosen, key, value, origin, problems)
    return _build(chosen)


def _choose(chosen: dict[str, Any], key: str, value: Any, origin: Origin, problems: list[str]) -> None:
    try:
        converted = msgspec.convert(value, _KINDS[key])
    except msgspec.ValidationError as error:
        problems.append(f"{key} in {origin.name} is not used: {error}.")
        return
    if key == "privacy.exclude":
        converted = _usable_patterns(converted, origin, problems)
    if not origin.trusted:
        converted = _narrow(key, chosen.get(key, _default(key)), converted)
    chosen[key] = converted


def _usable_patterns(patterns: tuple[str, ...], origin: Origin, problems: list[str]) -> tuple[str, ...]:
    """The patterns that mean something; a project's may not let files in again that others keep out."""
    usable = []
    for pattern in patterns:
        try:
            pathspec.GitIgnoreSpec.from_lines([pattern])
        except ValueError as error:
            problems.append(f"{pattern!r} of privacy.exclude in {origin.name} is not used: {error}.")
            continue
        if pattern.lstrip().startswith("!") and not origin.trusted:
            problems.append(f"{pattern!r} of privacy.exclude in {origin.name} is not used: a project may only exclude.")
            continue
        usable.append(pattern)
    return tuple(usable)


def _narrow(key: str, current: Any, wanted: Any) -> Any:
    """A project can only take away: switch off, exclude more, allow less."""
    if key in ("privacy.exclude", "privacy.languages_off"):
        return tuple(dict.fromkeys((*current, *wanted)))
    if isinstance(current, bool):
        return current and wanted
    return min(current, wanted)


def _default(key: str) -> Any:
    value: Any = Config()
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    groups = {key.partition(".")[0] for key in _KINDS if "." in key}
    for key, value in values.items():
        if not prefix and key in groups and isinstance(value, Mapping):
            yield from _flatten(value, f"{key}.")
        else:
            yield prefix + str(key), value


def _build(chosen: Mapping[str, Any]) -> Config:
    tree: dict[str, Any] = {}
    for key, value in chosen.items():
        group, _, name = key.rpartition(".")
        if group:
            tree.setdefault(group, {})[name] = value
        else:
            tree[name] = value
    defaults = Config()
    parts = {
        group: msgspec.structs.replace(getattr(defaults, group), **inner) if isinstance(inner, dict) else inner
        for group, inner in tree.items()
    }
    return msgspec.structs.replace(defaults, **parts)


def write_user_setting(key: str, value: str) -> Path:
    """Set one top-level *key* in the user's ``fimble.toml``; comments and everything else stay as they are.

    Returns the file.  Raises ConfigError if it cannot be read or written.
    """
    import tomlkit
    from tomlkit.exceptions import ParseError

    # A settings file is often a link into somebody's dotfiles: what it points to is rewritten, not the link.
    path = user_file().resolve()
    try:
        document = tomlkit.parse(path.read_text("utf-8")) if path.exists() else tomlkit.document()
        document[key] = value
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(tomlkit.dumps(document), "utf-8")
        part.replace(path)
    except (OSError, ValueError, ParseError) as error:
        raise ConfigError(f"{path} cannot be changed: {error}.", f'Write {key} = "{value}" into it yourself.') from None
    return path
