"""Which licences let anybody use what a model writes."""

from __future__ import annotations

#: Short forms as SPDX and the hub write them: no limit on who uses the model and for what.
_PERMISSIVE = {
    *("apache-2.0", "mit", "mit-0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "isc", "zlib"),
    *("cc0-1.0", "unlicense", "0bsd", "bsl-1.0", "postgresql", "ncsa", "upl-1.0", "wtfpl"),
}


def is_permissive(licence: str) -> bool:
    """Whether *licence* is known to allow everything; no, if it is not known."""
    return licence.strip().lower() in _PERMISSIVE


def warning(licence: str) -> str:
    """What somebody should know before they use a model under *licence*; empty if nothing."""
    if not licence:
        return "Its licence is not stated: ask its makers whether you may use what it writes."
    if not is_permissive(licence):
        return f"Its licence, {licence}, may limit what you do with what it writes: read it first."
    return ""
