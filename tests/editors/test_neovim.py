"""Fimble in a real, headless Neovim, the newest and the oldest that it is for, with the plugin as its folder is.

Where a test needs a suggestion whose text is known, it types the start of a line that stands further up in the
same file: Fimble then suggests the rest of that line ("echo"), whatever the model thinks.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from nvim_window import NEOVIM_FILES, Neovim, Snapshot, processes_of
from waiting import DEADLINE_S, until

CONNECT = "    connection = open_database_connection(settings.database_url, timeout=30)"
REST = "ection(settings.database_url, timeout=30)"
TYPED = "connection = open_database_conn"
ECHO_FILE = f"def first(settings):\n{CONNECT}\n    return connection\n\n\ndef second(settings):\n"

#: Places where only the model can have something to say, and nearly always has.
MODEL_PLACES = (
    "numbers = [1, 2, 3]\nfor number in ",
    "def add(first, second):\n    return ",
    "import os\nimport sys\n\n\ndef main():\n    ",
    "class Point:\n    def __init__(self, x, y):\n        self.x = ",
    "with open(path) as file:\n    text = file.",
    "if __name__ == ",
)


def with_echo(nvim: Neovim, path: Path) -> Snapshot:
    """Open a file and type until the echo is shown."""
    nvim.start(path, ECHO_FILE + "    ")
    nvim.append(TYPED)
    return nvim.expect_ghost(REST)


def with_model(nvim: Neovim, folder: Path) -> Snapshot:
    """Type where nothing is repeated, so that what is shown can only come from the model."""
    for number, text in enumerate(MODEL_PLACES):
        nvim.press("<Esc>")
        nvim.start(folder / f"model_{number}.py", text[:-1])
        nvim.append(text[-1])
        nvim.press("<M-Bslash>")  # also what is not likely enough to come by itself
        if shown := nvim.ghost(deadline_s=DEADLINE_S / 6):
            return shown
    raise AssertionError(f"the model said nothing at any of {len(MODEL_PLACES)} places:\n{nvim.messages()}")


def test_accepts_an_echo_whole(nvim: Neovim, tmp_path: Path) -> None:
    nvim.accept(with_echo(nvim, tmp_path / "echo.py"))
    assert CONNECT in nvim.look().lines[6:]


def test_one_undo_takes_back_the_acceptance_alone(nvim: Neovim, tmp_path: Path) -> None:
    shown = with_echo(nvim, tmp_path / "undo.py")
    nvim.accept(shown)
    nvim.press("<Esc>u")
    nvim.expect_lines(shown.lines, "what was typed to stay")


def test_accepts_word_by_word(nvim: Neovim, tmp_path: Path) -> None:
    """Each word goes in alone, the rest stays shown, and after the last one the server has heard of an acceptance."""
    shown = with_echo(nvim, tmp_path / "word.py")
    assert nvim.stats().get("accepted", 0) == 0
    for word in ("ection", "(", "settings", ".", "database_url", ",", " timeout", "=", "30", ")"):
        after = nvim.accept(shown, "<M-w>", word)
        left = shown.ghost.removeprefix(word)
        if word != ")":
            assert after.ghost == left
        shown = after
    assert nvim.look().lines[-1] == CONNECT
    until(lambda: nvim.stats().get("accepted"), "the server to hear of the acceptance")


def test_accepts_line_by_line(nvim: Neovim, tmp_path: Path) -> None:
    """Of several lines each goes in alone, the rest stays shown."""
    body = "    alpha = prepare(first)\n    beta = combine(alpha, second)\n    return beta\n"
    nvim.start(tmp_path / "line.py", f"def one(first, second):\n{body}\n\ndef two(first, second):\n    ")
    nvim.lua("_G.answer = 'repare(first)\\n    beta = combine(alpha, second)\\n    return beta'")
    nvim.lua(ANSWER_FOR_THE_SERVER)
    nvim.append("alpha = p")
    shown = nvim.expect_ghost("repare(first)\n    beta")
    shown = nvim.accept(shown, "<M-l>", "repare(first)")
    assert shown.ghost == "\n    beta = combine(alpha, second)\n    return beta"
    shown = nvim.accept(shown, "<M-l>", "\n    beta = combine(alpha, second)")
    assert shown.ghost == "\n    return beta"
    nvim.accept(shown, "<M-l>", "\n    return beta")
    assert "\n".join(nvim.look().lines).endswith("def two(first, second):\n" + body.rstrip("\n"))


# What the server answers next is fixed: several lines, a range that goes right of the cursor, other alternatives.
# Everything between the keys and the wire is as ever.
ANSWER_FOR_THE_SERVER = """
local server = require('fimble.server')
local real = server.call
server.call = function(client, method, name, params, handler, ...)
  if method == 'request' and name == 'textDocument/inlineCompletion' and _G.answer then
    local answers = type(_G.answer) == 'table' and _G.answer or { _G.answer }
    _G.asked_params = params
    local real_handler = handler
    handler = function(failure, result, ...)
      local position = params.position
      local last = { line = position.line, character = position.character + (_G.replaces or 0) }
      local items = vim.tbl_map(function(text)
        return { insertText = text, range = { start = position, ['end'] = last } }
      end, answers)
      _G.answer = nil
      return real_handler(nil, { items = items }, ...)
    end
  end
  return real(client, method, name, params, handler, ...)
end
"""


def test_what_stands_right_of_the_cursor_is_replaced(nvim: Neovim, tmp_path: Path) -> None:
    """An item's range may hold closers that the editor put in: they are not doubled, and words leave them alone."""
    nvim.start(tmp_path / "tail.py", "x = [\n]\n")
    nvim.lua("_G.answer, _G.replaces = 'first, second])  # é', 2")
    nvim.lua(ANSWER_FOR_THE_SERVER)
    nvim.press("<Esc>ggA(]) 🚀<Left><Left><Left><Left>")
    nvim.expect_lines(["x = [(]) 🚀", "]"], "what was typed")
    shown = nvim.expect_look(lambda seen: bool(seen.ghost), "ghost text")
    # It is drawn over what it takes the place of, with what stays behind it.
    assert shown.ghost == "first, second])  # é 🚀"
    assert shown.cursor == shown.place
    nvim.press("<M-w>")
    nvim.expect_lines(["x = [(first]) 🚀", "]"], "the first word")
    nvim.press("<Tab>")
    nvim.expect_lines(["x = [(first, second])  # é 🚀", "]"], "the rest, in place of the closers")


def test_leafs_through_what_there_is(nvim: Neovim, tmp_path: Path) -> None:
    """Next asks for all that the server has, and goes round; previous goes back.  Nothing is inserted by that."""
    start = "    total = settings."
    before = f"def first(settings):\n{start}width * settings.height\n\n\ndef second(settings):\n{start}depth - 7\n\n\n"
    nvim.start(tmp_path / "leaf.py", f"{before}def third(settings):\n{start[:-1]}")
    nvim.append(start[-1])
    nvim.press("<M-Bslash>")
    first = nvim.expect_look(lambda seen: bool(seen.ghost), "a suggestion")
    nvim.press("<M-n>")
    second = nvim.expect_look(lambda seen: seen.hint.startswith("2/"), "a second suggestion")
    count = int(second.hint.removeprefix("2/"))
    assert second.ghost != first.ghost
    nvim.press("<M-p>")
    back = nvim.expect_look(lambda seen: seen.hint == f"1/{count}", "the first one again")
    assert back.ghost == first.ghost
    nvim.press("<M-n>" * count)
    nvim.expect_look(lambda seen: seen.hint == f"1/{count}" and seen.ghost == first.ghost, "the way round")
    nvim.press("<M-n>")
    until(lambda: nvim.look().hint == second.hint, "the second one")
    assert nvim.look().lines == first.lines
    nvim.accept(nvim.look())


def test_dismisses_and_shows_again(nvim: Neovim, tmp_path: Path) -> None:
    """What was dismissed does not come back by itself at its place, but when it is asked for."""
    shown = with_echo(nvim, tmp_path / "dismiss.py")
    nvim.press("<M-e>")
    gone = nvim.expect_no_ghost()
    assert gone.lines == shown.lines
    nvim.expect_tab_to_insert(" ")  # up to the next stop
    nvim.press("<BS><M-Bslash>")
    nvim.expect_ghost(REST)


def test_accepts_what_the_model_says(nvim: Neovim, tmp_path: Path) -> None:
    nvim.accept(with_model(nvim, tmp_path))


def test_the_engine_may_be_killed(nvim: Neovim, editor_environment: dict[str, str], tmp_path: Path) -> None:
    """`kill -9` of the engine: typing goes on, and the model's suggestions come back."""
    (tmp_path / "before").mkdir()
    with_model(nvim, tmp_path / "before")
    engines = processes_of(editor_environment, "fimble", "engine")
    assert engines, "no engine runs"
    for engine in engines:
        engine.kill()
    nvim.press("<Esc>")
    (tmp_path / "after").mkdir()
    nvim.accept(with_model(nvim, tmp_path / "after"))
    new = {process.pid for process in processes_of(editor_environment, "fimble", "engine")}
    assert new - {engine.pid for engine in engines}


def test_the_server_may_be_killed(nvim: Neovim, editor_environment: dict[str, str], tmp_path: Path) -> None:
    """`kill -9` of the server: typing goes on, also in between; it comes back and knows what was typed."""
    path = tmp_path / "killed.py"
    with_echo(nvim, path)
    pid = nvim.lua("return vim.uv.os_getpid()")
    servers = [p for p in processes_of(editor_environment, "fimble", "lsp") if pid in {q.pid for q in p.parents()}]
    assert servers, "no `fimble lsp` among Neovim's child processes"
    for server in servers:
        server.kill()
    until(lambda: not nvim.lua("return #require('fimble.server').clients()"), "Neovim to notice")
    nvim.press("ection()<Esc>o<BS><BS><BS><BS>x = 1<Esc>")
    until(lambda: nvim.look().lines[-1].endswith("x = 1"), "typing to go on")
    nvim.wait_for_server()
    nvim.press("o<Esc>0D")
    until(lambda: nvim.look().lines[-1] == "", "an empty line")
    nvim.append("    " + TYPED)
    nvim.accept(nvim.expect_ghost(REST))
    nvim.press("<Esc>:write<CR>")
    wanted = "".join(f"{line}\n" for line in nvim.look().lines).encode()
    until(lambda: path.read_bytes() == wanted, "the file to be saved")


def test_status_is_told(nvim: Neovim, tmp_path: Path) -> None:
    """Each state that the server tells is seen by the status line, and so is what is turned off."""
    assert nvim.lua("return require('fimble').status()") == ""
    with_echo(nvim, tmp_path / "status.py")
    until(lambda: "ready" in nvim.states(), "the engine to be ready")
    assert nvim.lua("return require('fimble').status()").startswith("Fimble")
    nvim.press("<Esc>:Fimble disable buffer<CR>")
    until(lambda: nvim.lua("return require('fimble').status()") == "Fimble off", "the status of what is off")
    nvim.press(":Fimble enable<CR>")
    until(lambda: nvim.lua("return require('fimble').status()") == "Fimble", "the status of what is ready")
    assert nvim.lua("return require('fimble.status').get().model") != ""


def test_moving_the_cursor_prepares_the_place(nvim: Neovim, tmp_path: Path) -> None:
    """Neovim tells where the cursor went, and the server evaluates that place before a key is typed there."""
    nvim.start(tmp_path / "two.py", "def first():\n    pass\n\n\n" * 20 + "def last():\n    value = ")
    nvim.append("zq + w")
    until(lambda: nvim.stats().get("engine_requests"), "the model to be asked")
    nvim.press("<Esc>")

    def has_warmed(count: int) -> bool:
        return nvim.stats().get("warming_requests", 0) >= count

    # Twice: what was typed may be prepared late and count for the first move, but not for the second as well.
    for keys in ("gg3j", "gg39j"):
        wanted = nvim.stats().get("warming_requests", 0) + 1
        nvim.press(keys)
        until(partial(has_warmed, wanted), "the new place to be prepared")


def test_columns_after_an_emoji_and_an_accent(nvim: Neovim, tmp_path: Path) -> None:
    """An emoji is 1 character, 2 UTF-16 units and 4 bytes; a column in the wrong unit would show at once."""
    line = 'print("🚀 déjà vu", describe_launch_window(weather, crew_size=7))'
    nvim.start(tmp_path / "emoji.py", f"# 🚀🚀\n{line}\n# é\n\n")
    nvim.append('print("🚀 déjà vu", describe_launch_w')
    nvim.accept(nvim.expect_ghost("indow(weather, crew_size=7))"))
    assert nvim.look().lines[3] == line


def test_a_file_with_crlf_line_ends(nvim: Neovim, tmp_path: Path) -> None:
    path = tmp_path / "dos.py"
    nvim.start(path, (ECHO_FILE + "    ").replace("\n", "\r\n"))
    assert nvim.lua("return vim.bo.fileformat") == "dos"
    nvim.append(TYPED)
    shown = nvim.expect_ghost(REST)
    assert "\r" not in shown.ghost
    nvim.accept(shown)
    nvim.press("<Esc>:write<CR>")
    wanted = "".join(f"{line}\r\n" for line in shown.with_inserted(shown.ghost)).encode()
    until(lambda: path.read_bytes() == wanted, "the file with nothing but CRLF line ends")


def test_readme_shows_the_lines_that_are_tested_here() -> None:
    readme = (NEOVIM_FILES / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```lua\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    assert any((NEOVIM_FILES / "init.example.lua").read_text(encoding="utf-8") in block for block in blocks)
