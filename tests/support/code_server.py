"""code-server, which is VS Code in a browser, with a profile of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from waiting import until

from editor_vscode import VSCode

_SERVER_FLAGS = (
    *("--auth", "none", "--disable-telemetry", "--disable-update-check", "--disable-workspace-trust"),
    *("--disable-getting-started-override", "--ignore-last-opened"),
)

#: What is of no interest here is out of the way; the editor's own menu would take Tab.
SETTINGS = {
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": False,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "chat.disableAIFeatures": True,
    "editor.minimap.enabled": False,
    "editor.quickSuggestions": {"other": "off", "comments": "off", "strings": "off"},
    "editor.suggestOnTriggerCharacters": False,
    "editor.wordBasedSuggestions": "off",
    "editor.occurrencesHighlight": "off",
    "editor.accessibilitySupport": "off",
    "files.autoSave": "off",
    "git.enabled": False,
    "telemetry.telemetryLevel": "off",
}


class CodeServer:
    """A code-server with the extension installed; *home* holds its profile."""

    def __init__(self, programs: VSCode, home: Path, environment: dict[str, str]) -> None:
        self._programs = programs
        self._home = home
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def install(self, package: Path) -> None:
        """Install an extension from its package."""
        subprocess.run(
            self._command("--install-extension", str(package)),
            env=self._environment,
            check=True,
            capture_output=True,
            timeout=120,
        )

    def write_settings(self, settings: dict[str, object]) -> None:
        """Write the user's settings: these, and those for all tests."""
        for scope in ("User", "Machine"):  # settings of this machine count only in the latter
            file = self._home / "data" / scope / "settings.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            # In one step: the editor looks when the file changes, and must not find half of it.
            part = file.with_suffix(".part")
            part.write_text(json.dumps({**SETTINGS, **settings}))
            part.replace(file)

    def start(self) -> None:
        """Start it and wait until it answers."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = self._command(*_SERVER_FLAGS, "--bind-addr", f"127.0.0.1:{self.port}")
        with (self._home / "code-server.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        until(self._answers, "code-server to answer")

    def stop(self) -> None:
        """End it and all that it has started."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(15)

    def _command(self, *arguments: str) -> list[str]:
        folders = ["--user-data-dir", str(self._home / "data"), "--extensions-dir", str(self._home / "extensions")]
        return [str(self._programs.node), str(self._programs.code_server), *folders, *arguments]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=1):
                return True
        except (OSError, urllib.error.URLError):
            return False
