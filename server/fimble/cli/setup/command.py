"""``fimble setup``: shows, asks, does."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from fimble.cli.output import console, print_json
from fimble.cli.setup import changes, instructions, neovim, vscode
from fimble.cli.setup.changes import Change
from fimble.cli.setup.editors import EDITORS, Editor, find
from fimble.errors import ConfigError

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How it is to be done."""

    yes: bool = False
    undo: bool = False
    print_only: bool = False
    as_json: bool = False
    vsix: Path | None = None


class Result(msgspec.Struct, kw_only=True):
    """What was, or would be, done."""

    editor: str
    action: str
    program: str
    file: str = ""
    done: bool = False
    backup: str = ""
    diff: list[str] = []
    text: str = ""
    note: str = ""


def run(name: str, options: Options) -> int:
    """Set up the editor of this name, or list them all; returns the exit status.  Raises ConfigError."""
    if not name:
        return _list(options.as_json)
    editor = find(name)
    result = Result(editor=editor.name, action=editor.action, program=editor.found())
    if editor.action == "write":
        status = _write(editor, options, result)
    elif editor.action == "install":
        status = _install(options, result)
    else:
        result.text = instructions.of(editor.name)
        _say(options, result.text)
        status = 0
    if options.as_json:
        print_json(result)
    return status


def _list(as_json: bool) -> int:
    results = [Result(editor=e.name, action=e.action, program=e.found(), note=_would(e)) for e in EDITORS]
    if as_json:
        print_json(results)
        return 0
    table = Table(box=None, header_style="bold")
    for column in ("fimble setup", "editor", "installed", "what it would do"):
        table.add_column(column)
    for editor, result in zip(EDITORS, results, strict=True):
        table.add_row(editor.name, editor.title, result.program or "no", Text(result.note))
    console().print(table)
    return 0


def _would(editor: Editor) -> str:
    if editor.action == "install":
        return "install the extension"
    if editor.action == "print":
        return "say which lines its settings need"
    try:
        change = changes.plan()
    except ConfigError as failure:
        return failure.message
    return f"write {change.file}" if change.is_needed else change.note or f"nothing: {change.file} has it"


def _write(editor: Editor, options: Options, result: Result) -> int:
    if options.print_only and not options.undo:
        file = neovim.init_file()
        result.file, result.text = str(file), neovim.block(file, "").text()
        _say(options, f"# In {file}:\n" if sys.stdout.isatty() else "", result.text)
        return 0
    change = changes.plan_undo(editor.name) if options.undo else changes.plan()
    result.file, result.diff, result.note = str(change.file), change.diff(), change.note
    if change.note:
        _say(options, change.note + "\n")
    if not change.is_needed:
        _say(options, "" if change.note else f"{change.file} has it already; nothing was changed.\n")
        return 0
    if not options.as_json:
        _show(change)
    if options.print_only or not _agreed(options, f"Change {change.file}?"):
        return 0 if options.print_only else 1
    if options.undo:
        changes.undo(editor.name, change)
        _say(options, f"{change.file} is as it was without Fimble.\n")
    else:
        backup = changes.apply(editor.name, change, datetime.now())
        result.backup = str(backup or "")
        _say(options, f"Wrote {change.file}." + (f" What was there: {backup}." if backup else "") + "\n")
        _say(options, f"Start Neovim, open a file and type. `fimble setup {editor.name} --undo` takes it back.\n")
    result.done = True
    return 0


def _install(options: Options, result: Result) -> int:
    package = None if options.undo else vscode.find_package(options.vsix)
    if not result.program or not (package or options.undo):
        result.text = vscode.by_hand()
        _say(options, "" if result.program else "VS Code's command `code` is not on the PATH.\n", result.text + "\n")
        return 0 if options.print_only else 1
    if options.undo:
        command = vscode.uninstall_command(result.program)
    else:
        assert package is not None
        command = vscode.install_command(result.program, package)
    result.text = " ".join(command)
    _say(options, result.text + "\n")
    if options.print_only or not _agreed(options, "Run this command?"):
        return 0 if options.print_only else 1
    _say(options, vscode.run(command) + "\n")
    result.done = True
    return 0


def _say(options: Options, *texts: str) -> None:
    if not options.as_json:
        for text in texts:
            typer.echo(text, nl=False)


def _show(change: Change) -> None:
    out = console()
    for line in change.diff():
        is_name = line.startswith(("+++", "---"))
        out.print(Text(line, style="bold" if is_name else _STYLES.get(line[:1], "")))


def _agreed(options: Options, question: str) -> bool:
    if options.yes:
        return True
    if options.as_json or not _is_somebody_there():
        if not options.as_json:
            console(stderr=True).print("Nothing was changed: there is nobody to ask. `--yes` does it.")
        return False
    return typer.confirm(question)


def _is_somebody_there() -> bool:
    return sys.stdin.isatty()
