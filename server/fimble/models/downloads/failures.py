"""What went wrong, and what a person can do about it: one sentence each."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from fimble.errors import DownloadError
from fimble.models.downloads.source import Source

_WORKS = "What is installed goes on working."
_GOES_ON = "it goes on where it stopped"

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def explained(source: Source) -> Iterator[None]:
    """Turn what the network, the hub and the disk raise into a DownloadError."""
    try:
        yield
    except (OfflineModeIsEnabled, HfHubHTTPError, FileMetadataError, HFValidationError) as error:
        raise _of_hub(error, source) from None
    except httpx2.HTTPError as error:
        raise _of_network(error) from None
    except OSError as error:
        raise of_disk(error) from None


def no_room(needed_bytes: float, free_bytes: float, folder: str) -> DownloadError:
    """The disk is too small, as far as that is known before the first byte."""
    return DownloadError(
        f"{needed_bytes / 1e9:.1f} GB are needed in {folder}, and {free_bytes / 1e9:.1f} GB are free.",
        "Make room, or set HF_HOME to a folder on another disk.",
    )


def of_disk(error: OSError) -> DownloadError:
    """What the operating system said of a file."""
    where = error.filename or constants.HF_HUB_CACHE
    if error.errno in _NO_ROOM:
        return DownloadError(
            f"The disk of {where} is full.",
            f"Make room and run it again: {_GOES_ON}. Or set HF_HOME to a folder on another disk.",
        )
    return DownloadError(
        f"{where}: {error.strerror or error}.", "Check its permissions, or set HF_HOME to a folder of yours."
    )


def _of_network(error: httpx2.HTTPError) -> DownloadError:
    if isinstance(error, httpx2.ProxyError):
        return DownloadError(f"The proxy does not let us through: {error}.", "Check HTTPS_PROXY.")
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return DownloadError(
            f"{constants.ENDPOINT} cannot be reached.",
            f"Check your connection (or HF_ENDPOINT), and run it again. {_WORKS}",
        )
    if isinstance(error, httpx2.TimeoutException):
        return DownloadError(f"{constants.ENDPOINT} does not answer.", f"Try again later: {_GOES_ON}. {_WORKS}")
    return DownloadError(f"The connection to {constants.ENDPOINT} broke off.", f"Run it again: {_GOES_ON}. {_WORKS}")


def _of_hub(error: Exception, source: Source) -> DownloadError:
    if isinstance(error, OfflineModeIsEnabled):
        return DownloadError("HF_HUB_OFFLINE is set: nothing is fetched.", f"Unset it to fetch. {_WORKS}")
    if isinstance(error, HFValidationError):
        return DownloadError(f"{source.repository} cannot be a repository's name.", "Write OWNER/REPOSITORY.")
    if isinstance(error, RemoteEntryNotFoundError):
        return DownloadError(f"{source.repository} has no file {source.file}.", f"See {source.page}/tree/main.")
    if isinstance(error, RevisionNotFoundError):
        return DownloadError(
            f"{source.repository} no longer has the commit {source.revision[:12]}.",
            f"See {source.page} for what became of it; an update of Fimble may know it.",
        )
    if isinstance(error, GatedRepoError):
        return DownloadError(
            f"The makers of {source.repository} want to be asked first.",
            f"Accept their conditions at {source.page}, then set HF_TOKEN to a token of yours.",
        )
    if isinstance(error, HfHubHTTPError):
        return _of_status(error, source)
    return DownloadError(
        f"{constants.ENDPOINT} does not answer as the hub does.",
        "Check HF_ENDPOINT, and whether a proxy answers for it.",
    )


def _of_status(error: HfHubHTTPError, source: Source) -> DownloadError:
    status = error.response.status_code
    if status == 429:
        wait = error.response.headers.get("Retry-After", "")
        when = f"in {wait} seconds" if wait.isdigit() else "in a few minutes"
        return DownloadError(
            "The hub wants fewer requests from here.",
            f"Run it again {when}: {_GOES_ON}. With HF_TOKEN set the hub allows more.",
        )
    if status == 401 and not isinstance(error, RepositoryNotFoundError) and get_token():
        return DownloadError("The hub does not know your token.", "Set HF_TOKEN to one that is valid, or unset it.")
    if status in (401, 404):
        return DownloadError(
            f"The hub shows no repository {source.repository}: there is none, or it is private.",
            "Check the name; if it is private, set HF_TOKEN to a token that may read it.",
        )
    if status == 403:
        return DownloadError(
            f"The hub does not allow you to read {source.repository}.", "Set HF_TOKEN to a token that may read it."
        )
    if status >= 500:
        return DownloadError(f"The hub is out of order (status {status}).", f"Try again later: {_GOES_ON}. {_WORKS}")
    return DownloadError(f"The hub refused {source.file} (status {status}).", f"See {source.page}.")
