"""The models that Fimble knows: the bundled one, those that the user brought, and those that can be downloaded."""

from __future__ import annotations

import contextlib
import os
import tomllib
from pathlib import Path

import msgspec

from fimble import installed
from fimble.errors import ConfigError, ModelNotFound
from fimble.installed import Installed

#: Of models that are not in the catalog: below it, a good model does better than a copy.
ECHO_FIRST = 0.7


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model is made of, as far as it decides what a token costs.  llama.cpp's names."""

    n_layer: int
    n_embd: int
    n_ff: int
    """Of one expert, where there are several."""
    n_head: int
    n_head_kv: int
    head_dim: int
    n_vocab: int
    tied: bool = False
    """Whether the first and the last layer share their weights."""
    n_expert: int = 0
    """0: dense."""
    n_expert_used: int = 0

    @property
    def n_params(self) -> int:
        """All weights, but for biases and norms (less than a thousandth)."""
        return self._params(self.n_expert or 1, embeddings=1 if self.tied else 2)

    @property
    def n_params_active(self) -> int:
        """The weights that are read for one token: its experts', and of the first layer one row (not counted)."""
        return self._params(self.n_expert_used or 1, embeddings=1)

    def _params(self, experts: int, embeddings: int) -> int:
        attention = 2 * self.n_embd * self.head_dim * (self.n_head + self.n_head_kv)
        router = self.n_embd * self.n_expert
        layer = attention + router + 3 * self.n_embd * self.n_ff * experts
        return self.n_layer * layer + embeddings * self.n_embd * self.n_vocab

    @property
    def kv_bytes_per_token(self) -> int:
        """What one token takes in the KV cache, at 16 bits a number."""
        return 2 * 2 * self.n_layer * self.n_head_kv * self.head_dim


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of ``models/catalog.toml``.  Sizes are in megabytes, memory in gigabytes."""

    name: str
    file: str
    licence: str
    size_mb: float
    memory_gb: float
    shape: Shape
    repository: str = ""
    revision: str = ""
    """The commit that is downloaded; empty: the newest."""
    sha256: str = ""
    """Of the whole file, in hex; empty where it is not known."""
    parameters: str = ""
    note: str = ""
    echo_first: float = ECHO_FIRST
    """A copy that is at least this likely to be right, from 0 to 1, is shown without asking the model."""

    @property
    def bits_per_weight(self) -> float:
        """Of the file, metadata included."""
        return self.size_mb * 8e6 / self.shape.n_params


class Catalog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``models/catalog.toml``."""

    bundled: Entry
    model: tuple[Entry, ...] = ()


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A model as `fimble models list` shows it."""

    name: str
    kind: str
    """``bundled``, ``pulled``, ``imported`` or ``catalog`` (not on this machine)."""
    path: str = ""
    """Where it is on this machine; empty if it is not."""
    licence: str = ""
    size_mb: float = 0.0
    memory_gb: float = 0.0
    repository: str = ""
    file: str = ""
    note: str = ""


def bundled_models_dir() -> Path:
    """The folder with the catalog and the bundled model: in a wheel inside the package, else in the checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_models", package.parents[1] / "models"):
        if (folder / "catalog.toml").is_file():
            return folder
    raise ModelNotFound("Fimble's own models folder is missing.", "Reinstall Fimble.")


def load() -> Catalog:
    """The catalog that ships with Fimble."""
    with (bundled_models_dir() / "catalog.toml").open("rb") as file:
        return msgspec.convert(tomllib.load(file), Catalog)


def check_name(name: str) -> str:
    """Return *name* if a model may be called so.  Raises ConfigError if the catalog means another by it."""
    known = load()
    if name in {known.bundled.name, *(entry.name for entry in known.model)}:
        raise ConfigError(f"The catalog has a model called {name}.", "Choose another name with --name.")
    return name


def add_import(path: Path, name: str = "", sha256: str = "", licence: str = "", family: str = "") -> str:
    """Remember a GGUF of the user's by *name* (default: the file's), with what is known of it; the file stays.

    Returns the name.  Raises ConfigError if another model has that name or the list cannot be written.
    """
    name = check_name(name or path.stem.lower())
    other = installed.read().get(name)
    if other and other.origin == "pulled":
        raise ConfigError(f"You pulled a model called {name}.", "Choose another name with --name.")
    # Links stay what they are: the hub's cache has names only in them.
    path = path.absolute()
    size_bytes = path.stat().st_size if path.is_file() else 0
    one = Installed(path=str(path), licence=licence, size_bytes=size_bytes, sha256=sha256, family=family)
    installed.add(name, one)
    return name


def listing() -> list[Listed]:
    """Every model, the usable ones first."""
    known = load()
    here = installed.read()
    entries = {entry.name: entry for entry in known.model}
    found = [_listed(known.bundled, "bundled", str(bundled_models_dir() / known.bundled.file))]
    for name, one in sorted(here.items()):
        found.append(_listed_installed(name, one, entries.get(name)))
    return found + [_listed(entry, "catalog", "") for entry in known.model if entry.name not in here]


def _listed(entry: Entry, kind: str, path: str) -> Listed:
    values = msgspec.structs.asdict(entry)
    for inner in ("parameters", "echo_first", "shape", "revision", "sha256"):
        del values[inner]
    return Listed(kind=kind, path=path, **values)


def _listed_installed(name: str, one: Installed, entry: Entry | None) -> Listed:
    path = Path(one.path)
    size_bytes = path.stat().st_size if path.is_file() else 0
    return Listed(
        name=name,
        kind=one.origin,
        path=one.path if size_bytes else "",
        licence=one.licence or (entry.licence if entry else ""),
        size_mb=round((size_bytes or one.size_bytes) / 1e6, 1),
        memory_gb=entry.memory_gb if entry else 0.0,
        repository=one.repository,
        file=one.file,
        note=(entry.note if entry else "") if size_bytes else "the file is gone",
    )


def resolve(model: str) -> Path:
    """The file of the model that the setting ``model`` names: a name, a path, or empty for the bundled one.

    Raises ModelNotFound with what to do.
    """
    known = load()
    fix = "See `fimble models list`."
    if model in ("", known.bundled.name):
        path = bundled_models_dir() / known.bundled.file
    elif one := installed.read().get(model):
        path = Path(one.path)
        if one.origin == "pulled":
            fix = f"Get it again with `fimble models pull {model}`."
    elif any(entry.name == model for entry in known.model):
        raise ModelNotFound(
            f"{model} is in the catalog but not on this machine.", f"Get it with `fimble models pull {model}`."
        )
    elif model.endswith(".gguf") or os.sep in model:
        path = Path(os.path.expanduser(model))  # noqa: PTH111  (pathlib's raises for a home that does not exist)
    else:
        raise ModelNotFound(f"There is no model called {model}.", fix)
    if not os.path.isfile(path):  # noqa: PTH113  (pathlib's raises for a name that is too long)
        raise ModelNotFound(f"There is no model file at {path}.", fix)
    return path


def sha256_of(path: Path) -> str:
    """What the model in *path* must hash to, in hex; empty where nobody has said or recorded it."""
    known = load().bundled
    if path == bundled_models_dir() / known.file:
        return known.sha256
    found = installed.by_path(path)
    return found[1].sha256 if found else ""


def display_name(model: str) -> str:
    """What a person calls the model that the setting ``model`` names: its name, or its file's."""
    if not model:
        with contextlib.suppress(ModelNotFound):
            return load().bundled.name
    return Path(model).stem if model.endswith(".gguf") else model


def echo_first(model: str) -> float:
    """See `Entry.echo_first`; *model* is the setting of that name."""
    known = load()
    bundled = ("", known.bundled.name, str(bundled_models_dir() / known.bundled.file))
    entries = [known.bundled] if model in bundled else [entry for entry in known.model if entry.name == model]
    return entries[0].echo_first if entries else ECHO_FIRST
