"""Fimble in a real, headless Neovim, set up with the very lines that editors/neovim/README.md gives to users.

Where a test needs a suggestion whose text is known, it types the start of a line that stands further up in the
same file: Fimble then suggests the rest of that line ("echo"), whatever the model thinks.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pynvim  # type: ignore[import-untyped]
import pytest

NEOVIM_FILES = Path(__file__).resolve().parents[2] / "editors" / "neovim"
DEADLINE_S = 30.0
POLL_S = 0.05

T = TypeVar("T")

# Remembers whether the newest request was answered, and for which place in which state of the buffer it was made.
WATCH_REQUESTS = """
_G.asked = {}
vim.api.nvim_create_autocmd('LspRequest', { callback = function(event)
  local request = event.data.request
  if request.method ~= 'textDocument/inlineCompletion' then return end
  if request.type == 'pending' then
    _G.asked = { id = event.data.request_id, tick = vim.b.changedtick, cursor = vim.api.nvim_win_get_cursor(0) }
  elseif request.type == 'complete' and _G.asked.id == event.data.request_id then
    local answered = _G.asked
    vim.schedule(function() answered.done = true end)  -- after Neovim has shown the answer
  end
end })
"""

# One look at everything, so that nothing moves between two questions.  `virt_text` is what the user sees.
SNAPSHOT = """
local cursor = vim.api.nvim_win_get_cursor(0)
local namespace = vim.api.nvim_get_namespaces()['nvim.lsp.inline_completion']
local marks = namespace and vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { details = true }) or {}
local function shown(chunks)
  return vim.iter(chunks):filter(function(chunk) return chunk[2] == 'ComplHint' end)
    :map(function(chunk) return chunk[1] end):join('')
end
local ghost, place = '', { -1, -1 }
for _, mark in ipairs(marks) do
  place = { mark[2], mark[3] }
  ghost = shown(mark[4].virt_text or {})
  for _, line in ipairs(mark[4].virt_lines or {}) do ghost = ghost .. '\\n' .. shown(line) end
end
return {
  lines = vim.api.nvim_buf_get_lines(0, 0, -1, true),
  cursor = { cursor[1] - 1, cursor[2] },
  ghost = ghost,
  place = place,
  request = _G.asked.id or 0,
  answered = _G.asked.done == true and _G.asked.tick == vim.b.changedtick
    and vim.deep_equal(_G.asked.cursor, cursor),
}
"""


def until(look: Callable[[], T], wanted: str, deadline_s: float = DEADLINE_S) -> T:
    """Look again and again until there is something to see; fail, naming what was wanted, after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        if seen := look():
            return seen
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline_s:.0f} s in vain for {wanted}")
        time.sleep(POLL_S)


@dataclass(frozen=True)
class Snapshot:
    """What a buffer and the ghost text in it look like at one moment; columns are bytes, as in Neovim."""

    lines: list[str]
    cursor: tuple[int, int]
    ghost: str
    place: tuple[int, int]
    request: int
    answered: bool

    def with_ghost_inserted(self) -> list[str]:
        """The lines as they must be once the ghost text is accepted: it is at the cursor, all else is as it was."""
        row, column = self.cursor
        line = self.lines[row].encode()
        changed = line[:column] + self.ghost.encode() + line[column:]
        return [*self.lines[:row], *changed.decode().split("\n"), *self.lines[row + 1 :]]


class Neovim:
    """A headless Neovim, driven over its own channel as a user would drive it with the keyboard."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel

    def open(self, path: Path, text: str) -> None:
        """Write a file and edit it."""
        path.write_bytes(text.encode())
        self.channel.api.cmd({"cmd": "edit", "args": [str(path)]}, {})

    def lua(self, code: str, *arguments: object) -> Any:
        """Run Lua inside Neovim; a prompt that waits for a key would otherwise hang the test for good."""
        mode = self.channel.api.get_mode()
        assert not mode["blocking"], f"Neovim waits for a key: {mode}"
        return self.channel.exec_lua(code, *arguments)

    def look(self) -> Snapshot:
        """Take a snapshot of the current buffer."""
        seen = self.lua(SNAPSHOT)
        return Snapshot(**seen | {"cursor": tuple(seen["cursor"]), "place": tuple(seen["place"])})

    def press(self, keys: str) -> None:
        """Send keys in Neovim's notation, such as ``<Tab>``."""
        assert self.channel.input(keys) == len(keys.encode()), "Neovim did not take all of the keys"

    def append(self, text: str) -> None:
        """Type text at the end of the last line, and stay in insert mode."""
        before = self.look()
        self.press("<Esc>G")
        self.press("A" + text.replace("<", "<lt>"))
        wanted = [*before.lines[:-1], before.lines[-1] + text]
        until(lambda: self.look().lines == wanted, f"the typed text {text!r}")

    def wait_for_server(self) -> None:
        """Wait until Fimble is attached to the current buffer."""
        ready = """
        local clients = vim.lsp.get_clients({ name = 'fimble', bufnr = 0 })
        return #clients == 1 and clients[1].initialized
        """
        until(lambda: self.lua(ready), "Fimble to attach to the buffer")

    def ghost(self, deadline_s: float = DEADLINE_S) -> Snapshot | None:
        """Wait for ghost text that answers what stands in the buffer now; None if there is none by the deadline.

        An empty answer is a fair answer, above all while the model is still loading: then ask again.
        """
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            seen = self.look()
            if seen.answered and seen.ghost and seen.place == seen.cursor:
                return seen
            if seen.answered and not seen.ghost:
                self.ask_again(seen)
            time.sleep(POLL_S)
        return None

    def ask_again(self, seen: Snapshot) -> None:
        """Make Neovim ask for the same place once more, by leaving insert mode and coming back."""
        self.press("<Esc>a")
        until(lambda: self.look().request != seen.request, "another request")

    def expect_ghost(self) -> Snapshot:
        """Wait for ghost text at the cursor."""
        seen = self.ghost()
        if seen is None:
            pytest.fail(f"no ghost text within {DEADLINE_S:.0f} s:\n{self.look()}\n{self.messages()}")
        return seen

    def accept(self, shown: Snapshot) -> None:
        """Press Tab and check that exactly what was shown went into the buffer, and nothing else changed."""
        wanted = shown.with_ghost_inserted()
        self.press("<Tab>")
        until(lambda: self.look().lines != shown.lines, "Tab to change the buffer")
        after = self.look()
        assert after.lines == wanted
        last_line = shown.ghost.split("\n")[-1].encode()
        column = len(last_line) + (shown.cursor[1] if "\n" not in shown.ghost else 0)
        assert after.cursor == (shown.cursor[0] + shown.ghost.count("\n"), column)

    def expect_tab_to_insert(self, tab: str) -> None:
        """Press Tab at the end of the last line and check that this plain tab was inserted."""
        wanted = self.look().lines
        wanted[-1] += tab
        self.press("<Tab>")
        until(lambda: self.look().lines == wanted, f"a plain tab ({tab!r}) at the end of the buffer")

    def stats(self) -> dict[str, int]:
        """The counters of the server of this window."""
        code = """
        local client = vim.lsp.get_clients({ name = 'fimble', bufnr = 0 })[1]
        return client:request_sync('fimble/stats', vim.empty_dict(), 5000).result
        """
        return dict(self.lua(code))

    def has_warmed(self, count: int) -> bool:
        """Whether at least so many places were prepared."""
        return self.stats().get("warming_requests", 0) >= count

    def messages(self) -> str:
        """All that Neovim told its user."""
        return str(self.lua("return vim.api.nvim_exec2('messages', { output = true }).output"))


@pytest.fixture
def nvim(neovim: Path, editor_environment: dict[str, str]) -> Iterator[Neovim]:
    """A Neovim that is set up by init.example.lua and nothing else."""
    variables = [f"{name}={value}" for name, value in editor_environment.items()]
    setup = ["--cmd", f"set runtimepath^={NEOVIM_FILES}", "-u", str(NEOVIM_FILES / "init.example.lua")]
    command = [str(neovim), "--headless", "--embed", "--clean", "-n", *setup]
    channel = pynvim.attach("child", argv=["env", "-i", *variables, *command])
    try:
        editor = Neovim(channel)
        editor.lua(WATCH_REQUESTS)
        yield editor
        assert "Error" not in editor.messages()
    finally:
        with contextlib.suppress(OSError, EOFError):
            channel.quit("qall!")
        channel.close()


def server_processes(editor: Neovim) -> list[psutil.Process]:
    """The `fimble lsp` processes that this Neovim has started."""
    pid = editor.lua("return vim.uv.os_getpid()")
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if re.search(r"fimble\S* lsp\b", " ".join(child.cmdline()))]


CONNECT = "    connection = open_database_connection(settings.database_url, timeout=30)"
ECHO_FILE = f"def first(settings):\n{CONNECT}\n    return connection\n\n\ndef second(settings):\n"


def test_accepts_an_echo(nvim: Neovim, tmp_path: Path) -> None:
    nvim.open(tmp_path / "echo.py", ECHO_FILE + "    ")
    nvim.wait_for_server()
    nvim.append("connection = open_database_conn")
    shown = nvim.expect_ghost()
    assert shown.ghost.startswith("ection(settings.database_url, timeout=30)")
    nvim.accept(shown)
    assert CONNECT in nvim.look().lines[6:]


def test_accepts_what_the_model_says(nvim: Neovim, tmp_path: Path) -> None:
    """Nothing is repeated here, so the text can only come from the model, which may find nothing to say at times."""
    places = [
        "def add(first, second):\n    return ",
        "import os\nimport sys\n\n\ndef main():\n    ",
        "numbers = [1, 2, 3]\nfor number in ",
        "class Point:\n    def __init__(self, x, y):\n        self.x = ",
        "with open(path) as file:\n    text = file.",
        "if __name__ == ",
    ]
    for number, text in enumerate(places):
        nvim.press("<Esc>")
        nvim.open(tmp_path / f"model_{number}.py", text[:-1])
        nvim.wait_for_server()
        nvim.append(text[-1])
        if shown := nvim.ghost(deadline_s=DEADLINE_S / 2):
            nvim.accept(shown)
            return
    pytest.fail(f"the model said nothing at any of {len(places)} places:\n{nvim.messages()}")


def test_moving_the_cursor_prepares_the_place(nvim: Neovim, tmp_path: Path) -> None:
    """Neovim tells where the cursor went, and the server evaluates that place before a key is typed there."""
    nvim.open(tmp_path / "two.py", "def first():\n    pass\n\n\n" * 20 + "def last():\n    value = ")
    nvim.wait_for_server()
    nvim.append("zq + w")
    until(lambda: nvim.stats().get("engine_requests"), "the model to be asked")
    nvim.press("<Esc>")
    # Twice: what was typed may be prepared late and count for the first move, but not for the second as well.
    for keys in ("gg3j", "gg39j"):
        wanted = nvim.stats().get("warming_requests", 0) + 1
        nvim.press(keys)
        until(partial(nvim.has_warmed, wanted), "the new place to be prepared")


def test_tab_stays_a_tab_where_there_is_no_server(nvim: Neovim) -> None:
    nvim.append("name")
    nvim.expect_tab_to_insert("\t")


def test_tab_stays_a_tab_when_turned_off(nvim: Neovim, tmp_path: Path) -> None:
    nvim.open(tmp_path / "off.py", ECHO_FILE + "    ")
    nvim.wait_for_server()
    nvim.append("connection = open_database_conn")
    nvim.expect_ghost()
    nvim.lua("vim.lsp.inline_completion.enable(false)")
    until(lambda: not nvim.look().ghost, "the ghost text to go away")
    nvim.press("<Esc>o")
    nvim.press("x = 1")
    until(lambda: nvim.look().lines[-1].endswith("x = 1"), "the next line")
    nvim.expect_tab_to_insert("   ")  # Python's own settings in Neovim: spaces up to the next stop


def test_what_was_typed_into_a_suggestion_is_not_inserted_twice(nvim: Neovim, tmp_path: Path) -> None:
    """Neovim asks again only 200 ms after a key: a fast Tab accepts the suggestion from before that key."""
    nvim.open(tmp_path / "fast.py", ECHO_FILE + "    ")
    nvim.wait_for_server()
    nvim.append("connection = open_database_conn")
    shown = nvim.expect_ghost()
    nvim.press(shown.ghost[:2] + "<Tab>")
    wanted = shown.with_ghost_inserted()
    until(lambda: nvim.look().lines == wanted, "Tab to insert the rest of the suggestion, and no more")


def test_a_suggestion_that_no_longer_fits_is_not_inserted(nvim: Neovim, tmp_path: Path) -> None:
    nvim.open(tmp_path / "misfit.py", ECHO_FILE + "    ")
    nvim.wait_for_server()
    nvim.append("connection = open_database_conn")
    shown = nvim.expect_ghost()
    nvim.press("7<Tab>8")
    wanted = [*shown.lines[:-1], shown.lines[-1] + "78"]
    until(lambda: nvim.look().lines == wanted, "the two digits, and nothing between them")


def test_columns_after_an_emoji_and_an_accent(nvim: Neovim, tmp_path: Path) -> None:
    """An emoji is 1 character, 2 UTF-16 units and 4 bytes; a column in the wrong unit would show at once."""
    line = 'print("🚀 déjà vu", describe_launch_window(weather, crew_size=7))'
    nvim.open(tmp_path / "emoji.py", f"# 🚀🚀\n{line}\n# é\n\n")
    nvim.wait_for_server()
    nvim.append('print("🚀 déjà vu", describe_launch_w')
    shown = nvim.expect_ghost()
    assert shown.ghost.startswith("indow(weather, crew_size=7))")
    nvim.accept(shown)
    assert nvim.look().lines[3] == line


def test_a_file_with_crlf_line_ends(nvim: Neovim, tmp_path: Path) -> None:
    path = tmp_path / "dos.py"
    nvim.open(path, (ECHO_FILE + "    ").replace("\n", "\r\n"))
    assert nvim.lua("return vim.bo.fileformat") == "dos"
    nvim.wait_for_server()
    nvim.append("connection = open_database_conn")
    shown = nvim.expect_ghost()
    assert shown.ghost.startswith("ection(settings.database_url, timeout=30)")
    assert "\r" not in shown.ghost
    nvim.accept(shown)
    nvim.press("<Esc>:write<CR>")
    wanted = "".join(f"{line}\r\n" for line in shown.with_ghost_inserted()).encode()
    until(lambda: path.read_bytes() == wanted, "the file with nothing but CRLF line ends")


def test_the_editor_survives_the_death_of_the_server(nvim: Neovim, tmp_path: Path) -> None:
    path = tmp_path / "killed.py"
    nvim.open(path, ECHO_FILE + "    ")
    nvim.wait_for_server()
    nvim.append("connection = open_database_conn")
    nvim.expect_ghost()

    servers = server_processes(nvim)
    assert servers, "no `fimble lsp` among Neovim's child processes"
    for server in servers:
        server.kill()
    until(lambda: not nvim.lua("return #vim.lsp.get_clients({ name = 'fimble' })"), "Neovim to notice")
    nvim.press("ection()")
    until(lambda: nvim.look().lines[-1].endswith("open_database_connection()"), "typing to go on")
    assert not nvim.look().ghost
    nvim.press("<Esc>o")
    nvim.press("x = 1")
    until(lambda: nvim.look().lines[-1].endswith("x = 1"), "the next line")
    nvim.expect_tab_to_insert("   ")
    nvim.press("<Esc>:write<CR>")
    wanted = "".join(f"{line}\n" for line in nvim.look().lines).encode()
    until(lambda: path.read_bytes() == wanted, "the file to be saved")

    nvim.press(f":bwipeout | edit {path}<CR>")  # what the README says to do
    nvim.wait_for_server()
    nvim.press("Go<Esc>")
    until(lambda: nvim.look().lines[-1] == "", "an empty line")
    nvim.append("    connection = open_database_conn")
    nvim.accept(nvim.expect_ghost())


def test_readme_shows_the_lines_that_are_tested_here() -> None:
    readme = (NEOVIM_FILES / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```lua\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    assert (NEOVIM_FILES / "init.example.lua").read_text(encoding="utf-8") in blocks
