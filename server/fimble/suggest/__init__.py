"""The recipe for one keystroke: recall, gate, gather, generate, stop, trim, remember."""
