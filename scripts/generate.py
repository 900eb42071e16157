#!/usr/bin/env python3
"""Write what is made from the code: server/CONFIG.md, the table of all settings, and the same settings in the manifest
of the VS Code extension (editors/vscode/package.json).

python3 scripts/generate.py            write them
python3 scripts/generate.py --check    only tell whether they are up to date (exit status 1 if not)
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import environment
import generate_vscode

CONFIG_PAGE = environment.ROOT / "server" / "CONFIG.md"

_HEADER = """\
<!-- Generated from server/fimble/settings.py by `python3 scripts/generate.py`. Do not edit: change it there. -->

# Settings

None is needed: every setting has a default. They are read from these places, each stronger than those before it:

1. the defaults below,
2. your `fimble.toml` (`fimble doctor` tells where it is; on most machines `~/.config/fimble/fimble.toml`),
3. the project's `.fimble.toml`, or `[tool.fimble]` in its `pyproject.toml`,
4. your editor's settings, under `fimble`,
5. environment variables (lists are separated by commas),
6. options of the command line.

A project is not trusted. It may set only what says *yes* in the last column, and only to take away: to switch off,
to exclude more, to allow less. A key that Fimble does not know, or a value that does not fit, changes nothing, and
you are told once.
"""

_EXAMPLE = """\
## An example

A `fimble.toml` with everything at its default; keep the lines that you change.
"""

_COLUMNS = ("setting", "value", "default", "what it is", "environment", "project")

_KINDS = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}


@dataclass(frozen=True)
class Setting:
    """One setting, as it is declared."""

    key: str
    kind: Any
    metas: tuple[Any, ...]
    default: Any
    is_for_projects: bool

    @property
    def group(self) -> str:
        """The table of fimble.toml that it stands in; empty for the top."""
        return self.key.rpartition(".")[0]

    @property
    def meaning(self) -> str:
        """What it is for, in one sentence."""
        return next(str(meta.description) for meta in self.metas if meta.description)

    @property
    def value(self) -> str:
        """What may be written, in plain words."""
        if get_origin(self.kind) is Literal:
            *most, last = [f"`{choice}`" for choice in get_args(self.kind)]
            return f"{', '.join(most)} or {last}"
        if get_origin(self.kind) is tuple:
            return "list of texts"
        return ", ".join([_KINDS[self.kind], *self._limits()])

    @property
    def literal(self) -> str:
        """The default as fimble.toml has it; what JSON writes is TOML for these kinds of values."""
        return json.dumps(self.default)

    def _limits(self) -> Iterator[str]:
        low = next((meta.ge for meta in self.metas if meta.ge is not None), None)
        above = next((meta.gt for meta in self.metas if meta.gt is not None), None)
        high = next((meta.le for meta in self.metas if meta.le is not None), None)
        if low is not None and high is not None:
            yield f"{low:,} to {high:,}"
            return
        if above is not None:
            yield f"more than {above:,}"
        if low is not None:
            yield f"at least {low:,}"
        if high is not None:
            yield f"at most {high:,}"


def read_settings() -> list[Setting]:
    """Every setting that fimble.settings declares."""
    from fimble import settings

    found = []
    for key, field in settings.settings():
        is_annotated = get_origin(field.type) is Annotated
        kind, *metas = get_args(field.type) if is_annotated else (field.type,)
        found.append(Setting(key, kind, tuple(metas), field.default, key in settings.PROJECT_KEYS))
    return found


def group_titles() -> dict[str, str]:
    """What each table of fimble.toml is about: the first words of its class."""
    import msgspec

    from fimble.settings import Config

    fields = msgspec.structs.fields(Config)
    groups = {field.name: field.type.__doc__ for field in fields if hasattr(field.type, "__struct_fields__")}
    return {name: (doc or name).rstrip(".") for name, doc in groups.items()}


def generated() -> Iterator[tuple[Path, str]]:
    """Every file that is generated, wholly or in part, and what must stand in it."""
    from fimble import __version__

    yield CONFIG_PAGE, config_page()
    manifest = generate_vscode.MANIFEST
    titles = {"": "General"} | group_titles()
    yield manifest, generate_vscode.manifest(manifest.read_text("utf-8"), read_settings(), titles, __version__)


def config_page() -> str:
    """The text of server/CONFIG.md."""
    settings = read_settings()
    titles = {"": "General", **{name: f"`[{name}]` {title}" for name, title in group_titles().items()}}
    parts = [_HEADER]
    parts += [f"## {title}\n\n{_table(settings, group)}" for group, title in titles.items()]
    example = "\n".join(_toml(settings, group) for group in titles)
    return "\n".join([*parts, _EXAMPLE, f"```toml\n{example}```\n"])


def _table(settings: list[Setting], group: str) -> str:
    rows = [_COLUMNS, ("---",) * len(_COLUMNS)]
    rows += [_row(setting) for setting in settings if setting.group == group]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def _row(setting: Setting) -> tuple[str, ...]:
    variable = "FIMBLE_" + setting.key.replace(".", "_").upper()
    project = "yes" if setting.is_for_projects else "no"
    return f"`{setting.key}`", setting.value, f"`{setting.literal}`", setting.meaning, f"`{variable}`", project


def _toml(settings: list[Setting], group: str) -> str:
    here = [setting for setting in settings if setting.group == group]
    lines = [f"# {setting.meaning}\n{setting.key.rpartition('.')[2]} = {setting.literal}\n" for setting in here]
    return "".join([f"[{group}]\n", *lines] if group else lines)


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only tell whether the files are up to date")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("fimble") is None:
        environment.become([__file__, *arguments])
    stale = [(path, text) for path, text in generated() if not (path.is_file() and path.read_text("utf-8") == text)]
    names = ", ".join(str(path.relative_to(environment.ROOT)) for path, _ in stale)
    if not stale:
        print("All generated files are up to date.")
        return 0
    if options.check:
        print(f"Not what server/fimble/settings.py says any more: {names}.\nFix: python3 scripts/generate.py")
        return 1
    for path, text in stale:
        path.write_text(text, "utf-8")
    print(f"Written: {names}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
