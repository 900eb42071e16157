"""Settings: which source wins, and what is said about what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fimble import config, settings
from fimble.settings import Config

pytestmark = pytest.mark.usefixtures("home")


def write_user(text: str) -> Path:
    path = config.user_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def test_without_any_source_the_defaults_hold() -> None:
    """No file, no variable and no flag give exactly the defaults, and nothing to say."""
    assert config.load() == config.Loaded(Config())


def test_a_later_source_wins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """User file, project, editor, environment, command line: each wins over all the ones before it."""

    def max_tokens(**sources: Any) -> int:
        return config.load(**sources).config.suggest.max_tokens

    write_user("[suggest]\nmax_tokens = 50\n")
    assert max_tokens() == 50
    (project / ".fimble.toml").write_text("suggest.max_tokens = 40\n")
    assert max_tokens(project=project) == 40
    editor = {"suggest": {"max_tokens": 60}}
    assert max_tokens(project=project, editor=editor) == 60
    monkeypatch.setenv("FIMBLE_SUGGEST_MAX_TOKENS", "70")
    assert max_tokens(project=project, editor=editor) == 70
    assert max_tokens(project=project, editor=editor, flags={"suggest": {"max_tokens": 80}}) == 80


def test_a_source_changes_only_what_it_names() -> None:
    """The other settings of a group keep the values of the sources below."""
    write_user("[suggest]\nmax_tokens = 50\nmultiline = false\n")
    loaded = config.load(editor={"suggest": {"max_tokens": 60}})
    assert (loaded.config.suggest.max_tokens, loaded.config.suggest.multiline) == (60, False)


def test_dotted_keys_are_read_like_tables() -> None:
    """Editors send ``{"suggest.echo": false}`` as well as nested objects; both mean the same."""
    assert config.load(editor={"suggest.echo": False}) == config.load(editor={"suggest": {"echo": False}})
    assert config.load(editor={"suggest.echo": False}).config.suggest.echo is False


@pytest.mark.parametrize("values", [{"sugest": {}}, {"suggest": {"colour": "red"}}, {"suggest": 3}, {"model.x": 1}])
def test_an_unknown_key_is_one_warning(values: dict[str, Any]) -> None:
    """A key that nobody knows is named once, with its source, and changes nothing."""
    loaded = config.load(editor=values)
    assert loaded.config == Config()
    assert len(loaded.problems) == 1
    key = next(iter(values))
    assert key in loaded.problems[0]
    assert "the editor's settings" in loaded.problems[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("suggest.max_tokens", 0),
        ("suggest.max_tokens", "many"),
        ("suggest.enabled", 1),
        ("suggest.completion_menu", "sometimes"),
        ("privacy.exclude", "*.secret"),
        ("privacy.languages_off", [1, 2]),
        ("engine.idle_minutes", float("nan")),
        ("engine.context_tokens", 10**9),
        ("log_level", None),
        ("model", ["a"]),
    ],
)
def test_a_bad_value_leaves_the_default(key: str, value: object) -> None:
    """A value that does not fit is one message that names the key and the source; the default holds."""
    loaded = config.load(editor={key: value, "cache.max_mb": 5})
    assert loaded.config == config.load(editor={"cache.max_mb": 5}).config
    assert len(loaded.problems) == 1
    assert loaded.problems[0].startswith(f"{key} in the editor's settings is not used")


@pytest.mark.parametrize(
    "text",
    [
        b"model = \n",
        b"\xff\xfe",
        b"[suggest\n",
        b"a = 1\na = 2\n",
        # What tomllib does not call a TOMLDecodeError: nesting without end, and a number without end.
        b"a = " + b"[" * 5000,
        b"a = " + b"1" * 5000,
    ],
    ids=["no value", "no utf-8", "no bracket", "twice", "deep", "long"],
)
def test_a_broken_file_is_one_message(text: bytes) -> None:
    """A settings file that is no TOML is named, its settings are not used, and everything goes on."""
    path = write_user("")
    path.write_bytes(text)
    loaded = config.load(editor={"suggest": {"max_tokens": 9}})
    assert loaded.config.suggest.max_tokens == 9
    assert len(loaded.problems) == 1
    assert str(path) in loaded.problems[0]


def test_a_file_that_cannot_be_opened_is_one_message() -> None:
    """A folder where the settings file should be is a message, not a failure."""
    config.user_file().mkdir(parents=True)
    loaded = config.load()
    assert loaded.config == Config()
    assert len(loaded.problems) == 1


@pytest.mark.parametrize("text", ["[tool.fimble\n", "tool = 3\n", "[tool]\nfimble = 3\n", "x = " + "[" * 5000])
def test_a_broken_pyproject_is_not_our_news(project: Path, text: str) -> None:
    """A pyproject.toml that cannot be used says nothing about Fimble and is passed over."""
    (project / "pyproject.toml").write_text(text)
    assert config.load(project=project) == config.Loaded(Config())


def test_a_project_file_wins_over_pyproject(project: Path) -> None:
    """Settings come from .fimble.toml where there is one, else from [tool.fimble]."""
    (project / "pyproject.toml").write_text("[tool.fimble.suggest]\nmax_tokens = 30\n")
    assert config.load(project=project).config.suggest.max_tokens == 30
    (project / ".fimble.toml").write_text("[suggest]\nmax_tokens = 20\n")
    assert config.load(project=project).config.suggest.max_tokens == 20


@pytest.mark.parametrize(
    "line",
    [
        'model = "/tmp/evil.gguf"',
        'log_level = "debug"',
        "engine.threads = 64",
        "engine.context_tokens = 131072",
        'engine.transport = "tcp"',
        "cache.enabled = false",
        "cache.max_mb = 1",
        "suggest.deadline_ms = 60000",
        'suggest.completion_menu = "always"',
        "suggest.eagerness = 'eager'",
    ],
)
def test_a_project_may_not_set_what_is_yours(project: Path, line: str) -> None:
    """A file that came with somebody's repository chooses no model, no engine and no cache."""
    (project / ".fimble.toml").write_text(line + "\n")
    loaded = config.load(project=project)
    assert loaded.config == Config()
    assert len(loaded.problems) == 1
    assert line.partition(" ")[0] in loaded.problems[0]


def test_a_project_may_only_take_away(project: Path) -> None:
    """A project switches off, excludes more and allows less; it never switches on or allows more."""
    write_user(
        "[suggest]\nenabled = false\nmultiline = false\necho = false\nmax_tokens = 10\n"
        '[privacy]\nexclude = ["mine"]\nlanguages_off = ["c"]\nmax_file_kb = 7\n'
    )
    (project / ".fimble.toml").write_text(
        "[suggest]\nenabled = true\nmultiline = true\necho = true\nmax_tokens = 1000\n"
        '[privacy]\nexclude = ["theirs"]\nlanguages_off = ["d", "c"]\nmax_file_kb = 9000\n'
    )
    loaded = config.load(project=project)
    suggest, privacy = loaded.config.suggest, loaded.config.privacy
    assert (suggest.enabled, suggest.multiline, suggest.echo, suggest.max_tokens) == (False, False, False, 10)
    assert (privacy.exclude, privacy.languages_off, privacy.max_file_kb) == (("mine", "theirs"), ("c", "d"), 7)


def test_a_project_takes_away_from_the_defaults(project: Path) -> None:
    """What a project excludes is added to the built-in exclusions, which stay."""
    (project / ".fimble.toml").write_text('[privacy]\nexclude = ["*.gen"]\n[suggest]\nenabled = false\n')
    loaded = config.load(project=project)
    assert loaded.config.privacy.exclude == (*Config().privacy.exclude, "*.gen")
    assert not loaded.config.suggest.enabled


def test_the_environment_reads_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, switches, choices, names and lists can all be set by FIMBLE_ variables."""
    for name, value in {
        "MODEL": "qwen2.5-coder-0.5b",
        "SUGGEST_ENABLED": "false",
        "SUGGEST_MAX_TOKENS": "12",
        "ENGINE_IDLE_MINUTES": "0.5",
        "ENGINE_TRANSPORT": "tcp",
        "PRIVACY_EXCLUDE": " *.a , b/ ,,",
        "PRIVACY_LANGUAGES_OFF": "",
    }.items():
        monkeypatch.setenv(f"FIMBLE_{name}", value)
    loaded = config.load()
    found = loaded.config
    assert loaded.problems == ()
    assert (found.model, found.suggest.enabled, found.suggest.max_tokens) == ("qwen2.5-coder-0.5b", False, 12)
    assert (found.engine.idle_minutes, found.engine.transport) == (0.5, "tcp")
    assert (found.privacy.exclude, found.privacy.languages_off) == (("*.a", "b/"), ())


@pytest.mark.parametrize("value", ["", "x", "nan", "-1", "null"])
def test_a_bad_variable_leaves_the_value_below(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A variable that does not fit is one message that names the key; the file's value holds."""
    write_user("[engine]\nidle_minutes = 3\n")
    monkeypatch.setenv("FIMBLE_ENGINE_IDLE_MINUTES", value)
    loaded = config.load()
    assert loaded.config.engine.idle_minutes == 3
    assert len(loaded.problems) == 1
    assert "engine.idle_minutes from the environment" in loaded.problems[0]


def test_every_setting_has_a_description() -> None:
    """The docs and the editors' settings pages are made from the tree, so every leaf describes itself."""
    described = {key: getattr(field.type, "__metadata__", ()) for key, field in settings.settings()}
    assert {"model", "suggest.max_tokens", "cache.max_mb"} <= set(described)
    assert [key for key, meta in described.items() if not any(m.description for m in meta)] == []
    assert set(described) >= settings.PROJECT_KEYS
