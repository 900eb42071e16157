"""Where a model is on the hub."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fimble import catalog, installed
from fimble.catalog import Entry
from fimble.errors import DownloadError, ModelNotFound

_HUB = "hf:"

#: llama.cpp's name for a part of a model (llama_split_path); Fimble uses models that are one file.
_PART = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")


@dataclass(frozen=True)
class Source:
    """One file of one repository, and what is known of it before anybody is asked."""

    repository: str
    file: str
    revision: str = ""
    """A commit; empty: the newest."""
    name: str = ""
    """What Fimble calls it; empty: what the file suggests."""
    licence: str = ""
    sha256: str = ""
    """What the whole file must hash to, in hex; empty: the hub says, or nobody knows."""

    @property
    def page(self) -> str:
        """Where a person reads about it."""
        return f"https://huggingface.co/{self.repository}"


def parts_of(file: str) -> int:
    """Of how many files the model is, by the name of one of them; 0 if it is whole."""
    split = _PART.search(file)
    return int(split[1]) if split else 0


def find(text: str) -> Source:
    """What *text* means: a name of the catalog, one that was pulled before, or ``hf:OWNER/REPOSITORY/FILE``.

    Raises ModelNotFound if nothing is called so, DownloadError if there is nothing to fetch.
    """
    known = catalog.load()
    if text == known.bundled.name:
        raise DownloadError(f"{text} ships with Fimble: there is nothing to fetch.", "Use it as it is.")
    entry = next((entry for entry in known.model if entry.name == text), None)
    if entry is not None:
        return _of_entry(entry)
    if text.startswith(_HUB):
        return _of_hub(text.removeprefix(_HUB))
    one = installed.read().get(text)
    if one is not None and one.origin == "pulled":
        return Source(one.repository, one.file, one.revision, text, one.licence, one.sha256)
    if one is not None:
        raise DownloadError(f"{text} is your own file {one.path}: there is nothing to fetch.", "Use it as it is.")
    raise ModelNotFound(
        f"There is no model called {text}.",
        "See `fimble models list`, or name a file on the hub: `fimble models pull hf:OWNER/REPOSITORY/FILE.gguf`.",
    )


def _of_entry(entry: Entry) -> Source:
    return Source(entry.repository, entry.file, entry.revision, entry.name, entry.licence, entry.sha256)


def _of_hub(text: str) -> Source:
    owner, _, rest = text.partition("/")
    repository, _, file = rest.partition("/")
    parts = [owner, repository, *file.split("/")]
    if not all(parts) or {".", ".."} & set(parts) or not file.endswith(".gguf"):
        raise ModelNotFound(
            f"hf:{text} names no GGUF file.", "Write hf:OWNER/REPOSITORY/FILE.gguf, as the hub shows them."
        )
    if count := parts_of(file):
        raise DownloadError(
            f"{file} is one of {count} parts, and Fimble uses models that are one file.",
            "Choose one that is not split, or join the parts (llama.cpp's `llama-gguf-split --merge`) and import it.",
        )
    for entry in catalog.load().model:
        if (entry.repository, entry.file) == (f"{owner}/{repository}", file):
            return _of_entry(entry)
    return Source(f"{owner}/{repository}", file)
