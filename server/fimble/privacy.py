"""Files that Fimble keeps out of, whoever asks: ``privacy.exclude``."""

from __future__ import annotations

from collections.abc import Iterable

import pathspec


class Exclusions:
    """Gitignore patterns, matched against paths that begin at the workspace folder."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._excluded = pathspec.GitIgnoreSpec.from_lines(patterns)

    def covers(self, path: str) -> bool:
        """Whether the text of this file must not be used at all."""
        return bool(path) and self._excluded.match_file(path.lstrip("/"))
