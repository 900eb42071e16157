"""The Neovims that the plugin is tested in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from editor_neovim import NEOVIM_SUITES, NEOVIM_VERSIONS, Version, install_neovim
from editor_setup import EditorError

#: Versions such as ``0.11``, for scripts/editors.py to test in one alone.
ASKED_VARIABLE = "FIMBLE_TEST_NEOVIM"


def neovims_to_test() -> list[Version]:
    """The versions to test in: those that the environment asks for, else the newest and the oldest; newest first."""
    asked = set(os.environ.get(ASKED_VARIABLE, "").split())
    known = {f"{major}.{minor}": (major, minor) for major, minor in NEOVIM_VERSIONS}
    if unknown := asked - set(known):
        raise ValueError(f"{ASKED_VARIABLE}: there is no Neovim {min(unknown)} here, but {', '.join(known)}")
    return sorted((known[name] for name in asked) if asked else NEOVIM_SUITES, reverse=True)


def neovim_or_fail(version: Version) -> Path:
    """The path of a Neovim; it is installed beside the system's own when there is none."""
    try:
        return install_neovim(version)
    except EditorError as problem:  # a missing editor must not look like a passed test
        pytest.fail(f"no Neovim to test in (`--ignore tests/editors` leaves these tests out): {problem}")
