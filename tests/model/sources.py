"""Made-up source code for the tests of the recipe."""

from __future__ import annotations

import json
import random
from pathlib import Path

WORDS = ["count", "items", "total", "widget", "handle", "buffer", "index", "value", "parse", "render", "queue", "node"]


def python_source(seed: int, functions: int = 12) -> str:
    """Something that looks like code, different for every seed."""
    draw = random.Random(seed)
    lines = ['"""A module about nothing."""', ""]
    for number in range(functions):
        a, b, c = draw.sample(WORDS, 3)
        lines += [f"def {a}_{b}_{seed}_{number}({c}):", f"    {b} = {a}({c}, {draw.choice(WORDS)})"]
        lines += [f"    if {b} is None:", f"        raise ValueError('no {draw.choice(WORDS)} for {c}')"]
        lines += [f"    return {draw.choice(WORDS)}({b}).{draw.choice(WORDS)}", ""]
    return "\n".join(lines)


#: What the files of `write_corpus` begin with.
LICENCE = "# Copyright of nobody.\n# All rights given away.\n\n"


def write_corpus(folder: Path, seed: int) -> Path:
    """A corpus of two projects with three files each, one said to be Java; different for every seed."""
    rows = [
        {
            "project": f"project-{seed}-{number % 2}",
            "path": f"part{number}.py",
            "language": "python" if number % 2 else "java",
            "text": LICENCE + python_source(1000 * seed + number, 30),
        }
        for number in range(6)
    ]
    path = folder / f"corpus-{seed}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
