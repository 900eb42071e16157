#!/usr/bin/env python3
"""Run the tests.

    python3 scripts/test.py                       everything: unit, golden, end to end, editors
    python3 scripts/test.py tests/unit -k anchor  whatever pytest understands; paths count from the repository's root

Makes Fimble's environment (.venv) first if need be.  The editors that end-to-end tests need are set up by those
tests, beside the machine's own (scripts/editors.py); `--ignore tests/editors` leaves them out.  The exit status is
pytest's.
"""

from __future__ import annotations

import os
import sys

import environment

if __name__ == "__main__":
    os.chdir(environment.ROOT)
    environment.become(["-m", "pytest", *sys.argv[1:]])
