"""Completion menus of other plugins beside Fimble in a real Neovim: nvim-cmp and blink.cmp.

They cannot be fetched in every place where the tests run.  So each has a stand-in in nvim_menus.lua with those parts of
its API that Fimble touches.  The plugins themselves are tested with when ``FIMBLE_TEST_NEOVIM_PLUGINS`` names the
folders that hold them (``scripts/editors.py test neovim --plugins FOLDER ...`` sets it).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvim_window import NEOVIM_FILES, Neovim
from waiting import until

PLUGINS_VARIABLE = "FIMBLE_TEST_NEOVIM_PLUGINS"
LUA = Path(__file__).with_suffix(".lua")

#: The plugins by a file that only they have.
MARKS = {"cmp": "lua/cmp/init.lua", "blink": "lua/blink/cmp/init.lua"}
#: How fimble.txt calls them above their recipe.
TITLES = {"cmp": "nvim-cmp", "blink": "blink.cmp, in `keymap`"}


@dataclass(frozen=True)
class MenuPlugin:
    """A plugin with a completion menu; *folders* is None for its stand-in."""

    name: str
    folders: tuple[Path, ...] | None

    def __str__(self) -> str:
        return self.name if self.folders else f"{self.name}-stand-in"


def menu_plugins() -> list[MenuPlugin]:
    """The stand-ins, and the real plugins that the environment names; a folder with neither is an error."""
    folders = [Path(part) for part in os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep) if part]
    found = [MenuPlugin(name, None) for name in MARKS]
    for folder in folders:
        names = [name for name, mark in MARKS.items() if (folder / mark).is_file()]
        if not names:
            raise ValueError(f"{PLUGINS_VARIABLE}: {folder} is neither nvim-cmp nor blink.cmp")
        found += [MenuPlugin(name, (folder,)) for name in names]
    return found


def recipe_of(name: str) -> str:
    """The mapping for a plugin that fimble.txt shows."""
    page = (NEOVIM_FILES / "doc" / "fimble.txt").read_text("utf-8")
    found = re.search(rf"^    -- {re.escape(TITLES[name])}\n((?:    .*\n)+)", page, re.MULTILINE)
    assert found, f"fimble.txt shows no mapping for {name}"
    return found[1]


class Menu:
    """The menu of a plugin in one Neovim."""

    def __init__(self, nvim: Neovim, plugin: MenuPlugin) -> None:
        self.nvim, self.plugin = nvim, plugin

    def set_up(self, *, ghost_text: bool = False, with_recipe: bool = True) -> None:
        """Load the plugin, with the keys that it has by itself: <C-n>, <Down>, <C-y>, <C-e>."""
        options = {"ghost_text": ghost_text, "recipe": recipe_of(self.plugin.name) if with_recipe else ""}
        folders = [str(folder) for folder in self.plugin.folders or ()]
        function = self.plugin.name + ("" if self.plugin.folders else "_stand_in")
        code = f"_G.menus = dofile(...); _G.menus.{function}(select(2, ...))"
        self.nvim.lua(code, str(LUA), folders, options)

    def state(self) -> tuple[bool, str]:
        """Whether it is open, and the item that the user went to (its label, or nothing)."""
        seen = self._look()
        return seen["is_open"], seen["chosen"]

    def _look(self) -> dict[str, Any]:
        return dict(self.nvim.lua(f"return _G.menus.{self.plugin.name}_state()"))

    def wait_until_open(self) -> None:
        """Wait for the menu, with nothing chosen."""
        wanted = {"is_open": True, "is_settled": True, "chosen": ""}
        until(lambda: self._look() == wanted, lambda: f"the menu: {self._look()}")

    def wait_until_closed(self) -> None:
        """Wait until it is gone."""
        until(lambda: not self.state()[0], lambda: f"the menu to close: {self.state()}")

    def open_again(self) -> None:
        """Type the last letter once more, at a person's pace: nvim-cmp has to see the text change."""
        before = self.nvim.look()
        (column, line) = before.cursor[1], before.lines[before.cursor[0]]
        self.nvim.press("<BS>")
        until(lambda: self.nvim.look().cursor[1] == column - 1, "the letter to go")
        self.nvim.press(line[column - 1])
        self.wait_until_open()

    def choose(self, key: str, label: str) -> None:
        """Go on to an item, with <C-n> (it is put in) or <Down> (it is not)."""
        for _ in range(6):  # the way round leads over "none"
            before = self.state()
            if before == (True, label):
                return
            self.nvim.press(key)
            until(lambda before=before: self.state() != before, "another item to be chosen")  # type: ignore[misc]
        raise AssertionError(f"{key} does not come to {label}: {self.state()}")
