"""`fimble models use` and `rollback`: a model is tried first, and there is a way back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from models import BUNDLED_MODEL, write_broken_model, write_crashing_model

from fimble.engine.launch import quick_digest
from fimble.errors import ModelCrashes
from fimble.models import fitting, history
from fimble.models.history import Aside


def fimble(*args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "fimble", *args], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


def as_json(*args: str, status: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fimble(*args, "--json", status=status).stdout)
    return found


@pytest.fixture
def settings(home: Path) -> Path:
    """The user's settings, as they wrote them."""
    file = home / "config" / "fimble" / "fimble.toml"
    file.parent.mkdir(parents=True)
    file.write_text("# mine\nlog_level = 'error'\n")
    return file


def copy(home: Path, name: str, extra: bytes = b"\0") -> Path:
    path = home / name
    path.write_bytes(BUNDLED_MODEL.read_bytes() + extra)
    return path


def test_a_good_model_is_measured_and_used(home: Path, settings: Path) -> None:
    """What it can do is said and kept, and the rest of the settings stays."""
    path = copy(home, "good.gguf")
    used = as_json("models", "use", str(path))
    assert used["path"] == str(path)
    assert used["trial"]["decode_tokens_per_s"] > 0
    assert not used["problem"]
    assert settings.read_text() == f"# mine\nlog_level = 'error'\nmodel = \"{path}\"\n"
    (kept,) = history.load().worked
    assert (kept.path, kept.digest, kept.setting) == (str(path), quick_digest(path), str(path))
    assert kept.decode_tokens_per_s == pytest.approx(used["trial"]["decode_tokens_per_s"], abs=0.1)
    assert fitting.measured()["good.gguf"].decode_tokens_s == used["trial"]["decode_tokens_per_s"]
    said = fimble("models", "use", "fimble-45m").stdout
    assert "Using fimble-45m (fimble-45m, llama, Q8_0); written to" in said
    assert "Tried: it fills in, reads " in said


@pytest.mark.parametrize(("write", "says"), [(write_broken_model, "not finite"), (write_crashing_model, "GGML_ASSERT")])
def test_a_bad_model_is_not_used_unless_it_is_wanted(home: Path, settings: Path, write: Any, says: str) -> None:
    """It changes nothing and names the way to use it all the same, which says what is wrong again."""
    path = home / "bad.gguf"
    write(BUNDLED_MODEL, path)
    before = settings.read_text()
    refused = fimble("models", "use", str(path), status=1)
    assert says in refused.stderr
    assert "--anyway" in refused.stderr
    assert settings.read_text() == before
    used = as_json("models", "use", str(path), "--anyway")
    assert says in used["problem"]
    assert used["trial"] is None
    assert f'model = "{path}"' in settings.read_text()
    assert history.load().worked == [], "it is none to go back to"
    assert f"Note: it failed when it was tried: {used['problem'][:20]}" in (
        fimble("models", "use", str(path), "--anyway").stdout
    )


def test_back_to_what_worked(home: Path, settings: Path) -> None:
    """The one before, the one before that, the bundled one; what is no good now is passed over, and said."""
    first, gone, second, third = (copy(home, f"{name}.gguf", name.encode()) for name in ("a", "gone", "b", "c"))
    for path in (first, gone, second, third):
        fimble("models", "use", str(path))
    gone.unlink()
    history.set_aside(
        Aside.of(
            str(third), third, quick_digest(third), ModelCrashes("c.gguf is put aside: it ended twice.", "Leave it.")
        )
    )
    back = as_json("models", "rollback")
    assert (back["path"], back["left"], back["left_because"]) == (
        str(second),
        "c",
        "c.gguf is put aside: it ended twice.",
    )
    assert "tokens a second read" in back["why"]
    assert f'model = "{second}"' in settings.read_text()
    said = fimble("models", "rollback").stdout
    assert "Using a again: it is the last one that worked (" in said
    assert "gone was left out: its file is gone" in said
    assert f'model = "{first}"' in settings.read_text()
    last = as_json("models", "rollback")
    assert (last["path"], last["name"]) == (str(BUNDLED_MODEL), "fimble-45m")
    assert 'model = ""' in settings.read_text()
    assert "# mine" in settings.read_text()
    nothing = fimble("models", "rollback", status=1)
    assert "The bundled model is in use" in nothing.stderr
    assert "fimble models use NAME" in nothing.stderr


def test_back_from_a_model_that_is_not_there(home: Path, settings: Path) -> None:
    """A name that means nothing (any more) is left for the last one that worked."""
    path = copy(home, "good.gguf")
    fimble("models", "use", str(path))
    settings.write_text('model = "no-such-model"\n')
    back = as_json("models", "rollback")
    assert (back["path"], back["left"]) == (str(path), "no-such-model")
    assert "There is no model called no-such-model." in back["left_because"]


def test_what_is_put_aside_is_said_and_tried_again(home: Path, settings: Path) -> None:
    """The doctor names it, commands ask the model that stands in, and using it expressly clears it."""
    path = copy(home, "mine.gguf")
    settings.write_text(f'model = "{path}"\n')
    failure = ModelCrashes("mine.gguf is put aside: the engine ended 2 times.", "Choose another model.")
    history.set_aside(Aside.of(str(path), path, quick_digest(path), failure))
    wrong = [one for one in as_json("doctor", status=1)["findings"] if not one["ok"] and one["what"] == "Model"]
    assert [one["found"] for one in wrong] == [
        "mine.gguf is put aside: the engine ended 2 times. fimble-45m is used instead."
    ]
    assert as_json("models", "list")["put_aside"][str(path)]["kind"] == "ModelCrashes"
    assert f"Put aside: {path}. mine.gguf is put aside" in fimble("models", "list").stdout
    started = fimble("engine", "start", "--json")
    assert json.loads(started.stdout)["model_path"] == str(BUNDLED_MODEL)
    assert "Note: mine.gguf is put aside" in started.stderr
    fimble("models", "use", str(path))
    assert as_json("models", "list")["put_aside"] == {}
    assert as_json("engine", "start")["model_path"] == str(path)


def test_the_environment_overrules(home: Path, settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever set FIMBLE_MODEL is told that it counts more than what was just written."""
    monkeypatch.setenv("FIMBLE_MODEL", "fimble-45m")
    path = copy(home, "mine.gguf")
    assert as_json("models", "use", str(path))["is_overruled"]
    assert "FIMBLE_MODEL in the environment names another model" in fimble("models", "use", str(path)).stdout
