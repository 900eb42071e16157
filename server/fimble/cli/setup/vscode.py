"""VS Code: the extension, installed by its own command."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from fimble.cli.setup.editors import files_of
from fimble.errors import ConfigError

EXTENSION_ID = "fimble.fimble"
_TIMEOUT_S = 300


def find_package(given: Path | None) -> Path | None:
    """The VSIX that was given, else the newest one that was built in the checkout.  Raises ConfigError."""
    if given:
        if not given.is_file():
            raise ConfigError(f"There is no file {given}.", "Give the path of a .vsix file.")
        return given.resolve()
    built: list[Path] = []
    with contextlib.suppress(ConfigError):
        built = sorted(files_of("vscode").glob("dist/*.vsix"), key=lambda path: path.stat().st_mtime)
    return built[-1] if built else None


def install_command(program: str, package: Path) -> list[str]:
    """What installs the extension."""
    return [program, "--install-extension", str(package)]


def uninstall_command(program: str) -> list[str]:
    """What takes it away."""
    return [program, "--uninstall-extension", EXTENSION_ID]


def run(command: list[str]) -> str:
    """Run one of them; returns what it said.  Raises ConfigError with its last words."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"`{command[0]}` could not be run: {error}.", "Install the extension in VS Code.") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip()
        raise ConfigError(f"`{' '.join(command)}` failed: {words}", "Install the extension in VS Code.")
    return done.stdout.strip()


def by_hand() -> str:
    """What to do where there is no package or no `code`."""
    return (
        "Get the extension's file, fimble-VERSION.vsix (in a checkout: `python3 scripts/vsix.py` makes it), then\n"
        "run `fimble setup vscode --vsix FILE`, or in VS Code: Extensions, the menu `...`, Install from VSIX."
    )
