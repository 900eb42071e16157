"""Draw a run's loss and held-out curves as a small picture for the card: ``python curves.py OUT.png LOG...``"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: The loss is drawn as a running mean over this many steps, at most.
_SMOOTH = 50


def read_log(logs: Sequence[Path]) -> list[dict[str, Any]]:
    """The rows of one or several logs of one run; where calls overlap, the later one counts."""
    rows: dict[tuple[int, bool], dict[str, Any]] = {}
    for log in logs:
        for line in log.read_text("utf-8").splitlines():
            row = json.loads(line)
            rows[row["step"], "loss" in row] = row
    return sorted(rows.values(), key=lambda row: row["step"])


def _running_mean(values: list[float]) -> list[float]:
    window = max(1, min(_SMOOTH, len(values) // 20))
    return [sum(values[max(0, i - window) : i + 1]) / (i + 1 - max(0, i - window)) for i in range(len(values))]


def draw_curves(logs: Sequence[Path], picture: Path) -> None:
    """Loss (nats per token, training mixture) and bits per byte of held-out middles over the tokens seen.

    Raises ImportError without matplotlib.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    rows = read_log(logs)
    steps = [row for row in rows if "loss" in row]
    looks = [row for row in rows if "held_out_bits" in row]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3), dpi=100)
    left.plot([row["tokens"] / 1e6 for row in steps], _running_mean([row["loss"] for row in steps]), color="#2b6cb0")
    left.set_title("training loss, nats per token", fontsize=9)
    seen = [row["tokens"] / 1e6 for row in looks]
    right.plot(seen, [row["held_out_bits"] for row in looks], "o-", ms=3, color="#c05621")
    right.set_title("held-out middles, bits per byte", fontsize=9)
    for axes in (left, right):
        axes.set_xlabel("million tokens seen", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(picture)
    pyplot.close(figure)


def main() -> None:
    """Draw from the command line."""
    parser = argparse.ArgumentParser(description="Draw loss and held-out curves from training logs.")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("logs", type=Path, nargs="+", help="log.jsonl of each call, in order")
    args = parser.parse_args()
    draw_curves(args.logs, args.picture)


if __name__ == "__main__":
    main()
