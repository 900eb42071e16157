"""One thing that was looked at, and the care for looks that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fimble.errors import FimbleError

Check = Callable[[], Iterator["Finding"]]

REINSTALL = "Install Fimble again as it was installed; in a checkout, remove .venv and run scripts/environment.py."


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str
    fix: str = ""
    """What to do where it is not ok; else what would make it better, if anything."""


def look(what: str, check: Check) -> Iterator[Finding]:
    """What *check* finds; a failure of the check itself is a finding, too."""
    try:
        yield from check()
    except FimbleError as failure:
        yield Finding(what=what, ok=False, found=failure.message, fix=failure.fix)
    except ImportError as error:
        yield Finding(what=what, ok=False, found=f"{error.name or 'a package'} is broken: {error}", fix=REINSTALL)
    except OSError as error:
        yield Finding(what=what, ok=False, found=str(error), fix="Make room, or the folder writable for you.")
    except Exception as error:  # whatever it is: the other checks are worth having
        said = f"{type(error).__name__}: {error}"
        yield Finding(what=what, ok=False, found=said, fix=f"{REINSTALL} If that is no help, report it.")
