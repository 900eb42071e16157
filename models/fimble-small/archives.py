"""Read the files of an archive (wheel, source distribution, npm package, Debian source) without unpacking to disk."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MAX_MEMBER_BYTES = 4_000_000  # no source file worth reading is larger
ORIGINAL_SOURCE = re.compile(r"\.orig(-[\w.-]+)?\.tar\.\w+$|^[^_]+_[^_-]+\.tar\.\w+$")


def without_first_folder(path: str) -> str:
    """Drop the ``name-version/`` that tarballs put in front of every path."""
    parts = PurePosixPath(path).parts
    parts = parts[1:] if parts and parts[0] == "." else parts
    return "/".join(parts[1:]) if len(parts) > 1 else path


def zip_members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of a wheel."""
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            if not member.is_dir() and member.file_size <= MAX_MEMBER_BYTES:
                yield member.filename, opened.read(member)


def tar_members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of the plain files of a tarball, links left out."""
    with tarfile.open(archive, "r|*") as opened:
        for member in opened:
            if not member.isfile() or member.size > MAX_MEMBER_BYTES:
                continue
            stream = opened.extractfile(member)
            if stream is not None:
                yield without_first_folder(member.name), stream.read()


def source_archives(folder: Path) -> list[Path]:
    """The archives of a package that hold its own source, in a fixed order (Debian's packaging is left out)."""
    files = sorted(path for path in folder.iterdir() if path.suffix not in (".dsc", ".asc", ".json"))
    if any(path.suffix == ".dsc" for path in folder.iterdir()):
        return [path for path in files if ORIGINAL_SOURCE.search(path.name) and ".debian.tar" not in path.name]
    return files


def members(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of everything in the source archives of one package."""
    for archive in source_archives(folder):
        component = re.search(r"\.orig-([\w.-]+)\.tar\.\w+$", archive.name)  # Debian unpacks it into that folder
        read = zip_members if archive.suffix in (".whl", ".zip") else tar_members
        for path, content in read(archive):
            yield (f"{component[1]}/{path}" if component else path), content


def find_member(folder: Path, pattern: str) -> str | None:
    """The text of the shallowest file whose path matches the pattern, of all archives, packaging included."""
    best: tuple[int, str] | None = None
    for archive in sorted(folder.iterdir()):
        if not re.search(r"\.(whl|zip|tgz|tar\.\w+)$", archive.name):
            continue
        read = zip_members if archive.suffix in (".whl", ".zip") else tar_members
        for path, content in read(archive):
            if re.search(pattern, path) and (best is None or path.count("/") < best[0]):
                best = (path.count("/"), content.decode("utf-8", "replace"))
                if best[0] == 0:
                    return best[1]
    return best[1] if best else None
