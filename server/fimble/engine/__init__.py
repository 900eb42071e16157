"""The engine: one process that owns llama.cpp, and the client that starts it and talks to it.

``wire`` is what both sides say; ``client`` and ``launch`` run in every window; ``server`` and what it imports
run only in the engine's own process.
"""
