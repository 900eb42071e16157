"""``fimble models`` and what belongs to it, a file for each group of commands."""
