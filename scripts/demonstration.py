"""The demo itself, run by the environment's Python: see demo.py, which is the command."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demo import parse
from demo_editor import Editor, ServerGone, Shown
from demo_scenes import SCENES, Scene, Step
from demo_screen import Screen
from private_home import FIMBLE, EngineFailed, end_orderly_on_signals, private_home, start_engine

SAMPLE = Path(__file__).resolve().parent / "sample"

#: Of models with fewer parameters than this nobody should expect much.
_TINY_PARAMS = 20_000_000

#: What the demo promises to show: texts that llama.cpp wrote.
_PROMISED_TEXTS = 3

_KEY_S = 0.042
_ENTER_S = 0.15
_LOOK_S = 0.5
#: Without a terminal nobody watches: the next key comes when the answer is there.  It never takes this long.
_PATIENCE_S = 3.0


class Typist:
    """Types the scenes, and collects what was suggested."""

    def __init__(self, editor: Editor, screen: Screen) -> None:
        self._editor = editor
        self._screen = screen
        self._rhythm = random.Random(7)
        self._asking: asyncio.Task[Shown | None] | None = None
        self.suggestions: list[Shown] = []
        self.keys = 0

    async def play(self, scene: Scene) -> None:
        """Type one scene from its first key to its last."""
        keys, earlier = self.keys, len(self.suggestions)
        self._editor.go_below(scene.file, scene.below)
        self._screen.begin(scene.file, scene.title)
        for step, key in scene.steps():
            if step is Step.PRESS:
                await self._press(key)
            elif step is Step.LOOK:
                await self._look()
            else:
                await self._tab()
        self._screen.end(self.keys - keys, self.suggestions[earlier:])

    async def _press(self, key: str) -> None:
        """One key, then a question; the next key does not wait for an answer that takes long."""
        self._editor.press(key)
        self.keys += 1
        self._asking = asyncio.create_task(self._editor.ask())
        self._asking.add_done_callback(self._note)
        pace = (_ENTER_S if key.startswith("\n") else _KEY_S) * self._rhythm.uniform(0.7, 1.3)
        next_key = time.monotonic() + (pace if self._screen.is_live else 0)
        await asyncio.wait({self._asking}, timeout=pace if self._screen.is_live else _PATIENCE_S)
        shown = self._asking.result() if self._asking.done() else None
        self._screen.line(self._editor.line + 1, self._editor.typed, shown)
        await asyncio.sleep(next_key - time.monotonic())

    def _note(self, asking: asyncio.Task[Shown | None]) -> None:
        if not asking.cancelled() and not asking.exception() and (shown := asking.result()):
            self.suggestions.append(shown)

    async def _look(self) -> Shown | None:
        """A pause: what was asked for last is waited for, looked at, and kept on the screen."""
        shown = await self._asking if self._asking else None
        self._screen.line(self._editor.line + 1, self._editor.typed, shown)
        await asyncio.sleep(_LOOK_S if self._screen.is_live else 0)
        self._screen.line(self._editor.line + 1, self._editor.typed, shown, keep=True, note="nothing")
        return shown

    async def _tab(self) -> None:
        shown = await self._look()
        if shown:
            await self._editor.accept(shown)
            self._asking = None
        self._screen.line(self._editor.line + 1, self._editor.typed, None, keep=True, note="Tab")


@contextlib.contextmanager
def _home(model: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """The sample project in a private home; models that the user imported are seen (they are in XDG_DATA_HOME)."""
    with private_home(("CONFIG_HOME", "CACHE_HOME", "STATE_HOME")) as (home, environ):
        environ["PATH"] = os.pathsep.join([str(FIMBLE.parent), environ.get("PATH", os.defpath)])
        if model:
            environ["FIMBLE_MODEL"] = str(Path(model).expanduser().resolve()) if _is_path(model) else model
        shutil.copytree(SAMPLE, home / "bookshop", ignore=shutil.ignore_patterns("__pycache__"))
        yield home / "bookshop", environ


def _is_path(model: str) -> bool:
    return model.endswith(".gguf") or os.sep in model


async def _perform(project: Path, environ: dict[str, str], screen: Screen) -> list[Shown]:
    """The whole demo; returns every suggestion that was shown."""
    end_orderly_on_signals()
    editor = Editor(project)
    try:
        await _get_ready(editor, environ, screen)
        typist = Typist(editor, screen)
        for scene in SCENES:
            await typist.play(scene)
        screen.table(typist.suggestions, await editor.stats(), typist.keys)
    finally:
        screen.stop()
        await editor.stop()
    for message in editor.messages:
        print(message, file=sys.stderr)
    return typist.suggestions


async def _get_ready(editor: Editor, environ: dict[str, str], screen: Screen) -> None:
    with screen.waiting("Starting the language server and its engine"):
        started = time.monotonic()
        await editor.start([str(FIMBLE), "lsp"], environ)
        engine = await start_engine(environ)
        seconds = time.monotonic() - started
    for path in sorted(editor.folder.iterdir()):
        editor.open(path.name)
    model = Path(engine["model_path"]).name
    screen.say("A few lines are typed into a small project, as you would. Grey is what Fimble suggests.")
    screen.say()
    screen.say(f"Model: {model}, {engine['n_params'] / 1e6:,.1f} M parameters, ready after {seconds:.1f} s.")
    if engine["n_params"] < _TINY_PARAMS:
        screen.say(
            "It is tiny: good for the end of a word or a common line, and often wrong beyond that. "
            "`fimble models list` names models worth your memory."
        )


def _advise(screen: Screen) -> None:
    """How to go on from here."""
    screen.say()
    screen.say("Now in your editor", "bold")
    screen.say('  export PATH="$PWD/.venv/bin:$PATH"     so that it finds `fimble`')
    screen.say("  Neovim            fimble setup neovim")
    screen.say("  VS Code           python3 scripts/vsix.py makes the extension: editors/vscode/README.md")
    screen.say("  others            fimble setup lists them; any that speaks LSP can start `fimble lsp`")
    screen.say("  something wrong?  fimble doctor")


def _as_json(shown: Shown) -> dict[str, Any]:
    names = ("source", "text", "latency_ms", "file", "line", "column", "typed")
    values = {name: getattr(shown, name) for name in names}
    return {**values, "latency_ms": round(shown.latency_ms, 2)}


def _report(suggestions: list[Shown], screen: Screen, as_json: bool) -> int:
    """Say what came of it; returns the exit status."""
    if as_json:
        print(json.dumps([_as_json(shown) for shown in suggestions], indent=2), flush=True)
    written = {shown.text for shown in suggestions if shown.source == "model"}
    if len(written) >= _PROMISED_TEXTS:
        _advise(screen)
        return 0
    print(
        f"The model wrote {len(written)} of the {_PROMISED_TEXTS} texts that this demo must show.\n"
        "Fix: `fimble doctor` tells what is wrong; or try another model with --model.",
        file=sys.stderr,
    )
    return 1


def main(arguments: list[str]) -> int:
    """Run the demo; returns the exit status."""
    options = parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without Unicode shows question marks, not a traceback
    screen = Screen(quiet=options.json)
    try:
        with _home(options.model) as (project, environ):
            suggestions = asyncio.run(_perform(project, environ, screen))
            return _report(suggestions, screen, options.json)
    except (EngineFailed, ServerGone) as problem:
        print(problem, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("Stopped. Nothing was left running.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
