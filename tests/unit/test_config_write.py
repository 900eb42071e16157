"""Changing the user's own settings file from the command line."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from fimble import config
from fimble.errors import ConfigError

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def user_file() -> Path:
    path = config.user_file()
    path.parent.mkdir(parents=True)
    return path


def test_a_missing_file_is_made() -> None:
    """The first setting makes the file and its folder."""
    path = config.write_user_setting("model", "mine")
    assert path == config.user_file()
    assert config.load().config.model == "mine"


def test_comments_and_other_settings_stay(user_file: Path) -> None:
    """One line changes; comments, order, blank lines and everything else stay as they were."""
    before = '# mine\n\nmodel = "old" # why\nlog_level = "info"\n\n[suggest]\nmax_tokens = 3 # short\n'
    user_file.write_text(before, "utf-8")
    config.write_user_setting("model", "new")
    assert user_file.read_text("utf-8") == before.replace('"old"', '"new"')


def test_a_new_setting_stands_above_the_tables(user_file: Path) -> None:
    """A top-level key that is added to a file with tables does not end up inside the last table."""
    user_file.write_text("# mine\n[suggest]\nmax_tokens = 3 # short\n", "utf-8")
    config.write_user_setting("model", "new")
    assert tomllib.loads(user_file.read_text("utf-8")) == {"model": "new", "suggest": {"max_tokens": 3}}
    assert "# short" in user_file.read_text("utf-8")


@pytest.mark.parametrize("value", ['C:\\models\\a "b".gguf', "ünï\ncode", "'''", "# no comment"])
def test_any_text_survives(value: str) -> None:
    """Quotes, backslashes and line ends in a value come back as they went in."""
    config.write_user_setting("model", value)
    assert config.load().config.model == value


@pytest.mark.parametrize("text", [b"model = \n", b"\xff", b"a = 1\na = 2\n"])
def test_a_broken_file_is_left_alone(user_file: Path, text: bytes) -> None:
    """A file that cannot be read is not overwritten; the error says what to write by hand."""
    user_file.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        config.write_user_setting("model", "new")
    assert 'model = "new"' in caught.value.fix
    assert user_file.read_bytes() == text


def test_a_folder_that_cannot_be_made_is_an_error_with_a_fix(home: Path) -> None:
    """Where nothing can be written, the person is told what to do instead of seeing a traceback."""
    (home / "config").write_text("a file where the folder should be")
    with pytest.raises(ConfigError) as caught:
        config.write_user_setting("model", "new")
    assert caught.value.fix


def test_a_link_to_a_dotfiles_folder_stays_a_link(user_file: Path, tmp_path: Path) -> None:
    """Who keeps fimble.toml elsewhere and links to it finds the change there, and the link still in place."""
    real = tmp_path / "dotfiles.toml"
    real.write_text('model = "old"\n', "utf-8")
    user_file.symlink_to(real)
    config.write_user_setting("model", "new")
    assert user_file.is_symlink()
    assert real.read_text("utf-8") == 'model = "new"\n'


def test_nothing_else_is_left_in_the_folder(user_file: Path) -> None:
    """The file is replaced in one step, and no half-written copy stays behind."""
    config.write_user_setting("model", "new")
    assert [path.name for path in user_file.parent.iterdir()] == ["fimble.toml"]
