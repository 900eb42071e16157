"""Download one exact version of a package with the ordinary client of its registry; nothing of it is ever run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from corpus_list import CorpusError, Package

TIMEOUT_S = 600
DEBIAN_SUITES = ("trixie", "bookworm")
WHEEL_FOR = (  # one kind of wheel on every machine, so that its hash is the same
    "--only-binary=:all:", "--python-version=3.12", "--implementation=cp", "--platform=manylinux2014_x86_64",
    "--platform=manylinux_2_17_x86_64", "--platform=manylinux_2_27_x86_64", "--platform=manylinux_2_28_x86_64",
)  # fmt: skip

# pip asks a source distribution's build backend for its metadata before it saves the archive.  These stand in for
# the real backends: they copy the metadata that the archive carries, so that no code of a package runs.
STAND_IN = """
import pathlib, re
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    text = pathlib.Path("PKG-INFO").read_text(encoding="utf-8", errors="replace")
    name, version = (re.search(rf"^{key}: (.+)$", text, re.M)[1].strip() for key in ("Name", "Version"))
    folder = pathlib.Path(metadata_directory) / f"{re.sub('[-_.]+', '_', name)}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(text, encoding="utf-8")
    return folder.name
def get_requires_for_build_wheel(config_settings=None): return []
def build_wheel(*arguments, **settings): raise RuntimeError("nothing is built here")
class __legacy__:
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)
    get_requires_for_build_wheel = staticmethod(get_requires_for_build_wheel)
    build_wheel = staticmethod(build_wheel)
"""
STOOD_IN_FOR = ("maturin/__init__.py", "mesonpy/__init__.py", "setuptools/build_meta.py", "scikit_build_core/build.py",
                "hatchling/build.py", "poetry/core/masonry/api.py", "flit_core/buildapi.py")  # fmt: skip


def call(argv: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    """Run a client in a folder; raise with its last words if it fails."""
    if shutil.which(argv[0]) is None:
        raise CorpusError(f"`{argv[0]}` is not on this machine; it brings packages of this kind")
    try:
        done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as late:
        raise CorpusError(f"`{argv[0]}` took more than {TIMEOUT_S} s") from late
    if done.returncode != 0:
        raise CorpusError(f"`{' '.join(argv[:3])} ...` failed:\n{(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def download_wheel(package: Package, folder: Path, _: Path) -> None:
    """Fetch a wheel."""
    pip = [sys.executable, "-m", "pip", "-q", "download", "--no-deps", *WHEEL_FOR, "-d", str(folder)]
    call([*pip, f"{package.name}=={package.version}"], folder)


def stand_in_backends(work: Path) -> Path:
    """Lay out the stand-ins as a folder for PYTHONPATH."""
    root = work / "stand-ins"
    for path in STOOD_IN_FOR:
        module = root / path
        module.parent.mkdir(parents=True, exist_ok=True)
        for parent in module.relative_to(root).parents:
            if str(parent) != ".":
                (root / parent / "__init__.py").touch()
        module.write_text(STAND_IN, encoding="utf-8")
    return root


def download_source_distribution(package: Package, folder: Path, work: Path) -> None:
    """Fetch a source distribution without running its build backend."""
    pip = [sys.executable, "-m", "pip", "-q", "download", "--no-deps", "--no-binary=:all:", "--no-build-isolation"]
    env = os.environ | {"PYTHONPATH": str(stand_in_backends(work))}
    call([*pip, "--use-pep517", "-d", str(folder), f"{package.name}=={package.version}"], folder, env)


def download_npm(package: Package, folder: Path, _: Path) -> None:
    """Fetch an npm tarball."""
    call(["npm", "pack", "--silent", "--ignore-scripts", f"{package.name}@{package.version}"], folder)


def machine_source() -> str:
    """The machine's own apt source, as one that offers source packages of our suites.

    It is taken over because it may name a mirror: the only way out that works here.
    """
    for file in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        for paragraph in re.split(r"\n\s*\n", file.read_text(encoding="utf-8")):
            address = re.search(r"^URIs:\s*(\S+/debian/?)\s*$", paragraph, re.MULTILINE)
            if address:
                key = re.search(r"^Signed-By:.*(?:\n[ \t].*)*", paragraph, re.MULTILINE)
                suites = " ".join(DEBIAN_SUITES)
                return (
                    f"Types: deb-src\nURIs: {address[1]}\nSuites: {suites}\nComponents: main\n{key[0] if key else ''}\n"
                )
    raise CorpusError("no source of Debian packages found in /etc/apt/sources.list.d (a .sources file is looked for)")


def apt_environment(work: Path) -> dict[str, str]:
    """A private apt that knows only source packages of our suites; its lists are read once."""
    root = work / "apt"
    env = os.environ | {"APT_CONFIG": str(root / "apt.conf"), "LC_ALL": "C"}
    if (root / "ready").exists():
        return env
    for folder in ("lists/partial", "cache/archives/partial", "sources", "parts", "log"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "status").touch()
    (root / "sources" / "debian.sources").write_text(machine_source(), encoding="utf-8")
    settings = call(["apt-config", "dump"], root).splitlines()
    kept = [line for line in settings if re.match(r"Acquire::(?!IndexTargets)|APT::Architecture", line)]
    own = {
        "Dir::State": root, "Dir::State::lists": root / "lists", "Dir::State::status": root / "status",
        "Dir::Cache": root / "cache", "Dir::Log": root / "log", "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": root / "sources", "Dir::Etc::preferences": "/dev/null", "Dir::Etc::main": "/dev/null",
        "Dir::Etc::preferencesparts": root / "parts", "Dir::Etc::parts": root / "parts", "APT::Sandbox::User": "root",
    }  # fmt: skip
    lines = [*kept, *(f'{name} "{value}";' for name, value in own.items())]
    (root / "apt.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    call(["apt-get", "-qq", "-o", "Acquire::Languages=none", "update"], root, env)
    (root / "ready").touch()
    return env


def download_debian_source(package: Package, folder: Path, work: Path) -> None:
    """Fetch a Debian source package: description, original source and packaging; signatures may be missing."""
    problem: CorpusError | None = None
    source = ["apt-get", "-q", "source", "--download-only", "--only-source", f"{package.name}={package.version}"]
    try:
        call(source, folder, apt_environment(work))
    except CorpusError as failed:  # a mirror without the signature file also ends here
        problem = failed
    described = next(folder.glob("*.dsc"), None)
    listed = re.search(r"^Checksums-Sha256:\n((?: .*\n)*)", described.read_text("utf-8") if described else "", re.M)
    names = [line.split()[2] for line in listed[1].splitlines()] if listed else []
    complete = names and all((folder / name).exists() for name in names if not name.endswith(".asc"))
    if problem and not complete:
        raise CorpusError(f"{problem}\nThe suite may have moved on: pin the version it has now in corpus.toml.")
    for signature in folder.glob("*.asc"):
        signature.unlink()


DOWNLOADERS = {
    "pypi": download_wheel,
    "pypi-source": download_source_distribution,
    "npm": download_npm,
    "debian-source": download_debian_source,
}


def download(package: Package, folder: Path, work: Path) -> None:
    """Fetch a package into a folder that holds it whole or does not exist."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        DOWNLOADERS[package.kind](package, partial, work)
    except CorpusError:
        shutil.rmtree(partial)
        raise
    for archive in partial.iterdir():
        if archive.suffix == ".tgz" and not tarfile.is_tarfile(archive):
            raise CorpusError(f"{package.name}: {archive.name} is no archive")
    partial.replace(folder)
