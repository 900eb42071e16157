"""A change of one file: what it would be, doing it, and undoing it."""

from __future__ import annotations

import contextlib
import difflib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fimble.cli.setup import block, dotfile, neovim, records
from fimble.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Change:
    """A file as it is (None: there is none) and as it is to be (None: it goes away)."""

    file: Path
    old: str | None
    new: str | None
    note: str = ""

    @property
    def is_needed(self) -> bool:
        """Whether anything is different."""
        return self.old != self.new

    def diff(self) -> list[str]:
        """A unified diff, without line ends."""
        old, new = ((text or "").replace("\r\n", "\n").split("\n") for text in (self.old, self.new))
        before, after = (str(self.file) if text is not None else "/dev/null" for text in (self.old, self.new))
        return list(difflib.unified_diff(old, new, before, after, lineterm=""))


def plan() -> Change:
    """What setting up Neovim changes.  Raises ConfigError."""
    link = neovim.init_file()
    file = dotfile.real(link)
    old = dotfile.read(file)
    text = old or ""
    if neovim.is_set_up_by_hand(block.take_out(text)):
        return Change(link, old, old, f"{link} sets Fimble up already, by lines of your own.")
    return Change(link, old, block.put_in(text, neovim.block(link, text)))


def apply(editor: str, change: Change, now: datetime) -> Path | None:
    """Do it; returns the backup of what was there.  Raises ConfigError, and then nothing was changed."""
    file, before = dotfile.real(change.file), records.load().get(editor)
    assert change.new is not None
    if dotfile.read(file) != change.old:
        raise ConfigError(f"{change.file} was changed meanwhile, so it was left alone.", "Run the command again.")
    made = [*dotfile.make_folders(file.parent), *dotfile.make_folders(records.folder())]
    if before and change.old is not None and before.written == dotfile.digest(change.old):
        # Ours, untouched: what was there before it is still what undoing brings back.
        dotfile.write(file, change.new)
        renewed = records.Record(
            file=before.file,
            written=dotfile.digest(change.new),
            backup=before.backup,
            is_whole=before.is_whole,
            made_folders=before.made_folders,
        )
        records.keep(editor, renewed)
        return Path(before.backup) if before.backup else None
    backup = dotfile.back_up(file, change.old, now) if change.old is not None else None
    record = records.Record(
        file=str(file),
        written=dotfile.digest(change.new),
        backup=str(backup or ""),
        is_whole=change.old is None or not block.is_in(change.old),
        made_folders=tuple(map(str, made)),
    )
    records.keep(editor, record)  # first: what was written can always be undone
    try:
        dotfile.write(file, change.new)
    except ConfigError:
        _forget(editor, record)
        raise
    return backup


def plan_undo(editor: str) -> Change:
    """What takes Fimble out again: the backup, if the file is still as we left it, else only our lines go.

    Raises ConfigError if there is nothing to undo.
    """
    record = records.load().get(editor)
    file = Path(record.file) if record else dotfile.real(neovim.init_file())
    now = dotfile.read(file)
    if now is None or not (record or block.is_in(now)):
        if record:
            records.drop(editor)
        raise ConfigError(f"There is nothing to undo: no line in {file} is Fimble's.", "")
    if record and record.is_whole and record.written == dotfile.digest(now):
        before = dotfile.read(Path(record.backup)) if record.backup else None
        if before is not None or not record.backup:
            return Change(file, now, before)
    note = "The file was changed since, so only Fimble's own lines are taken out."
    return Change(file, now, block.take_out(now), note)


def undo(editor: str, change: Change) -> None:
    """Do what `plan_undo` says, and forget it.  Raises ConfigError."""
    record = records.load().get(editor)
    if dotfile.read(change.file) != change.old:
        raise ConfigError(f"{change.file} was changed meanwhile, so it was left alone.", "Run the command again.")
    if change.new is None:
        try:
            change.file.unlink()
        except OSError as error:
            raise ConfigError(f"{change.file} cannot be removed: {error.strerror}.", "Remove it.") from error
    elif change.is_needed:
        dotfile.write(change.file, change.new)
    if record:
        if change.note:
            records.drop(editor)  # the backup stays: it may still be wanted
        else:
            _forget(editor, record)


def _forget(editor: str, record: records.Record) -> None:
    """Remove the backup, the folders that were made if they are empty, and the record."""
    with contextlib.suppress(OSError):
        if record.backup:
            Path(record.backup).unlink()
    records.drop(editor)
    for folder in reversed(record.made_folders):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
