"""The model that a command asks."""

from __future__ import annotations

from fimble.cli.output import console
from fimble.errors import ModelNotFound
from fimble.models.choice import Choice, choose


def chosen(setting: str) -> Choice:
    """What windows would use where the settings say *setting*; says so where that is another one.

    Raises ModelNotFound if there is no such model: whoever has written a command can correct it.
    """
    found = choose(setting)
    if isinstance(found.failure, ModelNotFound):
        raise found.failure
    if found.sentence:
        console(stderr=True).print(f"Note: {found.sentence}", markup=False)
    return found
