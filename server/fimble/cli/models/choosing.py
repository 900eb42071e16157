"""``fimble models use`` and ``rollback``: the model of the settings, and the way back."""

from __future__ import annotations

from typing import Annotated

import typer

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

_WINDOWS = "Windows that are open use it after they are restarted."
_OVERRULED = "FIMBLE_MODEL in the environment names another model, which is used as long as it is set."


def use(
    name: Annotated[str, typer.Argument(help="A name from `fimble models list`, or the path of a GGUF.")],
    anyway: Annotated[bool, typer.Option("--anyway", help="Use it even if it fails when it is tried.")] = False,
    json: _Json = False,
) -> None:
    """Use this model from now on: tries it on a few lines of code, then writes it into your fimble.toml."""
    from fimble.cli.output import console, failures, print_json
    from fimble.models import switching

    with failures(), console(stderr=True).status(f"Trying {name}"):
        used = switching.use(name, anyway=anyway)
    if json:
        print_json(used)
        return
    out = console()
    if used.trial and used.trial.probe:
        out.print(f"Using {used.name} ({used.trial.probe.description}); written to {used.settings_file}.", markup=False)
        speed = (
            f"reads {used.trial.prompt_tokens_per_s:,.0f} tokens a second, writes {used.trial.decode_tokens_per_s:,.0f}"
        )
        out.print(f"Tried: it fills in, {speed}, loads in {used.trial.load_s:.1f} s.", markup=False)
    else:
        out.print(f"Using {used.name}; written to {used.settings_file}.", markup=False)
        out.print(f"Note: it failed when it was tried: {used.problem}", markup=False)
    out.print(_OVERRULED if used.is_overruled else _WINDOWS)


def rollback(json: _Json = False) -> None:
    """Go back to the last model that worked before the one of your settings."""
    from fimble.cli.output import console, failures, print_json
    from fimble.models import switching

    with failures():
        done = switching.roll_back()
    if json:
        print_json(done)
        return
    out = console()
    out.print(f"Using {done.name} again: {done.why}; written to {done.settings_file}.", markup=False)
    if done.left_because:
        out.print(f"{done.left} is not used any more: {done.left_because}", markup=False)
    for name, why in done.skipped.items():
        out.print(f"{name} was left out: {why}", markup=False)
    out.print(_OVERRULED if done.is_overruled else _WINDOWS)
