"""Changing the model of the settings: to one that proved itself, or back to the last one that worked."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from fimble import catalog, config, paths
from fimble.engine.launch import quick_digest, running_engines, settings_for, stop, use_on_trial
from fimble.engine.wire import Trial
from fimble.errors import ConfigError, ModelError
from fimble.models import fitting, history
from fimble.models.choice import find
from fimble.models.history import Worked


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What ``fimble models use`` did."""

    name: str
    path: str
    settings_file: str
    trial: Trial | None = None
    """How it did; None if it failed and is used anyway, for the reason that is the *problem*."""
    problem: str = ""
    is_overruled: bool = False
    """Whether something stronger than the settings file (FIMBLE_MODEL) names another model."""


class RolledBack(msgspec.Struct, frozen=True, kw_only=True):
    """What ``fimble models rollback`` did."""

    name: str
    path: str
    why: str
    """Why this one."""
    settings_file: str
    left: str
    """The model that was in use."""
    left_because: str = ""
    """What was wrong with it, if that is known."""
    skipped: dict[str, str] = {}
    """Models that worked later but are of no use now, and why."""
    is_overruled: bool = False


def use(name: str, *, anyway: bool = False) -> Used:
    """Try a model and, if it does what every model must, make it the one of the user's settings.

    A model that was put aside is not any more.  Raises ModelError for one that fails, unless *anyway*, and ConfigError
    if the settings cannot be written.
    """
    path = catalog.resolve(name)
    setting = name if name in {one.name for one in catalog.listing()} else str(path.resolve())
    trial, problem = None, ""
    try:
        trial = use_on_trial(settings_for(path, config.load().config.engine))
    except ModelError as failure:
        if not anyway:
            failure.fix = f"{failure.fix} `--anyway` uses it all the same.".strip()
            raise
        problem = failure.message
    file = config.write_user_setting("model", setting)
    digest = quick_digest(path)
    if history.aside(digest):
        _end_its_engines(path)
    history.try_again(path, digest)
    if trial:
        fitting.note_measured(path, trial.prompt_tokens_per_s, trial.decode_tokens_per_s)
        history.note_worked(
            Worked(
                setting="" if path == catalog.resolve("") else setting,
                path=str(path),
                digest=digest,
                prompt_tokens_per_s=round(trial.prompt_tokens_per_s, 1),
                decode_tokens_per_s=round(trial.decode_tokens_per_s, 1),
                memory_bytes=trial.memory_bytes,
            )
        )
    return Used(
        name=catalog.display_name(setting),
        path=str(path),
        settings_file=str(file),
        trial=trial,
        problem=problem,
        is_overruled=_is_overruled(setting),
    )


def _end_its_engines(path: Path) -> None:
    """An engine that refused a model stays a while to tell every window; the next one shall look anew."""
    for found in running_engines(paths.runtime_dir()):
        if found.model_path == str(path):
            stop(found)


def roll_back() -> RolledBack:
    """Make the last model that worked, before the one of the settings, the one of the settings again.

    The one that is left is not gone back to: doing it twice goes back twice, at last to the bundled model.  Raises
    ConfigError if there is nothing to go back to, or the settings cannot be written.
    """
    setting = config.load().config.model
    now = find(setting)
    # A model that cannot be found now is left by its name.
    left = {"" if isinstance(now, ModelError) else str(now.path)}
    asides = history.put_aside()
    because = now.message if isinstance(now, ModelError) else ""
    if not isinstance(now, ModelError) and str(now.path) in asides:
        because = asides[str(now.path)].message
    good, skipped = _last_worked(left, asides)
    bundled = find("")
    if good is None and (isinstance(bundled, ModelError) or str(bundled.path) in left):
        raise ConfigError(
            "The bundled model is in use, and none worked before it.", "Choose one with `fimble models use NAME`."
        )
    if good is None:
        assert not isinstance(bundled, ModelError)
        good = Worked(setting="", path=str(bundled.path), digest=bundled.digest)
    file = config.write_user_setting("model", good.setting)
    history.forget(frozenset(left | {one.path for one, _ in skipped}))
    return RolledBack(
        name=catalog.display_name(good.setting),
        path=good.path,
        why=_why(good),
        settings_file=str(file),
        left=catalog.display_name(setting),
        left_because=because,
        skipped={catalog.display_name(one.setting): why for one, why in skipped},
        is_overruled=_is_overruled(good.setting),
    )


def _last_worked(left: set[str], asides: dict[str, history.Aside]) -> tuple[Worked | None, list[tuple[Worked, str]]]:
    """The newest that can be used and is not *left*, and those newer ones that cannot."""
    skipped = list[tuple[Worked, str]]()
    for one in reversed(history.load().worked):
        if one.path in left:
            continue
        if one.path in asides:
            skipped.append((one, asides[one.path].message))
        elif not Path(one.path).is_file():
            skipped.append((one, "its file is gone"))
        elif not history.is_unchanged(one):
            skipped.append((one, "its file is another one now"))
        else:
            return one, skipped
    return None, skipped


def _why(good: Worked) -> str:
    if not good.at:
        return "it is the bundled one, and no other worked before"
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(good.at))
    if not good.decode_tokens_per_s:
        return f"it is the last one that worked ({day})"
    speed = f"{good.prompt_tokens_per_s:,.0f} tokens a second read, {good.decode_tokens_per_s:,.0f} written"
    return f"it is the last one that worked ({day}; {speed})"


def _is_overruled(setting: str) -> bool:
    return config.load().config.model != setting
