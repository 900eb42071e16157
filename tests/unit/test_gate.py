"""Gate: the places where Fimble keeps silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fimble import config
from fimble.core import Ask, Document, Trigger
from fimble.settings import Config
from fimble.suggest.gate import Gate
from fimble.text import Text


def gate(**values: Any) -> Gate:
    """A gate with some settings changed, by their dotted keys written with ``__``."""
    return Gate(config._build({key.replace("__", "."): value for key, value in values.items()}))


def ask(
    marked: str = "x = |", path: str = "src/a.py", language: str = "python", trigger: Trigger = Trigger.AUTOMATIC
) -> Ask:
    before, _, after = marked.partition("|")
    document = Document(f"file:///{path}", path, language, 1, Text(before + after))
    return Ask(document, len(before), trigger)


def test_an_ordinary_place_is_open() -> None:
    """At the end of a line of code in a file of the project there is no reason to be silent."""
    assert gate().why_silent(ask()) == ""


@pytest.mark.parametrize("trigger", list(Trigger))
@pytest.mark.parametrize(
    ("values", "asked", "key"),
    [
        ({"suggest__enabled": False}, ask(), "suggest.enabled"),
        ({"privacy__languages_off": ("python",)}, ask(), "privacy.languages_off"),
        ({"privacy__exclude": ("src/",)}, ask(), "privacy.exclude"),
        ({"privacy__max_file_kb": 1}, ask("x" * 1025 + "|"), "privacy.max_file_kb"),
        ({}, ask("a\0b|"), "binary"),
    ],
)
def test_every_silence_names_its_reason(values: dict[str, Any], asked: Ask, key: str, trigger: Trigger) -> None:
    """A silence says which setting caused it, and asking by hand does not get around it."""
    assert key in gate(**values).why_silent(Ask(asked.document, asked.offset, trigger))


def test_a_file_of_the_largest_size_is_open() -> None:
    """The limit itself is allowed."""
    assert gate(privacy__max_file_kb=1).why_silent(ask("x" * 1023 + " |")) == ""


@pytest.mark.parametrize(
    "path",
    [".env", "deploy/.env", ".env.production", "keys/server.pem", "a.key", "home/id_rsa", "id_ed25519.pub", ".netrc"],
)
def test_files_with_secrets_are_excluded(path: str) -> None:
    """Without any setting, the files that usually hold secrets are kept out, in every folder."""
    assert gate().is_excluded(path)


@pytest.mark.parametrize("path", ["src/env.py", "environment", "keys.py", "README.md", ""])
def test_other_files_are_not_excluded(path: str) -> None:
    """A name that only resembles a secret's is an ordinary file."""
    assert not gate().is_excluded(path)


@pytest.mark.parametrize("path", ["/src/a.py", "src/a.py"])
def test_patterns_are_those_of_gitignore(path: str) -> None:
    """Folders, stars and later exceptions mean what they mean to git."""
    assert gate(privacy__exclude=("/src/",)).is_excluded(path)
    assert gate(privacy__exclude=("**/*.py",)).is_excluded(path)
    assert not gate(privacy__exclude=("*.py", "!a.py")).is_excluded(path)


@pytest.mark.parametrize("marked", ["fo|o", "f|1", "a_|b", "é|é", "x.fo|o()"])
def test_inside_a_word_nothing_comes_by_itself(marked: str) -> None:
    """Editing inside a word is no moment for ghost text, but asking by hand is answered."""
    assert gate().why_silent(ask(marked))
    assert gate().why_silent(ask(marked, trigger=Trigger.INVOKED)) == ""


@pytest.mark.parametrize("marked", ["foo|", "|foo", "foo| bar", "foo|(", "foo.|bar", "|", "(|)"])
def test_at_the_edge_of_a_word_is_not_inside(marked: str) -> None:
    """Before and after a word, and between brackets, suggestions come by themselves."""
    assert gate().why_silent(ask(marked)) == ""


@pytest.mark.parametrize("pattern", ["!", "\\", "[", "", "#", "\0", "a/**b", "(?P<"])
def test_a_pattern_that_means_nothing_excludes_nothing_else(home: Path, pattern: str) -> None:
    """A pattern that git would not understand costs itself; the others hold, and nothing fails."""
    made = Gate(config.load(editor={"privacy.exclude": ["*.before", pattern, "*.after"]}).config)
    assert made.is_excluded("x.before")
    assert made.is_excluded("x.after")
    assert not made.is_excluded("src/a.py")


@pytest.mark.parametrize("pattern", ["!.env", "!*", "!/.env", "!**/.env", "! .env", "!.e*"])
def test_a_project_cannot_let_secrets_in(home: Path, tmp_path: Path, pattern: str) -> None:
    """A project may exclude more files, but an exception in its patterns does not open an excluded one."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".fimble.toml").write_text(f'privacy.exclude = ["{pattern}", "*.gen"]\n')
    made = Gate(config.load(project=folder).config)
    assert made.is_excluded(".env")
    assert made.is_excluded("x.gen")


def test_the_default_patterns_are_in_use() -> None:
    """The built-in exclusions are the ones that the configuration declares."""
    assert all(Gate(Config()).is_excluded(pattern.replace("*", "x")) for pattern in Config().privacy.exclude)
