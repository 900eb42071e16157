"""A browser window with VS Code in it, in which keys are pressed."""

from __future__ import annotations

import json
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from code_server import CodeServer
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    StaleElementReferenceException,
)
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from waiting import DEADLINE_S, look_for, until

from editor_vscode import VSCode

_BROWSER_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1100,700"),
)


# One look at everything.  A line's own text is what is not ghost text; further lines of a ghost stand apart.
_SNAPSHOT = """
const plain = text => text.replaceAll('\\u00a0', ' ').replaceAll('\\u200b', '');
const editor = document.querySelector('.notebookOverlay .monaco-editor.focused')
  ?? document.querySelector('.editor-group-container.active .editor-instance .monaco-editor');
if (!editor) return null;
const top = node => parseFloat(node.style.top);
const lines = [...editor.querySelectorAll('.lines-content > .view-lines > .view-line')];
lines.sort((a, b) => top(a) - top(b));
const isGhost = node => node.parentElement.closest('[class*=ghost-text]');
let ghost = '';
const texts = lines.map(line => {
  let own = '';
  const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    if (isGhost(walker.currentNode)) ghost += plain(walker.currentNode.data);
    else own += plain(walker.currentNode.data);
  }
  return own;
});
const more = [...editor.querySelectorAll('.suggest-preview-text .view-line')];
for (const line of more) ghost += '\\n' + plain(line.textContent);
return { lines: texts, ghost };
"""

_STATUS = """
const item = [...document.querySelectorAll('.statusbar-item')].find(each => each.id.startsWith('fimble.'));
return item ? item.querySelector('[aria-label]')?.ariaLabel ?? item.ariaLabel : '';
"""

# Every status that was ever shown, for what comes and goes between two looks.
_WATCH_STATUS = """
window.fimbleSeen = [];
const look = () => {
  const item = [...document.querySelectorAll('.statusbar-item')].find(each => each.id.startsWith('fimble.'));
  const text = item?.textContent.trim() ?? '';
  if (text && window.fimbleSeen.at(-1) !== text) window.fimbleSeen.push(text);
};
new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
look();
"""


@dataclass(frozen=True)
class Snapshot:
    """What an editor shows at one moment: its lines, and the ghost text among them."""

    lines: list[str]
    ghost: str


class Workbench:
    """A browser window with VS Code in it, driven as a user drives it: with keys, and by looking."""

    def __init__(self, programs: VSCode, server: CodeServer, folder: Path) -> None:
        options = Options()
        options.binary_location = str(programs.chromium)
        for flag in _BROWSER_FLAGS:
            options.add_argument(flag)
        self._server = server
        self.folder = folder
        self._driver = webdriver.Chrome(options=options, service=Service(str(programs.chromedriver)))

    def close(self) -> None:
        """Close the window."""
        self._driver.quit()

    def open(self, path: Path | None = None, text: str | None = None) -> None:
        """Open the folder anew, with a file in it; *text* is written into the file before."""
        query = {"folder": str(self.folder)}
        if path:
            if text is not None:
                path.write_bytes(text.encode())
            query["payload"] = json.dumps([["openFile", f"vscode-remote://127.0.0.1:{self._server.port}{path}"]])
        self._driver.get(f"http://127.0.0.1:{self._server.port}/?{urllib.parse.urlencode(query)}")
        until(lambda: self.script("return !!document.querySelector('.statusbar-item')"), "the workbench")
        self.script(_WATCH_STATUS)
        if path:
            until(self.look, f"{path.name} to open")
            self._until_idle()

    def edit(self, path: Path, text: str) -> None:
        """Write a file and open it in the window that is there, with the cursor at its end."""
        path.write_bytes(text.encode())
        self.open_quickly(path)
        *before, last = text.replace("\r\n", "\n").split("\n")
        until(lambda: (seen := self.look()) and seen.lines[-1:] == [last], f"the end of {path.name}")
        until(lambda: self._go_to_end() == f"Ln {len(before) + 1}, Col {len(last) + 1}", f"the cursor in {path.name}")
        self._until_idle()

    def _until_idle(self) -> None:
        """Wait until the window had a moment to itself.

        An editor gets what asks for inline suggestions in its first idle moment, at the latest after 5 s; what was
        typed before is asked about with the next key only.
        """
        wait = "const done = arguments[0]; requestIdleCallback(() => done(), { timeout: 6000 });"
        self._driver.execute_async_script(wait)

    def _go_to_end(self) -> str:
        """Press Control and End, which does nothing before the editor has the focus; return where the cursor is."""
        self.press(Keys.END, Keys.CONTROL)
        return str(self.script("return document.getElementById('status.editor.selection')?.textContent ?? ''"))

    def open_quickly(self, path: Path) -> None:
        """Open a file in the window that is there."""
        self.press("p", Keys.CONTROL)
        until(lambda: self.script("return !!document.querySelector('.quick-input-widget input:focus')"), "quick open")
        self.type(str(path))  # a name would be looked up in a list that may be older than the file
        row = "return document.querySelector('.quick-input-list .monaco-list-row.focused')?.ariaLabel ?? ''"
        until(lambda: str(self.script(row)).startswith(path.name), f"{path.name} in the list")
        self.press(Keys.ENTER)
        tab = "return document.querySelector('.editor-group-container.active .tab.active')?.ariaLabel ?? ''"
        until(lambda: str(self.script(tab)).startswith(path.name), f"{path.name} in a tab")

    def save(self) -> None:
        """Save the file and wait until it is written."""
        self.press("s", Keys.CONTROL)
        dirty = "return !!document.querySelector('.editor-group-container.active .tab.active.dirty')"
        until(lambda: not self.script(dirty), "the file to be saved")

    def script(self, code: str, *arguments: object) -> Any:
        """Run JavaScript in the page."""
        return self._driver.execute_script(code, *arguments)

    def look(self) -> Snapshot | None:
        """What the active editor shows, or None if there is none."""
        seen = self.script(_SNAPSHOT)
        return Snapshot(**seen) if seen else None

    def ghost(self, wanted: str = "", deadline_s: float = DEADLINE_S) -> Snapshot:
        """Wait for ghost text that begins with *wanted*; fail if there is none by the deadline."""
        return until(lambda: self._with_ghost(wanted), lambda: f"ghost text {wanted!r}: {self.look()}", deadline_s)

    def look_for_ghost(self, deadline_s: float) -> Snapshot | None:
        """Wait for ghost text; None if there is none by the deadline."""
        return look_for(lambda: self._with_ghost(""), deadline_s)

    def _with_ghost(self, wanted: str) -> Snapshot | None:
        seen = self.look()
        return seen if seen and seen.ghost and seen.ghost.startswith(wanted) else None

    def expect(self, *last_lines: str) -> None:
        """Wait until the document ends with these lines."""
        until(lambda: (seen := self.look()) and seen.lines[-len(last_lines) :] == [*last_lines], f"{last_lines}")

    def look_again(self) -> Snapshot:
        """What the active editor shows; it is known that there is one."""
        return until(self.look, "an editor")

    def last_line(self) -> str:
        """The last line of the document."""
        return self.look_again().lines[-1]

    def type(self, text: str) -> None:
        """Press keys."""
        ActionChains(self._driver, duration=0).send_keys(text).perform()

    def insert(self, text: str) -> None:
        """Put in text as an input method does: no keyboard has an emoji."""
        self._driver.execute_cdp_cmd("Input.insertText", {"text": text})

    def press(self, key: str, *modifiers: str) -> None:
        """Press one key with modifiers held down."""
        chain = ActionChains(self._driver, duration=0)
        for modifier in modifiers:
            chain.key_down(modifier)
        chain.send_keys(key)
        for modifier in reversed(modifiers):
            chain.key_up(modifier)
        chain.perform()

    def command(self, title: str) -> None:
        """Run a command of the palette by its whole title."""
        self.press(Keys.F1)
        self.choose(title)

    def choose(self, title: str) -> None:
        """Choose in the list that has just been opened."""
        until(
            lambda: self.script("return !!document.querySelector('.quick-input-widget input:focus')"),
            "a list to choose from",
        )
        self.type(title)
        row = "return document.querySelector('.quick-input-list .monaco-list-row.focused')?.ariaLabel ?? ''"
        until(lambda: title.casefold() in str(self.script(row)).casefold(), f"{title!r} in the list")
        self.press(Keys.ENTER)

    def click(self, selector: str) -> None:
        """Click on what the selector finds first."""
        until(lambda: self.script("return !!document.querySelector(arguments[0])", selector), selector)
        self._driver.find_element("css selector", selector).click()

    def press_button(self, label: str) -> None:
        """Press a button of a notification or a dialog, once it is there."""
        until(lambda: self.press_if_there(label), f"the button {label!r}")

    def press_if_there(self, label: str) -> bool:
        """Press a button of a notification or a dialog; whether it was there."""
        places = ".notification-toast .monaco-button, .monaco-dialog-box .monaco-button"
        find = "find(each => each.textContent.trim() === arguments[0])"
        button = self.script(f"return [...document.querySelectorAll('{places}')].{find}", label)
        try:
            if button:
                button.click()
            return button is not None
        except (ElementClickInterceptedException, ElementNotInteractableException, StaleElementReferenceException):
            # It is still on its way to its place, or just going; or it lies under a hint that stays while the pointer,
            # left where it pressed last, is on what the hint explains.
            self._driver.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": 1, "y": 1})
            return False

    def notifications(self) -> str:
        """What the notifications say that are on the screen."""
        messages = "document.querySelectorAll('.notification-toast .notification-list-item-message')"
        return str(self.script(f"return [...{messages}].map(each => each.textContent).join('\\n')"))

    def status(self) -> str:
        """What a screen reader is told of the status bar item."""
        return str(self.script(_STATUS))

    def statuses(self) -> list[str]:
        """Every text that the status bar item had since the window was opened."""
        return list(self.script("return window.fimbleSeen"))

    def screenshot(self, path: Path) -> None:
        """Save what is on the screen."""
        self._driver.save_screenshot(str(path))
