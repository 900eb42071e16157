"""``fimble complete --explain``: what the model was told, what was left out, and what speaks for each suggestion."""

from __future__ import annotations

import dataclasses

from rich.markdown import Markdown

from fimble.cli.output import console, print_json
from fimble.suggest.explanation import Explanation, as_markdown


def show(explanation: Explanation, as_json: bool) -> int:
    """Print it; returns the exit status: 0, or 1 if nothing is suggested."""
    if as_json:
        print_json(dataclasses.asdict(explanation))
    elif explanation.silence:
        console(stderr=True).print(f"Nothing is suggested here: {explanation.silence}.", markup=False)
    else:
        console().print(Markdown(as_markdown(explanation)))
    return 0 if explanation.judged else 1
