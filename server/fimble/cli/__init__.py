"""The command line."""

from __future__ import annotations


def main() -> None:
    """Run ``fimble``."""
    from fimble.cli.app import app

    app()
