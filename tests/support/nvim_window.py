"""A real, headless Neovim, driven over its own channel as a user would drive it with the keyboard."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pynvim  # type: ignore[import-untyped]
import pytest
from waiting import DEADLINE_S, look_for, until

NEOVIM_FILES = Path(__file__).resolve().parents[2] / "editors" / "neovim"


# Remembers whether the newest request was answered, and for which place in which state of the buffer it was made;
# every status that was told; and what each acceptance put in.
WATCH = """
_G.asked, _G.states, _G.accepted = {}, {}, {}
local function on(event, options) vim.api.nvim_create_autocmd(event, options) end
on('LspRequest', { callback = function(event)
  local request = event.data.request
  if request.method ~= 'textDocument/inlineCompletion' then return end
  if request.type == 'pending' then
    _G.asked = { id = event.data.request_id, tick = vim.b.changedtick, cursor = vim.api.nvim_win_get_cursor(0) }
  elseif request.type == 'complete' and _G.asked.id == event.data.request_id then
    local answered = _G.asked
    vim.schedule(function() answered.done = true end)  -- after the plugin has shown the answer
  end
end })
on('User', { pattern = 'FimbleStatus', callback = function(event)
  table.insert(_G.states, event.data and event.data.state or 'none')
end })
on('User', { pattern = 'FimbleAccepted', callback = function(event) table.insert(_G.accepted, event.data.text) end })
"""

# One look at everything, so that nothing moves between two questions.  `virt_text` is what the user sees.
SNAPSHOT = """
local cursor = vim.api.nvim_win_get_cursor(0)
local namespace = vim.api.nvim_get_namespaces()['fimble']
local marks = namespace and vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { details = true }) or {}
local function shown(chunks, group)
  return vim.iter(chunks):filter(function(chunk) return chunk[2] == group end)
    :map(function(chunk) return chunk[1] end):join('')
end
local ghost, hint, place = '', '', { -1, -1 }
for _, mark in ipairs(marks) do
  place = { mark[2], mark[3] }
  ghost = shown(mark[4].virt_text or {}, 'FimbleGhost')
  hint = shown(mark[4].virt_text or {}, 'FimbleHint')
  for _, line in ipairs(mark[4].virt_lines or {}) do
    ghost = ghost .. '\\n' .. shown(line, 'FimbleGhost')
    hint = hint .. shown(line, 'FimbleHint')
  end
end
return {
  lines = vim.api.nvim_buf_get_lines(0, 0, -1, true),
  cursor = { cursor[1] - 1, cursor[2] },
  ghost = ghost,
  hint = vim.trim(hint),
  place = place,
  marks = #marks,
  request = _G.asked.id or 0,
  answered = _G.asked.done == true and _G.asked.tick == vim.b.changedtick
    and vim.deep_equal(_G.asked.cursor, cursor),
}
"""


@dataclass(frozen=True)
class Snapshot:
    """What a buffer and the ghost text in it look like at one moment; columns are bytes, as in Neovim."""

    lines: list[str]
    cursor: tuple[int, int]
    ghost: str
    hint: str
    place: tuple[int, int]
    marks: int
    request: int
    answered: bool

    def with_inserted(self, text: str) -> list[str]:
        """The lines as they must be once *text* was put in at the cursor: all else is as it was."""
        row, column = self.cursor
        line = self.lines[row].encode()
        changed = line[:column] + text.encode() + line[column:]
        return [*self.lines[:row], *changed.decode().split("\n"), *self.lines[row + 1 :]]


class Neovim:
    """One window of Neovim."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel

    def open(self, path: Path, text: str) -> None:
        """Write a file and edit it."""
        path.write_bytes(text.encode())
        self.channel.api.cmd({"cmd": "edit", "args": [str(path)]}, {})

    def start(self, path: Path, text: str) -> None:
        """Write a file, edit it, and wait until Fimble is there."""
        self.open(path, text)
        self.wait_for_server()

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
        left = keys.encode()
        while left:  # its queue of keys may be full
            left = left[self.channel.input(left.decode()) :]

    def append(self, text: str) -> None:
        """Type text at the end of the last line, and stay in insert mode."""
        before = self.look()
        self.press("<Esc>G")
        self.press("A" + text.replace("<", "<lt>"))
        wanted = [*before.lines[:-1], before.lines[-1] + text]
        until(lambda: self.look().lines == wanted, f"the typed text {text!r}")

    def expect_lines(self, wanted: Sequence[str], why: str) -> None:
        """Wait until the buffer holds exactly these lines."""
        with contextlib.suppress(pytest.fail.Exception):
            until(lambda: self.look().lines == list(wanted), why)
        seen = self.look().lines
        assert seen == list(wanted), f"{why}:\nwanted {wanted}\nseen   {seen}"

    def wait_for_server(self) -> None:
        """Wait until Fimble is attached to the current buffer."""
        ready = """
        local clients = vim.lsp.get_clients({ name = 'fimble', bufnr = 0 })
        return #clients == 1 and clients[1].initialized
        """
        until(lambda: self.lua(ready), "Fimble to attach to the buffer")

    def ghost(self, deadline_s: float = DEADLINE_S) -> Snapshot | None:
        """Wait for ghost text at the cursor; None if there is none by the deadline.

        An empty answer is a fair answer, above all while the model is still loading: then ask again.
        """

        def at_the_cursor() -> Snapshot | None:
            seen = self.look()
            if seen.ghost and seen.place == seen.cursor:
                return seen
            if seen.answered and not seen.ghost:
                self.ask_again(seen)
            return None

        return look_for(at_the_cursor, deadline_s)

    def ask_again(self, seen: Snapshot) -> None:
        """Make the plugin ask for the same place once more, by leaving insert mode and coming back."""
        self.press("<Esc>a")
        until(lambda: self.look().request != seen.request, "another request")

    def expect_ghost(self, beginning: str = "") -> Snapshot:
        """Wait for ghost text at the cursor, and check how it begins."""
        seen = self.ghost()
        if seen is None:
            pytest.fail(f"no ghost text within {DEADLINE_S:.0f} s:\n{self.look()}\n{self.messages()}")
        assert seen.ghost.startswith(beginning), f"{seen.ghost!r} does not begin with {beginning!r}"
        return seen

    def expect_look(self, fits: Callable[[Snapshot], bool], wanted: str) -> Snapshot:
        """Wait until the window looks as it should."""

        def fitting() -> Snapshot | None:
            seen = self.look()
            return seen if fits(seen) else None

        seen = until(fitting, wanted)
        assert seen is not None
        return seen

    def expect_no_ghost(self) -> Snapshot:
        """Wait until no ghost text is left, anywhere in the buffer."""
        until(lambda: not self.look().marks, "the ghost text to go away")
        return self.look()

    def accept(self, shown: Snapshot, key: str = "<Tab>", part: str | None = None) -> Snapshot:
        """Press a key; check that just this *part* of what was shown (else all) went in at the cursor."""
        text = shown.ghost if part is None else part
        assert shown.ghost.startswith(text)
        self.press(key)
        self.expect_lines(shown.with_inserted(text), f"{key} to insert {text!r}")
        after = self.look()
        column = len(text.split("\n")[-1].encode()) + (shown.cursor[1] if "\n" not in text else 0)
        assert after.cursor == (shown.cursor[0] + text.count("\n"), column)
        return after

    def expect_tab_to_insert(self, tab: str) -> None:
        """Press Tab at the end of the last line and check that this plain tab was inserted."""
        wanted = self.look().lines
        wanted[-1] += tab
        self.press("<Tab>")
        self.expect_lines(wanted, f"a plain tab ({tab!r}) at the end of the buffer")

    def stats(self) -> dict[str, int]:
        """The counters of the server of this window."""
        code = """
        local client = require('fimble.server').client_of(0)
        local result
        require('fimble.server').call(client, 'request', 'fimble/stats', vim.empty_dict(), function(_, answer)
          result = answer
        end)
        vim.wait(5000, function() return result end, 5)
        return result
        """
        return dict(self.lua(code))

    def states(self) -> list[str]:
        """Every state that the server has told, in order."""
        return list(self.lua("return _G.states"))

    def messages(self) -> str:
        """All that Neovim told its user."""
        return str(self.lua("return vim.api.nvim_exec2('messages', { output = true }).output"))


@contextlib.contextmanager
def running(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Neovim]:
    """A Neovim that runs until the end of the block; an error that it told its user fails the test."""
    variables = [f"{name}={value}" for name, value in environment.items()]
    channel = pynvim.attach("child", argv=["env", "-i", *variables, *command])
    try:
        editor = Neovim(channel)
        editor.lua(WATCH)
        yield editor
        assert "Error" not in editor.messages(), editor.messages()
    finally:
        with contextlib.suppress(OSError, EOFError):
            channel.quit("qall!")
        channel.close()


def processes_of(environment: Mapping[str, str], *words: str) -> list[psutil.Process]:
    """The processes in an environment's runtime folder whose command line has all of these words."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            ours = process.environ().get("XDG_RUNTIME_DIR") == environment["XDG_RUNTIME_DIR"]
            if ours and all(any(word in part for part in line) for word in words):
                found.append(process)
    return found
