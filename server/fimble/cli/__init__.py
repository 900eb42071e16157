"""The command line."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``fimble``.  Where a package that it needs is missing or broken, ``fimble doctor`` still runs."""
    try:
        from fimble.cli.app import app
    except Exception as error:  # an ImportError, or whatever a broken package raises
        if "doctor" in sys.argv[1:2]:
            from fimble.cli.doctor.command import run

            sys.exit(run(as_json="--json" in sys.argv))
        sys.exit(f"Error: Fimble cannot start: {error}\nFix: `fimble doctor` tells what is missing.")
    app()
