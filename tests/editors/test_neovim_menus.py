"""Fimble beside nvim-cmp and blink.cmp in a real Neovim.

Their place is taken by stand-ins (tests/support/nvim_menus.lua says what those stand for); the plugins themselves come
in where ``scripts/editors.py test neovim --plugins FOLDER ...`` is told where they are.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from neovims import neovim_or_fail, neovims_to_test
from nvim_menus import Menu, MenuPlugin, menu_plugins
from nvim_window import Neovim, Snapshot
from waiting import until

from editor_neovim import Version

CONNECT = "    connection = open_database_connection(settings.database_url, timeout=30)"
ITEM = "open_database_connection"
TYPED = "connection = open_data"
REST = "base_connection(settings.database_url, timeout=30)"
AFTER_ITEM = "(settings.database_url, timeout=30)"
WAIT_LONGER_THAN_FOR_ANY_ANSWER = "vim.wait(200, function() return false end)"
ECHO_FILE = f"def first(settings):\n{CONNECT}\n    return connection\n\n\ndef second(settings):\n    "


#: Each plugin in each Neovim; a stand-in takes its time in one of them only.
VERSIONS = neovims_to_test()
STAND_INS = {"cmp": VERSIONS[0], "blink": VERSIONS[-1]}
PLACES = [
    (version, plugin)
    for version in VERSIONS
    for plugin in menu_plugins()
    if plugin.folders or version == STAND_INS[plugin.name]
]


@pytest.fixture(params=PLACES, ids=lambda place: f"{place[0][0]}.{place[0][1]}-{place[1]}")
def place(request: pytest.FixtureRequest) -> tuple[Version, MenuPlugin]:
    """A version of Neovim, and the menu in it."""
    found: tuple[Version, MenuPlugin] = request.param
    return found


@pytest.fixture
def neovim(place: tuple[Version, MenuPlugin]) -> Path:
    """The path of the Neovim."""
    return neovim_or_fail(place[0])


@pytest.fixture
def menu(place: tuple[Version, MenuPlugin], nvim: Neovim) -> Menu:
    """A menu that the test has yet to set up."""
    return Menu(nvim, place[1])


def beside_menu(menu: Menu, path: Path) -> Snapshot:
    """Type until the suggestion stands beside the open menu."""
    nvim = menu.nvim
    nvim.start(path, ECHO_FILE)
    nvim.append(TYPED)
    nvim.expect_ghost(REST)
    menu.open_again()
    return nvim.expect_look(lambda seen: seen.ghost == REST, "the suggestion beside the menu")


@pytest.mark.parametrize("with_recipe", [True, False], ids=["recipe", "plain"])
def test_tab_accepts_beside_a_menu_with_nothing_chosen(menu: Menu, tmp_path: Path, with_recipe: bool) -> None:
    """Also where the menu has selected its first item in advance; with the mapping in fimble.txt, and without."""
    menu.set_up(with_recipe=with_recipe)
    shown = beside_menu(menu, tmp_path / "beside.py")
    menu.nvim.accept(shown)
    menu.wait_until_closed()
    menu.nvim.press("<Esc>u")
    menu.nvim.expect_lines(shown.lines, "an undo to take back the suggestion alone")


def test_words_go_in_beside_an_open_menu(menu: Menu, tmp_path: Path) -> None:
    """The menu filters on with what went in, and the rest stays shown."""
    menu.set_up()
    shown = beside_menu(menu, tmp_path / "words.py")
    for word in ("base_connection", "(", "settings"):
        menu.nvim.accept(shown, "<M-w>", word)
        left = shown.ghost.removeprefix(word)
        shown = menu.nvim.expect_look(lambda seen, left=left: seen.ghost == left, "the rest")  # type: ignore[misc]


def test_what_follows_an_item_that_is_put_in(menu: Menu, tmp_path: Path) -> None:
    """The suggestion goes on from the item; Tab is Fimble's again once the item is confirmed."""
    menu.set_up()
    nvim = menu.nvim
    beside_menu(menu, tmp_path / "item.py")
    menu.choose("<C-n>", ITEM)
    shown = nvim.expect_look(lambda seen: seen.ghost == AFTER_ITEM, "what follows the item")
    assert shown.lines[-1] == CONNECT.removesuffix(AFTER_ITEM)
    assert not nvim.lua("return require('fimble').accept()")
    nvim.press("<C-y>")
    menu.wait_until_closed()
    nvim.accept(nvim.expect_look(lambda seen: seen.ghost == AFTER_ITEM, "it to stay"))


def test_what_follows_an_item_that_is_only_selected(menu: Menu, tmp_path: Path) -> None:
    """The suggestion is for the text with the item, for each item anew; what is a snippet cannot be foretold."""
    menu.set_up()
    nvim = menu.nvim
    shown = beside_menu(menu, tmp_path / "selected.py")
    menu.choose("<Down>", "open_database_console")
    nvim.expect_look(lambda seen: not seen.ghost.startswith("base_conn"), "no end of another item")
    menu.choose("<Down>", ITEM)
    nvim.expect_look(lambda seen: seen.ghost == REST, "the item's end and what follows it")
    assert not nvim.lua("return require('fimble').accept()")
    menu.choose("<Down>", "open_database_call")
    assert nvim.expect_no_ghost().lines == shown.lines


def test_the_suggestion_is_there_when_the_menu_goes(menu: Menu, tmp_path: Path) -> None:
    """Aborted with nothing chosen, and with an item that was put in."""
    menu.set_up()
    nvim = menu.nvim
    shown = beside_menu(menu, tmp_path / "gone.py")
    nvim.press("<C-e>")
    menu.wait_until_closed()
    assert nvim.look().ghost == REST
    menu.open_again()
    menu.choose("<C-n>", ITEM)
    nvim.press("<C-e>")
    menu.wait_until_closed()
    nvim.expect_lines(shown.lines, "what was there before the menu")
    nvim.accept(nvim.expect_look(lambda seen: seen.ghost == REST, "the suggestion again"))


def test_dismissed_beside_a_menu(menu: Menu, tmp_path: Path) -> None:
    """It stays away from its place when the menu closes, and when an item is selected and not put in."""
    menu.set_up()
    nvim = menu.nvim
    shown = beside_menu(menu, tmp_path / "dismissed.py")
    nvim.press("<M-e>")
    assert nvim.expect_no_ghost().lines == shown.lines
    assert menu.state() == (True, "")
    menu.choose("<Down>", ITEM)
    nvim.press("<C-e>")
    menu.wait_until_closed()
    nvim.lua(WAIT_LONGER_THAN_FOR_ANY_ANSWER)
    assert not nvim.look().marks
    nvim.press("t")
    nvim.press("<BS>")
    nvim.expect_look(lambda seen: seen.ghost == REST, "a suggestion for the next key")


def test_two_ghost_texts_are_never_shown(menu: Menu, tmp_path: Path) -> None:
    """While the menu shows its own, ours is away and takes no key; it is there as soon as the menu is closed."""
    nvim = menu.nvim
    nvim.start(tmp_path / "two.py", ECHO_FILE)
    nvim.append(TYPED)
    shown = nvim.expect_ghost(REST)
    menu.set_up(ghost_text=True)
    nvim.press("<Esc>a")
    menu.open_again()
    nvim.expect_no_ghost()
    nvim.lua(WAIT_LONGER_THAN_FOR_ANY_ANSWER)
    assert not nvim.look().marks
    assert not nvim.lua("return require('fimble').accept()")
    nvim.press("<C-e>")
    menu.wait_until_closed()
    again = nvim.expect_look(lambda seen: seen.ghost == REST, "our ghost text")
    assert again.lines == shown.lines
    nvim.accept(again)


def test_setting_up_again_over_its_mapping(menu: Menu, tmp_path: Path) -> None:
    """`setup{}` when the plugin has mapped Tab over ours: both still end at a plain tab where nothing is shown."""
    menu.set_up()
    nvim = menu.nvim
    beside_menu(menu, tmp_path / "again.py")
    nvim.lua("require('fimble').setup{}")
    nvim.press("<Esc>:Fimble disable<CR>o<Esc>0Da")
    nvim.expect_look(lambda seen: seen.lines[-1] == "", "an empty line")
    nvim.expect_tab_to_insert("    ")


def test_typing_fast_beside_a_menu(menu: Menu, tmp_path: Path) -> None:
    """What is typed and accepted comes out whole, however the menu opens and closes meanwhile.

    Seeded; keys are sent without waiting for what they do.  What came too late for its Tab is a plain tab.
    """
    menu.set_up()
    nvim = menu.nvim
    dice = random.Random(11)
    lines = [
        "open_database_connection(alpha, beta)",
        "open_database_console(gamma)",
        "other = open_database_call(é, 🚀)",
    ]
    text = "".join(f"{line}\n" for line in lines)
    nvim.start(tmp_path / "fast.txt", text)
    nvim.lua("vim.bo.autoindent, vim.bo.textwidth, vim.bo.expandtab = false, 0, false")
    nvim.press("<Esc>Go")
    wanted, typed, accepted = text, 0, 0
    while typed < 200 or not accepted:
        line = dice.choice(lines)
        beginning = line[: dice.randint(6, len(line) - 1)]
        before = len(nvim.lua("return _G.accepted"))
        for key in beginning:
            nvim.press(key)
        typed += len(beginning)
        if dice.random() < 0.5:
            nvim.ghost(deadline_s=0.5)
        nvim.press("<Tab>\r")
        until(lambda: nvim.look().lines[-1] == "", "the line end")
        parts = nvim.lua("return _G.accepted")[before:]
        accepted += len(parts)
        wanted += beginning + ("".join(parts) or "\t") + "\n"
        assert "\n".join(nvim.look().lines) == wanted
    nvim.press("<Esc>")
