"""What llama.cpp is here: ``python -m fimble.engine.llama.build`` prints a line of JSON.

In a process of its own, because a build for another processor ends it.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys

from fimble.builds import PACKAGE
from fimble.engine.llama.model import can_use_gpu, system_info


def main() -> None:
    """Load the library and say how it was built."""
    found = {"version": importlib.metadata.version(PACKAGE), "gpu": can_use_gpu(), "system_info": system_info()}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
