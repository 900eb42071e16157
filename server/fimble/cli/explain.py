"""``fimble complete --explain``: what the model was told, what was left out, and what speaks for each suggestion."""

from __future__ import annotations

import dataclasses

from rich.table import Table
from rich.text import Text

from fimble.cli.output import console, print_json
from fimble.suggest.explanation import Explanation, Judged

#: As many reasons are shown for a suggestion: the rest hardly count.
_REASONS = 6


def show(explanation: Explanation, as_json: bool) -> int:
    """Print it; returns the exit status: 0, or 1 if nothing is suggested."""
    if as_json:
        print_json(dataclasses.asdict(explanation))
    elif explanation.silence:
        console(stderr=True).print(f"Nothing is suggested here: {explanation.silence}.", markup=False)
    else:
        console().print(_told(explanation))
        for judged in explanation.judged:
            _show_judged(judged)
        if not explanation.judged:
            console().print("Nothing was found here.")
    return 0 if explanation.judged else 1


def _told(explanation: Explanation) -> Table:
    table = Table(title="What the model is told, in this order", title_justify="left")
    table.add_column("part")
    table.add_column("from", overflow="fold")
    table.add_column("why")
    table.add_column("tokens", justify="right")
    table.add_column("left out", justify="right")
    for part in explanation.told:
        table.add_row(part.part, Text(part.name), Text(part.why), str(part.tokens), str(part.left_out or ""))
    table.add_section()
    table.add_row("all", "", "", *(str(sum(column)) for column in zip(*_sizes(explanation), strict=True)))
    return table


def _sizes(explanation: Explanation) -> list[tuple[int, int]]:
    return [(part.tokens, part.left_out) for part in explanation.told] or [(0, 0)]


def _show_judged(judged: Judged) -> None:
    suggestion, out = judged.suggestion, console()
    verdict = "shown while you type" if judged.is_shown else "only shown when you ask"
    out.print()
    out.print(Text(f"{suggestion.source}, {suggestion.confidence:.0%} likely to be taken, {verdict}:", style="bold"))
    out.print(Text(suggestion.text), soft_wrap=True)
    if suggestion.written:
        words = (f"{token!r} {probability:.0%}" for token, probability in suggestion.written)
        out.print(Text("token by token: " + ", ".join(words), style="dim"))
    reasons = (f"{name} {value:+.1f}" for name, value in judged.reasons[:_REASONS] if value)
    out.print(Text("mostly because: " + ", ".join(reasons), style="dim"))
