"""A small LoRA adapter from the user's own repository, measured before it is used.  Runs in a process of its own."""
