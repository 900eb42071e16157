"""What a file defines, imports and uses, in every language that has a query.

``outlines/LANGUAGE.txt`` is a file in the language with this id, ``outlines/LANGUAGE.outline`` what is told of it:
places are ``line:column``, counted from 1; a definition has those of its start, its body and its end.  After an
intended change run ``pytest tests/golden --update-golden`` and read the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from fimble.syntax import Definition, Import, Outline, outline
from fimble.syntax.queries import LANGUAGES
from fimble.text import Encoding, Text

FOLDER = Path(__file__).parent / "outlines"
FILES = sorted(FOLDER.glob("*.txt"))

#: Languages whose queries are those of another.
SAME = {"javascriptreact": "javascript", "jsonc": "json"}


def told(source: str, found: Outline) -> str:
    """An outline as text."""
    text = Text(source)

    def place(offset: int) -> str:
        line, column = text.position_at(offset, Encoding.UTF32)
        return f"{line + 1}:{column + 1}"

    def definition(one: Definition) -> Iterator[str]:
        bases = f"({', '.join(one.bases)})" if one.bases else ""
        made = f" -> {one.type}" if one.type else ""
        yield f"{place(one.name_start)} {one.kind} {one.path}{bases}{made}"
        body = "no body" if one.body_start == one.end else place(one.body_start)
        yield f"    {place(one.start)}, {body}, {place(one.end)}"
        yield f"    {one.signature}"
        if one.doc:
            yield f'    "{one.doc}"'

    def imported(one: Import) -> str:
        names = ", ".join(there if there == here else f"{there} as {here}" for there, here in one.names)
        alias = f" as {one.alias}" if one.alias else ""
        return f"{place(one.start)} {one.module}{alias}{': ' if names else ''}{names}"

    def used() -> Iterator[str]:
        for line, group in groupby(found.references, lambda one: text.line_of(one.offset)):
            names = (f"{one.receiver}{'.' * bool(one.receiver)}{one.name}{'()' * one.is_call}" for one in group)
            yield f"{line + 1}: {' '.join(names)}"

    parts = [
        ("definitions", [line for one in found.definitions for line in definition(one)]),
        ("imports", [imported(one) for one in found.imports]),
        ("references", list(used())),
        ("bindings", [f"{place(one.offset)} {one.name}: {one.type}" for one in found.bindings]),
    ]
    return "\n".join(f"=== {name}\n" + "".join(f"{line}\n" for line in lines) for name, lines in parts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_told_of_a_file(path: Path, update_golden: bool) -> None:
    """Of this file this is told, and nothing else."""
    source = path.read_text("utf-8")
    found = outline(source, path.stem)
    assert found is not None
    golden = path.with_suffix(".outline")
    if update_golden:
        golden.write_text(told(source, found), "utf-8")
    assert told(source, found) == golden.read_text("utf-8")


def test_every_language_has_a_file() -> None:
    """No query is without one."""
    assert {path.stem for path in FILES} == LANGUAGES - set(SAME)
