"""Keys in a real Neovim: typed faster than anything answers, beside menus and other mappings, and turned off."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from nvim_window import NEOVIM_FILES, Neovim, Snapshot
from waiting import until

CONNECT = "    connection = open_database_connection(settings.database_url, timeout=30)"
REST = "ection(settings.database_url, timeout=30)"
TYPED = "connection = open_database_conn"
ECHO_FILE = f"def first(settings):\n{CONNECT}\n    return connection\n\n\ndef second(settings):\n"

# Another's mapping of a key, from before Fimble was set up: it puts in a sign that nobody types.
FORMER = """
_G.outcomes = {}
for _, key in ipairs({ '<Tab>', '<M-w>', '<M-l>' }) do
  vim.keymap.set('i', key, function()
    table.insert(_G.outcomes, '~')
    return '~'
  end, { expr = true })
end
vim.api.nvim_create_autocmd('User', { pattern = 'FimbleAccepted', callback = function(event)
  table.insert(_G.outcomes, event.data.text)
end })
require('fimble').setup{}
"""


def with_echo(nvim: Neovim, path: Path) -> Snapshot:
    """Open a file and type until the echo is shown."""
    nvim.start(path, ECHO_FILE + "    ")
    nvim.append(TYPED)
    return nvim.expect_ghost(REST)


def test_two_hundred_fast_acceptances(nvim: Neovim, tmp_path: Path) -> None:
    """Keys are sent without waiting for what they do; the buffer ends as the edits that were told add up to.

    Seeded, and every burst differs: whole suggestions, words and lines are accepted just as they come, while more is
    typed before and after, also into the suggestion and against it.
    """
    dice = random.Random(7)
    lines = ["send_the_first_message(", "count = collect_numbers(", 'word = "déjà vu 🚀", more(']
    text = "".join(f"{line}alpha, beta_{number}, [gamma])\n" for number, line in enumerate(lines))
    nvim.start(tmp_path / "fast.txt", text)
    nvim.lua(FORMER + "vim.bo.autoindent, vim.bo.textwidth = false, 0")
    nvim.press("<Esc>Go")
    specials = 0
    model: list[str | None] = [text]  # None stands for a key whose outcome Neovim tells
    while nvim.lua("return #vim.tbl_filter(function(o) return o ~= '~' end, _G.outcomes)") < 200:
        line = dice.choice(lines)
        burst: list[str] = [line[: dice.randint(3, len(line))], dice.choice(["<Tab>", "<M-w>", "<M-l>", "alp"])]
        burst += dice.choice([["<Tab>"], ["<M-w>", "<M-w>", "<Tab>"], ["<M-w>", "x", "<Tab>"], ["<M-l>", "<Tab>"]])
        burst.append("\n")
        waits = dice.random() < 0.8
        for number, keys in enumerate(burst):
            if number == 1 and waits:
                nvim.ghost(deadline_s=0.2)
            nvim.press(keys.replace("\n", "<CR>"))
            is_special = keys.startswith("<")
            model.append(None if is_special else keys)
            specials += is_special

    until(lambda: nvim.lua("return #_G.outcomes") == specials, "every key to be worked off")
    outcomes = nvim.lua("return _G.outcomes")
    told = iter(outcomes)
    wanted = "".join(next(told) if keys is None else keys for keys in model)
    until(lambda: nvim.look().lines[-1] == "", "the last line end")
    assert "\n".join(nvim.look().lines) == wanted
    nvim.press("<Esc>:write<CR>")
    until(lambda: (tmp_path / "fast.txt").read_text("utf-8") == wanted + "\n", "the file to be saved")
    assert "~" in outcomes  # some came too late for their key, which then did what it did before


def test_what_was_typed_into_a_suggestion_is_not_inserted_twice(nvim: Neovim, tmp_path: Path) -> None:
    shown = with_echo(nvim, tmp_path / "through.py")
    nvim.press(shown.ghost[:2] + "<Tab>")
    nvim.expect_lines(shown.with_inserted(shown.ghost), "Tab to insert the rest of the suggestion, and no more")


def test_typing_through_asks_nobody_and_keeps_the_rest(nvim: Neovim, tmp_path: Path) -> None:
    shown = with_echo(nvim, tmp_path / "through.py")
    for count in range(1, len(REST)):
        nvim.press(shown.ghost[count - 1])
        until(lambda left=shown.ghost[count:]: nvim.look().ghost == left, f"the rest after {count} keys")  # type: ignore[misc]
    assert nvim.look().request == shown.request
    nvim.press("<BS>" * 5)
    until(lambda: nvim.look().ghost == shown.ghost[-6:], "the rest to grow again")


def test_a_suggestion_that_no_longer_fits_is_not_inserted(nvim: Neovim, tmp_path: Path) -> None:
    shown = with_echo(nvim, tmp_path / "misfit.py")
    nvim.press("7<Tab>8")
    nvim.expect_lines([*shown.lines[:-1], shown.lines[-1] + "7    8"], "the digits, and a plain Tab between them")


def test_tab_stays_a_tab_where_there_is_no_server(nvim: Neovim) -> None:
    nvim.append("name")
    nvim.expect_tab_to_insert("\t")


def test_tab_goes_on_in_a_snippet_when_nothing_is_shown(nvim: Neovim) -> None:
    nvim.press("i")
    nvim.lua("vim.snippet.expand('f(${1:a}, ${2:b})$0')")
    for key, mode in (("x", "i"), ("<Tab>", "s"), ("y", "i"), ("<Tab>", "i")):
        nvim.press(key)
        until(lambda mode=mode: nvim.channel.api.get_mode()["mode"] == mode, f"mode {mode} after {key}")  # type: ignore[misc]
    nvim.press("z")
    nvim.expect_lines(["f(x, y)z"], "Tab to jump from place to place")


@pytest.mark.parametrize("off", ["disable", "disable buffer", "toggle", "toggle buffer"])
def test_nothing_is_shown_when_turned_off(nvim: Neovim, tmp_path: Path, off: str) -> None:
    with_echo(nvim, tmp_path / "off.py")
    nvim.press(f"<C-o>:Fimble {off}<CR>")
    seen = nvim.expect_no_ghost()
    nvim.append("<")
    nvim.press("<BS>")
    nvim.expect_lines(seen.lines, "the same text again")
    nvim.expect_tab_to_insert(" ")
    assert nvim.look().request == seen.request
    nvim.press("<BS>")
    nvim.press("<C-o>:Fimble enable<CR>")
    nvim.expect_ghost(REST)


# --- completion menus ---------------------------------------------------------------------------------------

OPEN_MENU = """
vim.o.completeopt = ...
_G.words = function(find, base)
  if find == 1 then return vim.fn.match(vim.api.nvim_get_current_line():sub(1, vim.fn.col('.') - 1), [[\\k*$]]) end
  return { 'open_database_connection', 'open_database_console' }
end
vim.bo.omnifunc = 'v:lua.words'
"""


def menu_is_open(nvim: Neovim, selected: int) -> bool:
    """Whether Neovim's own menu is open, with this item selected (none: -1)."""
    info = nvim.lua("return vim.fn.complete_info({ 'pum_visible', 'selected' })")
    return bool(info["pum_visible"]) and info["selected"] == selected


def test_a_menu_without_selection_leaves_the_suggestion_alone(nvim: Neovim, tmp_path: Path) -> None:
    """The suggestion is shown beside the menu, and Tab accepts it: nothing is selected that it could be meant for."""
    shown = with_echo(nvim, tmp_path / "menu.py")
    nvim.lua(OPEN_MENU, "menu,menuone,noselect")
    nvim.press("<C-x><C-o>")
    until(lambda: menu_is_open(nvim, -1), "the menu")
    assert nvim.expect_ghost(REST).lines == shown.lines
    nvim.accept(shown)
    assert not nvim.lua("return vim.fn.pumvisible()")


def test_the_suggestion_follows_the_selected_item(nvim: Neovim, tmp_path: Path) -> None:
    """What is shown begins with the item that the menu would put in; Tab is the menu's; it stays when the menu goes."""
    nvim.start(tmp_path / "menu.py", ECHO_FILE + "    ")
    nvim.lua(FORMER)
    nvim.lua(OPEN_MENU, "menu,menuone,noinsert")
    nvim.append("connection = open_data")
    nvim.expect_ghost("base_connection(settings.database_url")
    nvim.press("<C-x><C-o>")
    until(lambda: menu_is_open(nvim, 0), "the menu with its first item selected")
    rest = "(settings.database_url, timeout=30)"
    until(lambda: nvim.look().ghost == "base_connection" + rest, "the item's end and what follows it")
    assert not nvim.lua("return require('fimble').accept()")
    nvim.press("<C-n>")
    until(lambda: menu_is_open(nvim, 1), "the second item to be selected")
    nvim.press("<C-p>")
    until(lambda: menu_is_open(nvim, 0), "the first item to be selected again")
    shown = nvim.expect_look(lambda seen: seen.ghost == rest, "what follows the item, which is in now")
    assert shown.lines[-1] == "    connection = open_database_connection"
    nvim.press("<C-y>")
    until(lambda: not nvim.lua("return vim.fn.pumvisible()"), "the menu to go")
    assert nvim.look().ghost == rest
    nvim.accept(shown)
    assert nvim.lua("return _G.outcomes") == [rest]


def test_tab_is_the_menus_while_an_item_is_selected(nvim: Neovim, tmp_path: Path) -> None:
    shown = with_echo(nvim, tmp_path / "menu.py")
    nvim.lua(FORMER)
    nvim.lua(OPEN_MENU, "menu,menuone,noinsert")
    nvim.press("<C-x><C-o>")
    until(lambda: menu_is_open(nvim, 0), "the menu with its first item selected")
    nvim.press("<Tab>")
    nvim.expect_lines(shown.with_inserted("~"), "Tab to do what it did before")


def test_a_user_may_want_to_accept_beside_a_selected_item(nvim: Neovim, tmp_path: Path) -> None:
    """With `accept_in_menu` the item and the suggestion that follows it go in at once."""
    nvim.start(tmp_path / "menu.py", ECHO_FILE + "    ")
    nvim.lua("require('fimble').setup{ accept_in_menu = true }")
    nvim.lua(OPEN_MENU, "menu,menuone,noinsert")
    nvim.append("connection = open_data")
    nvim.expect_ghost("base_connection(settings.database_url")
    nvim.press("<C-x><C-o>")
    until(lambda: menu_is_open(nvim, 0), "the menu with its first item selected")
    shown = nvim.expect_look(lambda seen: seen.ghost.startswith("base_connection(settings"), "ghost text")
    nvim.accept(shown)


def test_the_suggestion_comes_back_after_a_menu(nvim: Neovim, tmp_path: Path) -> None:
    shown = with_echo(nvim, tmp_path / "menu.py")
    nvim.lua(OPEN_MENU, "menu,menuone")  # the selected item stands in the text at once
    nvim.press("<C-x><C-o>")
    until(lambda: menu_is_open(nvim, 0), "the menu with its first item selected")
    nvim.press("<C-e>")
    nvim.expect_lines(shown.lines, "what was there before the menu")
    nvim.accept(nvim.expect_ghost(REST))


# --- other plugins, options, commands -----------------------------------------------------------------------


def test_former_mappings_of_every_kind_are_kept(nvim: Neovim) -> None:
    """Where nothing is shown, a key does what it did: plain, remapped, with itself in front, by an expression."""
    for key, mapping in (
        ("<Tab>", "inoremap <Tab> plain"),
        ("<M-w>", "inoremap zq re | imap <M-w> zqmapped"),
        ("<C-Y>", "imap <C-Y> <C-Y>"),
        ("<M-e>", "inoremap <expr> <M-e> 'ex' .. 'pr'"),
    ):
        nvim.lua("vim.cmd(...)", mapping.split(" | ")[0])
        if " | " in mapping:
            nvim.lua("vim.cmd(...)", mapping.split(" | ")[1])
        setup = "require('fimble').setup{ keys = { accept_line = '<C-Y>' } }"
        nvim.lua(setup)
        nvim.lua(setup)  # twice, and nothing calls itself
        wanted = {"<Tab>": "plain", "<M-w>": "remapped", "<C-Y>": "above", "<M-e>": "expr"}[key]
        nvim.press(f"<Esc>:%delete<CR>ixabove<Esc>ox{key if key != '<C-Y>' else key * 5}")
        nvim.expect_lines(["xabove", "x" + wanted], f"{key} to do what it did before")
    nvim.press("<Esc>oab<M-n>")  # without a mapping, Alt is an Escape before the key; there is no server here
    until(lambda: nvim.channel.api.get_mode()["mode"] == "n", "normal mode")
    assert nvim.lua("return require('fimble.keys').conflict('accept')") is None
    nvim.lua("vim.keymap.set('i', '<Tab>', 'mine')")
    assert "mine" in nvim.lua("return require('fimble.keys').conflict('accept')")


def test_health_and_commands(nvim: Neovim, tmp_path: Path) -> None:
    """`:checkhealth fimble` finds all well; every command can be completed and does something."""
    with_echo(nvim, tmp_path / "health.py")
    until(lambda: "ready" in nvim.states(), "the engine to be ready")
    nvim.press("<Esc>:write<CR>")
    until(lambda: not nvim.lua("return vim.bo.modified"), "the file to be saved")
    nvim.lua("vim.cmd('checkhealth fimble')")
    page = "\n".join(nvim.look().lines)
    assert "ERROR" not in page
    assert "WARNING" not in page
    for word in ("fimble ", "fimble-45m", "every key is mapped", "lsp.log"):
        assert word in page, page
    nvim.lua("vim.cmd('bwipeout | edit ' .. ...)", str(tmp_path / "health.py"))
    nvim.wait_for_server()
    names = nvim.lua("return vim.fn.getcompletion('Fimble ', 'cmdline')")
    assert names == ["disable", "doctor", "enable", "explain", "log", "restart", "status", "toggle"]
    assert nvim.lua("return vim.fn.getcompletion('Fimble toggle ', 'cmdline')") == ["buffer"]
    assert "Suggestions are on" in nvim.lua("return vim.api.nvim_exec2('Fimble status', { output = true }).output")
    nvim.press(":2<CR>A<Esc>:Fimble explain<CR>")
    until(lambda: nvim.lua("return vim.api.nvim_buf_get_name(0)").endswith("explain"), "the explanation")
    page = "\n".join(nvim.look().lines)
    assert "What the model is told" in page
    assert "what stands below the cursor" in page
    nvim.press("q:Fimble doctor<CR>")
    until(lambda: nvim.lua("return vim.api.nvim_buf_get_name(0)").endswith("doctor"), "the doctor's findings")
    assert "Machine" in "\n".join(nvim.look().lines)
    nvim.press("q:Fimble log<CR>")
    until(lambda: nvim.lua("return vim.api.nvim_buf_get_name(0)").endswith("lsp.log"), "the log")


def test_restart_brings_a_new_server(nvim: Neovim, tmp_path: Path) -> None:
    nvim.accept(with_echo(nvim, tmp_path / "restart.py"))
    old = nvim.lua("return require('fimble.server').clients()[1].id")
    nvim.press("<Esc>:Fimble restart<CR>")
    new = "local c = require('fimble.server').client_of(0); return c and c.id"
    until(lambda: nvim.lua(new) not in (None, old), "another server")
    nvim.press("o<Esc>0Di    ")
    nvim.append(TYPED)
    nvim.accept(nvim.expect_ghost(REST))


def test_wrong_options_and_a_missing_server_are_told(nvim: Neovim, tmp_path: Path) -> None:
    """Each in a sentence, a missing server once; and typing goes on as ever."""
    nvim.lua("require('fimble').setup{ keys = { acept = 'x' }, debounce_ms = 'fast', cmd = { 'no-such-program' } }")
    messages = nvim.messages()
    assert "no option `keys.acept`" in messages
    assert "`debounce_ms` must be a number" in messages
    for name in ("a.py", "b.py"):
        nvim.open(tmp_path / name, "x = 1\n")
        nvim.append("0")
        nvim.press("<Esc>")
    until(lambda: "no-such-program" in nvim.messages(), "the missing server to be told")
    assert nvim.messages().count("no-such-program") == 1


@pytest.mark.parametrize(("what", "wanted"), [("help", False), ("enew", False), ("edit plain", True)])
def test_files_only(nvim: Neovim, tmp_path: Path, what: str, wanted: bool) -> None:
    """Fimble is for files, of whatever type or none, and not for help pages or what has no name."""
    nvim.start(tmp_path / "first.py", "x = 1\n")
    nvim.lua("vim.cmd('cd ' .. select(1, ...)); vim.cmd(select(2, ...))", str(tmp_path), what)
    attached = "return #vim.lsp.get_clients({ name = 'fimble', bufnr = 0 })"
    if wanted:
        until(lambda: nvim.lua(attached) == 1, "Fimble to attach")
    else:
        # What is scheduled by now has run when this is answered.
        assert nvim.lua("vim.wait(200, function() return false end) " + attached) == 0


def test_help_has_tags_for_every_option_and_command(nvim: Neovim, tmp_path: Path) -> None:
    """The help page passes `:helptags`, and nothing that can be set or said is missing in it."""
    page = (NEOVIM_FILES / "doc" / "fimble.txt").read_text("utf-8")
    (tmp_path / "doc").mkdir()
    (tmp_path / "doc" / "fimble.txt").write_text(page)
    nvim.lua("vim.cmd('helptags ' .. ...)", str(tmp_path / "doc"))
    tags = {line.split("\t")[0] for line in (tmp_path / "doc" / "tags").read_text("utf-8").split("\n")}
    options = set(nvim.lua("return vim.tbl_keys(require('fimble.config').defaults)")) | {"cmd"}
    keys = set(nvim.lua("return vim.tbl_keys(require('fimble.config').defaults.keys)"))
    commands = nvim.lua("return vim.fn.getcompletion('Fimble ', 'cmdline')")
    wanted = {f"fimble-option-{name}" for name in options} | {f"fimble-key-{name}" for name in keys}
    wanted |= {f":Fimble-{name}" for name in commands}
    assert not wanted - tags
    assert all(len(line) <= 80 for line in page.split("\n"))
