"""Places where Fimble keeps silent."""

from __future__ import annotations

from fimble.core import Ask, Document, Trigger
from fimble.privacy import Exclusions
from fimble.settings import Config


class Gate:
    """Decides, without any model, whether to suggest at a place."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._excluded = Exclusions(config.privacy.exclude)
        self._languages_off = frozenset(config.privacy.languages_off)

    def why_silent(self, ask: Ask) -> str:
        """The reason, in words for the log and `fimble complete --json`; empty if there is none."""
        if off := self.why_off(ask.document):
            return off
        if ask.trigger is Trigger.AUTOMATIC and _is_inside_word(ask.document.text.source, ask.offset):
            return "the cursor is inside a word"
        return ""

    def why_off(self, document: Document | None) -> str:
        """The reason why nothing is suggested anywhere in *document* (None: in any); empty if there is none."""
        config = self._config
        if not config.suggest.enabled:
            return "suggestions are switched off (suggest.enabled)"
        if document is None:
            return ""
        source = document.text.source
        if document.language in self._languages_off:
            return f"{document.language} is switched off (privacy.languages_off)"
        if self.is_excluded(document.path):
            return f"{document.path} is excluded (privacy.exclude)"
        if len(source) > config.privacy.max_file_kb * 1024:
            return f"the file is larger than {config.privacy.max_file_kb} kB (privacy.max_file_kb)"
        if "\0" in source:
            return "the file is binary"
        return ""

    def is_excluded(self, path: str) -> bool:
        """Whether the text of this file must not be used at all."""
        return self._excluded.covers(path)


def _is_inside_word(source: str, offset: int) -> bool:
    """Editing inside a word is not the moment for ghost text that continues it."""
    return 0 < offset < len(source) and _is_word(source[offset]) and _is_word(source[offset - 1])


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"
