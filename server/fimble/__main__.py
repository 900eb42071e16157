"""``python -m fimble``."""

from fimble.cli import main

main()
