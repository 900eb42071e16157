"""``fimble setup``: an editor's configuration, shown, written with a backup, and taken back."""
