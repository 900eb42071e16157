"""``fimble models pull`` and ``rm``: a model from the hub, and away again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fimble.models.downloads.source import Source
    from fimble.models.pulling import Pulled

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.  Never asks.")]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

#: What a shell says of a program that Ctrl-C ended.
_INTERRUPTED = 130


def pull(
    model: Annotated[str, typer.Argument(help="A name from `fimble models list`, or hf:OWNER/REPOSITORY/FILE.gguf.")],
    name: Annotated[str, typer.Option(help="What to call it, if it has no name; default: the file's.")] = "",
    yes: _Yes = False,
    json: _Json = False,
) -> None:
    """Get a model from the Hugging Face hub; goes on where it was interrupted, and checks what came.

    The cache is the hub's own (HF_HOME), shared with other programs. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE count.
    """
    from fimble.cli.output import console, failures, print_json
    from fimble.models import pulling

    watcher = _Watcher(yes=yes, quiet=json)
    try:
        with failures(), watcher.waiting:
            pulled = pulling.pull(model, watcher, name)
    except KeyboardInterrupt:
        console(stderr=True).print("Stopped. Run it again: it goes on where it stopped.")
        raise typer.Exit(_INTERRUPTED) from None
    if json:
        print_json(pulled)
    else:
        _tell(pulled)


def remove(
    name: Annotated[str, typer.Argument(help="A name from `fimble models list`.")],
    yes: _Yes = False,
    json: _Json = False,
) -> None:
    """Take a pulled model out of the hub's cache, or forget one that you imported: its file stays."""
    from fimble import catalog, config, installed
    from fimble.cli.output import console, failures, print_json
    from fimble.errors import ConfigError, ModelNotFound
    from fimble.models import pulling

    with failures():
        bundled = catalog.load().bundled
        if name == bundled.name:
            raise ConfigError(
                f"{name} ships with Fimble, and stays.", f"Nothing has to be done: it takes {bundled.size_mb:.0f} MB."
            )
        one = installed.read().get(name)
        if one is None:
            raise ModelNotFound(f"{name} is not on this machine.", "See `fimble models list`.")
        if config.load().config.model in (name, one.path):
            raise ConfigError(f"{name} is in use.", "Choose another one with `fimble models use NAME` first.")
        pulled = one.origin == "pulled"
        what = f"Delete {name} ({one.size_bytes / 1e6:,.0f} MB)" if pulled else f"Forget {name} (its file stays)"
        _agree(what, f"Run `fimble models rm {name} --yes`.", yes=yes, ask=not json)
        freed_bytes = pulling.remove(name)
    if json:
        print_json({"name": name, "freed_bytes": freed_bytes})
    elif pulled:
        console().print(f"{name} is gone; that freed {freed_bytes / 1e6:,.0f} MB.", markup=False)
    else:
        console().print(f"{name} is forgotten; its file stays: {one.path}", markup=False)


class _Watcher:
    """Shows what happens, and asks where a licence has to be agreed to."""

    def __init__(self, *, yes: bool, quiet: bool) -> None:
        from fimble.cli.models.progress import Waiting

        self.waiting = Waiting(quiet=quiet)
        self.fetched, self.checked = self.waiting.fetched, self.waiting.checked
        self._yes, self._quiet = yes, quiet

    def begins(self, source: Source, licence: str, size_bytes: int, missing_bytes: int) -> None:
        from fimble import config
        from fimble.models import licences
        from fimble.models.memory import rooms

        room = rooms(config.load().config)(source.name, size_bytes / 1e6)
        if not self._quiet:
            rest = "" if missing_bytes == size_bytes else f", {missing_bytes / 1e6:,.0f} MB of it are missing"
            size = f"{size_bytes / 1e6:,.0f} MB{rest}"
            _say(f"{source.file} from {source.repository}: {size}, licence: {licence or 'not stated'}.")
            if not room.fits:
                _say(f"It may be too large: {room.why}.")
        if warning := licences.warning(licence):
            if not self._quiet:
                _say(f"{warning} {source.page}")
            what = f"Get it under the licence {licence or 'that is not stated'}"
            _agree(what, f"Read {source.page}, then run it again with --yes.", yes=self._yes, ask=not self._quiet)

    def waits(self) -> None:
        if not self._quiet:
            _say("Another process is getting this file: waiting for it.")


def _tell(pulled: Pulled) -> None:
    if not pulled.fetched_bytes:
        _say(f"{pulled.name} is on this machine: {pulled.path}")
    by = {
        "catalog": "as the catalog says",
        "hub": "as the hub says",
        "record": "as it was recorded",
        "nobody": "which nobody had said before: recorded as it came",
    }
    _say(f"SHA-256 {pulled.sha256}, {by[pulled.sha256_said_by]}.")
    _say(f"Use it with `fimble models use {pulled.name}`.")


def _agree(what: str, fix: str, *, yes: bool, ask: bool = True) -> None:
    from fimble.errors import ConfigError

    if yes:
        return
    if not ask or not sys.stdin.isatty():
        raise ConfigError(f"{what}? There is nobody to ask, so nothing was done.", fix)
    if not typer.confirm(f"{what}?", err=True):
        raise typer.Exit(1)


def _say(text: str) -> None:
    from fimble.cli.output import console

    console().print(text, markup=False)
