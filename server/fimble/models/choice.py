"""Which model is used: the one that the settings name, or while that cannot be used, the last one that worked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fimble import catalog
from fimble.engine.launch import quick_digest
from fimble.errors import ModelError, ModelNotFound
from fimble.models import history
from fimble.models.history import Aside


@dataclass(frozen=True, slots=True)
class Choice:
    """A model that can be tried."""

    setting: str
    """What ``model`` in the settings would say for it; empty: the bundled one."""
    path: Path
    digest: str
    wanted: str = ""
    """What the settings say instead, and in *failure* why that is not used."""
    failure: ModelError | None = None

    @property
    def name(self) -> str:
        """What a person calls it."""
        return catalog.display_name(self.setting)

    @property
    def is_bundled(self) -> bool:
        """Whether it is the one that ships with Fimble, which is never put aside: nothing would be left."""
        return self.setting == ""

    @property
    def sentence(self) -> str:
        """Why it is not the one that the settings name, and what to do; empty if it is."""
        if self.failure is None:
            return ""
        return f"{' '.join(self.failure.message.split())} {self.name} is used instead. {self.failure.fix}".strip()


def choose(setting: str, also_aside: Mapping[str, Aside] | None = None) -> Choice:
    """The model to use where the settings say *setting*; *also_aside* are put aside beside those in the history.

    Raises ModelError if nothing can be used, not even the bundled model.
    """
    also_aside = also_aside or {}
    wanted = find(setting)
    if isinstance(wanted, ModelError):
        return _instead(setting, wanted, also_aside)
    found = wanted.is_bundled or also_aside.get(wanted.digest) or history.aside(wanted.digest)
    return _instead(setting, found.as_error(), also_aside) if isinstance(found, Aside) else wanted


def find(setting: str) -> Choice | ModelError:
    """The model that the settings name, whether it may be used or not; or why there is none."""
    try:
        path = catalog.resolve(setting)
        str(path).encode("utf-8")
        setting = "" if path == catalog.resolve("") else setting
        return Choice(setting, path, quick_digest(path))
    except ModelError as failure:
        return failure
    except UnicodeEncodeError:
        return ModelNotFound(f"The path {setting!r} is not UTF-8.", "Rename the file or its folder.")
    except OSError as failure:
        return ModelNotFound(f"The model cannot be read: {failure}.", "Check `model` in your settings.")


def _instead(setting: str, failure: ModelError, also_aside: Mapping[str, Aside]) -> Choice:
    good = history.last_good(frozenset(also_aside))
    found = find(good.setting if good else "")
    if good and (isinstance(found, ModelError) or str(found.path) != good.path):
        found = Choice(good.setting, Path(good.path), good.digest)  # the name means another file now
    if isinstance(found, ModelError):
        raise failure
    return Choice(found.setting, found.path, found.digest, wanted=setting, failure=failure)
