"""The hub and its cache on this machine: what is there, fetching it, and taking it away again."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import filelock
import httpx2
from huggingface_hub import (
    CacheNotFound,
    HfApi,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    scan_cache_dir,
    try_to_load_from_cache,
)
from huggingface_hub.errors import FileMetadataError, HfHubHTTPError, OfflineModeIsEnabled, RevisionNotFoundError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import build_hf_headers

from fimble import __version__, digests
from fimble.errors import DownloadError
from fimble.models.downloads import transfer
from fimble.models.downloads.failures import explained, no_room
from fimble.models.downloads.source import Source

_LIBRARY = "fimble"

#: What a disk should have left beside a model: an editor's files and ours have to fit somewhere.
_SPARE_BYTES = 200_000_000

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SAFE_ETAG = re.compile(r"[0-9A-Za-z._-]{1,128}")


@dataclass(frozen=True)
class Remote:
    """A file as the hub has it now."""

    source: Source
    commit: str
    etag: str
    size_bytes: int
    sha256: str
    """What it must hash to: the catalog's, or else the hub's; empty if nobody says."""
    blob: Path
    """Where its bytes are in the hub's cache, once they are there."""

    @property
    def part(self) -> Path:
        """The beginning of its bytes, while they are fetched."""
        return self.blob.with_name(f"{self.etag}.incomplete")

    @property
    def missing_bytes(self) -> int:
        """What there is still to fetch."""
        if self.blob.exists():
            return 0
        with contextlib.suppress(OSError):
            return max(self.size_bytes - self.part.stat().st_size, 0)
        return self.size_bytes


def look_up(source: Source) -> Remote:
    """Find one file: in the cache, if that cannot be another one by now or nobody may be asked; else ask the hub.

    Raises DownloadError.
    """
    if (source.revision or constants.is_offline_mode()) and (cached := _in_cache(source)):
        return cached
    with explained(source):
        try:
            commit, etag, size_bytes = _ask(source)
        except RevisionNotFoundError:
            # Repositories are made anew.  Where it is known what the file must hash to, any commit will do.
            if not source.sha256:
                raise
            commit, etag, size_bytes = _ask(replace(source, revision=""))
    said = etag if _SHA256.fullmatch(etag) else ""
    if source.sha256 and said and said != source.sha256:
        raise DownloadError(
            f"The hub's {source.file} is not the file that was recorded: its SHA-256 is {said[:12]}..., not "
            f"{source.sha256[:12]}....",
            f"Nothing was fetched. See {source.page} for what changed; an update of Fimble may know it.",
        )
    blob = Path(constants.HF_HUB_CACHE) / _folder(source) / "blobs" / etag
    return Remote(source, commit, etag, size_bytes, source.sha256 or said, blob)


def _in_cache(source: Source) -> Remote | None:
    path = try_to_load_from_cache(source.repository, source.file, revision=source.revision or None)
    if not isinstance(path, str):
        return None
    blob = Path(path).resolve()
    said = blob.name if _SHA256.fullmatch(blob.name) else ""
    commit = Path(path).relative_to(Path(constants.HF_HUB_CACHE) / _folder(source) / "snapshots").parts[0]
    return Remote(source, commit, blob.name, blob.stat().st_size, source.sha256 or said, blob)


def _ask(source: Source) -> tuple[str, str, int]:
    """The commit, the ETag and the size of a file; raises what huggingface_hub raises."""
    url = hf_hub_url(source.repository, source.file, revision=source.revision or None)
    found = get_hf_file_metadata(
        url, timeout=constants.HF_HUB_ETAG_TIMEOUT, library_name=_LIBRARY, library_version=__version__
    )
    commit, etag = found.commit_hash or "", found.etag or ""
    if not _COMMIT.fullmatch(commit) or not _SAFE_ETAG.fullmatch(etag) or not found.size:
        raise FileMetadataError(url)
    return commit, etag, found.size


def licence_of(source: Source) -> str:
    """What the hub says of the repository's licence, in its short form; empty if it says nothing."""
    with contextlib.suppress(HfHubHTTPError, OfflineModeIsEnabled, httpx2.HTTPError):
        info = HfApi(library_name=_LIBRARY, library_version=__version__).model_info(
            source.repository, revision=source.revision or None, timeout=constants.HF_HUB_ETAG_TIMEOUT
        )
        card = info.card_data
        named = card.get("license_name") if card and card.get("license") == "other" else card and card.get("license")
        if isinstance(named, str):
            return named
        tags = [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
        return tags[0] if tags else ""
    return ""


def require_room(remote: Remote) -> None:
    """Raise DownloadError if the disk cannot hold what there is still to fetch."""
    folder = next(parent for parent in remote.blob.parents if parent.is_dir())
    needed = remote.missing_bytes + (_SPARE_BYTES if remote.missing_bytes else 0)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise no_room(needed, free, constants.HF_HUB_CACHE)


def fetch(
    remote: Remote, on_bytes: transfer.Report, on_check: Callable[[float], None], on_wait: Callable[[], None]
) -> tuple[Path, str]:
    """Have the whole, right file in the hub's cache; return its path there and its SHA-256.

    Nobody finds the file in the cache before its bytes were checked.  *on_bytes* hears how many are there,
    *on_check* the share that is checked, *on_wait* that another process is fetching the same file.

    Raises DownloadError; what came so far is kept, unless it is wrong.
    """
    with explained(remote.source):
        remote.blob.parent.mkdir(parents=True, exist_ok=True)
        with _lock(remote, on_wait):
            if not remote.blob.exists():
                _receive(remote, on_bytes)
                sha256 = _checked(remote, remote.part, on_check)
                remote.part.replace(remote.blob)
            else:
                sha256 = _checked(remote, remote.blob, on_check)
        # The bytes are there: this makes the name by which everybody finds them, and fetches nothing.
        path = hf_hub_download(
            remote.source.repository,
            remote.source.file,
            revision=remote.commit,
            library_name=_LIBRARY,
            library_version=__version__,
        )
    return Path(path), sha256


def delete(path: Path) -> int:
    """Take a file out of the hub's cache, with all that only it needs; return how many bytes that freed.

    Raises DownloadError if it cannot be deleted.
    """
    with explained(Source("", str(path))), contextlib.suppress(CacheNotFound):
        snapshots = next((parent for parent in path.parents if parent.name == "snapshots"), path)
        info = scan_cache_dir(snapshots.parent.parent)
        for revision in (revision for repo in info.repos for revision in repo.revisions):
            for file in revision.files:
                if file.file_path == path:
                    alone = len(revision.files) == 1
                    plan = info.delete_revisions(revision.commit_hash) if alone else info.delete_files(file)
                    plan.execute()
                    return plan.expected_freed_size
    return 0


def _folder(source: Source) -> str:
    return repo_folder_name(repo_id=source.repository, repo_type="model")


@contextlib.contextmanager
def _lock(remote: Remote, on_wait: Callable[[], None]) -> Iterator[None]:
    # The very lock that huggingface_hub takes for this file.
    path = Path(constants.HF_HUB_CACHE) / ".locks" / _folder(remote.source) / f"{remote.etag}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _receive(remote: Remote, on_bytes: transfer.Report) -> None:
    source = remote.source
    url = hf_hub_url(source.repository, source.file, revision=remote.commit)
    on_bytes(remote.size_bytes - remote.missing_bytes, remote.size_bytes)
    transfer.receive(
        url,
        build_hf_headers(library_name=_LIBRARY, library_version=__version__),
        remote.part,
        remote.size_bytes,
        on_bytes,
    )


def _checked(remote: Remote, file: Path, on_check: Callable[[float], None]) -> str:
    """The SHA-256 of *file*; deletes it and raises DownloadError if it is the wrong one."""
    with file.open("rb") as opened:
        is_gguf = opened.read(4) == b"GGUF"
    sha256 = digests.sha256(file, on_check)
    wrong = remote.sha256 and sha256 != remote.sha256
    if wrong or not is_gguf:
        file.unlink()
        said = f"its SHA-256 is {sha256[:12]}..., not {remote.sha256[:12]}..." if wrong else "it is no GGUF"
        raise DownloadError(
            f"What came for {remote.source.file} is not that file: {said}. It was deleted.",
            "Run it again. If that happens twice, somebody between you and the hub changes it: check your proxy.",
        )
    return sha256
