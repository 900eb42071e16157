"""Writing a model again with fewer bits: whether that makes sense, and the file as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import msgspec

from fimble import catalog, paths
from fimble.engine.children import said_by
from fimble.engine.failures import as_error
from fimble.engine.launch import probe
from fimble.engine.wire import Quantising
from fimble.errors import ConfigError, ModelError

#: In llama.cpp's names, what may be quantised (again) without adding one loss to another that can be seen.
_NEARLY_WHOLE = frozenset({"f32", "f16", "bf16", "q8_0"})

#: Left free on the disk, in bytes.
_SPARE_BYTES = 64_000_000


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What quantising comes to.  ``target_bytes`` is llama.cpp's own estimate."""

    source: Path
    target: Path
    kind: str
    source_bytes: int
    target_bytes: int


def plan(source: Path, kind: str, target: Path | None = None) -> Plan:
    """Look before anything is written; *target* is by default in the user's models folder.

    Raises ConfigError if it makes no sense (the target is there, nothing would get smaller, the source has lost too
    much already, the disk is too full), ModelError if the source is no model.
    """
    target = target or paths.data_dir() / "models" / f"{source.stem.lower()}-{kind.lower()}.gguf"
    target = target.expanduser().resolve()
    if target.exists():
        raise ConfigError(f"{target} is there already.", "Choose another file with --output, or remove it.")
    size = next(_said("size", source, kind))
    if lost := sorted(set(size.types) - _NEARLY_WHOLE):
        raise ConfigError(
            f"{source.name} is quantised already ({', '.join(lost).upper()}): what it lost, a second time loses more.",
            "Quantise the F16, BF16 or Q8_0 file of the same model.",
        )
    if size.target_bytes >= size.source_bytes * 0.99:
        now, then = _mb(size.source_bytes), _mb(size.target_bytes)
        raise ConfigError(
            f"As {kind}, {source.name} would not be smaller: {now} now, {then} then.",
            "Choose a kind with fewer bits, such as Q4_K_M.",
        )
    _check_room(target, size.target_bytes)
    return Plan(source=source, target=target, kind=kind, source_bytes=size.source_bytes, target_bytes=size.target_bytes)


def carry_out(plan: Plan, on_progress: Callable[[float], None] = lambda _share: None) -> str:
    """Write the file, try it, and make it known to the catalog; returns its name there.

    Nothing is left of one that fails or is interrupted, and no file is ever overwritten.  Raises as `plan` does.
    """
    part = plan.target.with_name(f".{plan.target.name}.part")
    try:
        paths.make_private_dir(paths.data_dir())
        _make_folder(plan.target.parent)
        # One at a time: both would take every core, and what a killed one has left is written over.
        with filelock.FileLock(paths.data_dir() / "quantising.lock", timeout=0):
            try:
                for line in _said("write", plan.source, plan.kind, part):
                    on_progress(line.progress)
                probe(part)
                _put(part, plan.target)
            finally:
                part.unlink(missing_ok=True)
    except filelock.Timeout:
        raise ConfigError("Another `fimble models quantize` is at work.", "Wait until it has ended.") from None
    except OSError as error:
        raise ConfigError(f"{plan.target} cannot be written: {error.strerror}.", "Choose another --output.") from None
    return catalog.add_import(plan.target)


def _put(part: Path, target: Path) -> None:
    """Let the finished file appear under its name, which nobody has taken meanwhile."""
    try:
        os.link(part, target)  # unlike renaming, it refuses to replace
    except FileExistsError:
        raise ConfigError(f"{target} is there already.", "Choose another file with --output.") from None
    except OSError:  # a disk without hard links
        part.rename(target)


def _said(what: str, source: Path, kind: str, *target: Path) -> Iterator[Quantising]:
    """What the process that knows llama.cpp says.  Raises the ModelError that it met."""
    with contextlib.closing(said_by("fimble.engine.quantising", what, str(source), kind, *map(str, target))) as lines:
        for line in lines:
            said = msgspec.json.decode(line, type=Quantising)
            if said.error:
                raise as_error(said.error, ModelError)
            yield said


def _make_folder(folder: Path) -> None:
    if folder == paths.data_dir() / "models":
        paths.make_private_dir(folder)
    else:
        folder.mkdir(parents=True, exist_ok=True)


def _check_room(target: Path, needed_bytes: int) -> None:
    there = next(folder for folder in target.parents if folder.exists())
    free_bytes = shutil.disk_usage(there).free
    if free_bytes < needed_bytes + _SPARE_BYTES:
        raise ConfigError(
            f"{target.parent} has {_mb(free_bytes)} free; the file takes {_mb(needed_bytes)}.",
            "Make room, or choose a folder on another disk with --output.",
        )


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
