"""Made-up source code for the tests of the recipe."""

from __future__ import annotations

import random

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
