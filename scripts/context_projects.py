"""The projects that cross-file tasks are cut from: the list, and how their sources get onto this machine.

Fixed before anything was tuned.  None of them, nor another package of the same repository, is among the texts that the
bundled model was trained on or judged by (models/fimble-small/corpus.toml).  Retrieval is tuned on the ones and
judged on the others; they share no project.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_TIMEOUT_S = 600
_MAX_FILE_BYTES = 400_000

#: What a compiler wrote beside the sources.
_COMPILED = (".d.ts", ".d.mts", ".d.cts", ".map")


class ProjectFailed(Exception):
    """A project cannot be used; the text says why."""


@dataclass(frozen=True)
class Project:
    """A pinned package of PyPI (its source distribution) or npm, and the part of it that people write."""

    registry: str
    name: str
    version: str
    languages: tuple[str, ...]
    """What tasks are cut from; files of other languages are there, too."""
    only: tuple[str, ...] = ("",)
    """The folders that are taken; packages bring what was compiled of their sources, which would double everything."""

    @property
    def folder(self) -> str:
        """What its folder is called."""
        return f"{self.name.replace('/', '+')}-{self.version}"


def _pypi(name: str, version: str, languages: str = "python", only: str = "") -> Project:
    return Project("pypi", name, version, tuple(languages.split()), tuple(only.split()) or ("",))


def _npm(name: str, version: str, languages: str, only: str) -> Project:
    return Project("npm", name, version, tuple(languages.split()), tuple(only.split()))


SETS: dict[str, tuple[Project, ...]] = {
    "tune": (
        _pypi("aiogram", "3.31.0"),
        _pypi("copier", "9.19.1"),
        _pypi("invoke", "3.0.3"),
        _pypi("hypercorn", "0.18.0"),
        _pypi("keystoneauth1", "5.18.1"),
        _pypi("markdown-it-py", "4.3.0"),
        _pypi("mongoengine", "0.29.3"),
        _pypi("nibabel", "5.4.2"),
        _pypi("nox", "2026.10.20"),
        _pypi("openpyxl", "3.1.5"),
        _pypi("parso", "0.8.7"),
        _pypi("pdm", "2.29.4"),
        _pypi("prompt-toolkit", "3.0.53"),
        _pypi("pymc", "5.28.5"),
        _pypi("sanic", "25.12.1"),
        _pypi("sqlfluff", "4.5.0"),
        _pypi("zeep", "4.3.3"),
        _npm("@antv/g6", "5.1.1", "typescript", "src/"),
        _npm("@hapi/hapi", "21.4.10", "javascript", "lib/"),
        _npm("cytoscape", "3.34.4", "javascript", "src/"),
        _npm("mocha", "12.0.3", "javascript", "lib/ bin/"),
        _npm("pdf-lib", "1.17.1", "typescript", "src/"),
        _npm("preact", "11.2.0", "javascript", "src/ hooks/src/ compat/src/ debug/src/"),
        _pypi("minijinja", "3.1.0", "rust"),
        _pypi("rustworkx", "0.18.1", "rust"),
        _pypi("tombi", "1.9.6", "rust"),
        _pypi("chromadb", "1.5.9", "rust", "rust/"),
        _npm("cordova-android", "15.1.0", "java", "framework/src/"),
        _pypi("jpype1", "1.7.1", "java", "native/jpype_module/"),
    ),
    "heldout": (
        _pypi("apscheduler", "3.11.3"),
        _pypi("botorch", "0.18.1"),
        _pypi("briefcase", "0.4.7"),
        _pypi("cattrs", "26.2.1"),
        _pypi("discord.py", "2.7.1"),
        _pypi("docker", "7.2.0"),
        _pypi("falcon", "4.4.0"),
        _pypi("lark", "1.3.1"),
        _pypi("libcst", "1.9.0"),
        _pypi("pygls", "2.1.1"),
        _pypi("pypdf", "7.1.1"),
        _pypi("quart", "0.22.0"),
        _pypi("slack-bolt", "1.30.0"),
        _pypi("sqlglot", "30.30.0"),
        _pypi("structlog", "26.1.0"),
        _pypi("tortoise-orm", "1.1.9"),
        _pypi("trimesh", "5.2.0"),
        _npm("@libp2p/kad-dht", "16.4.5", "typescript", "src/"),
        _npm("@luma.gl/core", "9.4.2", "typescript", "src/"),
        _npm("diagram-js", "15.28.1", "javascript", "lib/"),
        _npm("discord.js", "14.28.1", "javascript", "src/"),
        _npm("hls.js", "1.7.4", "typescript", "src/"),
        _npm("langium", "4.4.0", "typescript", "src/"),
        _npm("objection", "3.1.5", "javascript", "lib/"),
        _pypi("pyoxigraph", "0.5.13", "rust", "lib/ python/ Cargo.toml"),
        _pypi("rust-just", "1.59.0", "rust"),
        _pypi("typos", "1.52.0", "rust"),
        _pypi("wandb", "0.31.0", "go", "core/internal/ core/pkg/ core/cmd/ core/go.mod"),
        _npm("@capacitor/android", "8.5.2", "java", "capacitor/src/main/java/"),
        _pypi("pythonnet", "3.2.1", "csharp", "src/"),
    ),
}

_PERMISSIVE = re.compile(r"\b(MIT|Apache|BSD|ISC|Unlicense|CC0|zlib|PSF)\b|Apache", re.IGNORECASE)
_COPYLEFT = re.compile(r"GPL|MPL|EPL|CDDL|EUPL|SSPL|BUSL|GNU |Mozilla|Eclipse|Proprietary", re.IGNORECASE)

#: pip has the build backend of a source distribution tell its metadata before it keeps the archive.  This stands in for
#: every backend: it copies what the archive says already, so no code of a package runs.
_STAND_IN = """
import pathlib, re
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    text = pathlib.Path("PKG-INFO").read_text("utf-8", "replace")
    name, version = (re.search(rf"^{key}: (.+)$", text, re.M)[1].strip() for key in ("Name", "Version"))
    folder = pathlib.Path(metadata_directory, f"{re.sub('[-_.]+', '_', name)}-{version}.dist-info")
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(text, "utf-8")
    return folder.name
def get_requires_for_build_wheel(config_settings=None): return []
def build_wheel(*arguments, **settings): raise RuntimeError("nothing is built here")
class __legacy__:
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)
    get_requires_for_build_wheel = staticmethod(get_requires_for_build_wheel)
    build_wheel = staticmethod(build_wheel)
"""
_BACKENDS = (
    *("maturin/__init__", "mesonpy/__init__", "setuptools/build_meta", "scikit_build_core/build", "hatchling/build"),
    *("poetry/core/masonry/api", "flit_core/buildapi", "pdm/backend/__init__", "uv_build/__init__"),
    *("pbr/build", "hatchling/ouroboros", "setuptools_rust/build_meta", "backend", "_build_backend"),
)


def project_folder(project: Project, folder: Path) -> Path:
    """Where the sources of a project are below *folder*; they are fetched if they are not there yet.

    Raises ProjectFailed.
    """
    home = folder / "projects" / project.folder
    if home.is_dir():
        return home
    partial = home.with_name(home.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "archive").mkdir(parents=True)
    try:
        archive = _download(project, partial / "archive", folder)
        _check_licence(project, archive)
        for path, content in _members(archive):
            if path.startswith(project.only) and not path.endswith(_COMPILED):
                target = partial / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        shutil.rmtree(partial / "archive")
        partial.replace(home)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return home


def _download(project: Project, into: Path, work: Path) -> Path:
    wanted = f"{project.name}=={project.version}"
    if project.registry == "npm":
        command = ["npm", "pack", "--silent", "--ignore-scripts", f"{project.name}@{project.version}"]
        environ = dict(os.environ)
    else:
        command = [sys.executable, "-m", "pip", "-q", "download", "--no-deps", "--no-binary=:all:", "--use-pep517"]
        command += ["--no-build-isolation", "-d", str(into), wanted]
        environ = os.environ | {"PYTHONPATH": str(_stand_ins(work))}
    try:
        done = subprocess.run(command, cwd=into, env=environ, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except FileNotFoundError:
        raise ProjectFailed(f"{command[0]} is not on this machine; install it to fetch {project.name}.") from None
    except subprocess.TimeoutExpired:
        raise ProjectFailed(f"{project.name} did not arrive within {_TIMEOUT_S} s; try again.") from None
    archives = [*into.glob("*.tar.gz"), *into.glob("*.tgz")]
    if done.returncode or len(archives) != 1:
        raise ProjectFailed(f"{wanted} cannot be fetched: {(done.stderr or done.stdout).strip()[-400:]}")
    return archives[0]


def _stand_ins(work: Path) -> Path:
    root = work / "stand-ins"
    for backend in _BACKENDS:
        module = root / f"{backend}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        for parent in list(module.relative_to(root).parents)[:-1]:
            (root / parent / "__init__.py").touch()
        module.write_text(_STAND_IN, "utf-8")
    return root


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Path without the archive's own first folder, and content, of every file that may be source."""
    with tarfile.open(archive, "r|*") as opened:
        for member in opened:
            parts = PurePosixPath(member.name).parts[1:]
            if member.isfile() and member.size <= _MAX_FILE_BYTES and parts and ".." not in parts:
                stream = opened.extractfile(member)
                if stream is not None:
                    yield "/".join(parts), stream.read()


def _check_licence(project: Project, archive: Path) -> None:
    wanted = "package.json" if project.registry == "npm" else "PKG-INFO"
    text = next((content.decode("utf-8", "replace") for path, content in _members(archive) if path == wanted), "")
    licence = _npm_licence(text) if project.registry == "npm" else _python_licence(text)
    if not _PERMISSIVE.search(licence) or _COPYLEFT.search(licence):
        raise ProjectFailed(f"{project.name} is not used: its metadata says {licence!r} of its licence.")


def _npm_licence(text: str) -> str:
    return str(json.loads(text or "{}").get("license", ""))


def _python_licence(text: str) -> str:
    head = text.partition("\n\n")[0]
    found = re.findall(r"^License-Expression: *(\S.*)$", head, re.MULTILINE)
    if not found:
        found = re.findall(r"^(?:License:|Classifier: License ::) *(\S.{0,80})", head, re.MULTILINE)
    return " ".join(found)
