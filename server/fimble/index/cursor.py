"""What a document says about its cursor: what could be written here, and from where it would come."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from fimble.index.terms import identifiers, parts
from fimble.index.wire import Retrieve
from fimble.syntax.around import enclosing, types_near
from fimble.syntax.outline import outline
from fimble.syntax.symbols import HOLDERS, Definition, DefinitionKind, Import, Outline

#: Longer texts are read in two pieces, their head (imports) and what is around the cursor: 8 kB take 2 ms.
_MAX_CHARS = 24_000
_HEAD_CHARS = 4_000
_AROUND_CHARS = 14_000

#: As many characters before the cursor are looked at for what is open there, and around it for what is near.
_OPEN_CHARS = 1_000
_NEAR_CHARS = 1_200

#: Names that say nothing about their surroundings.
_SELVES = frozenset({"self", "this", "cls", "super", "Self", "base", "crate"})

_LINK = r"(?:\s*(?:\?\.|\.|->|::)\s*)"
_CHAIN = re.compile(rf"((?:[\w$]+(?:\([^()\n]*\)|\[[^\[\]\n]*\])?{_LINK})+)$")
_PART = re.compile(r"([\w$]+)(\(|\[)?")
_TYPED = re.compile(r"[\w$]*$")
_CALLED = re.compile(rf"((?:[\w$]+{_LINK})*[\w$]+)!?\s*$")
_NO_CALLS = "if for while switch catch return in and or not elif except with match await print"
_NOT_CALLED = frozenset(_NO_CALLS.split())


@dataclass(frozen=True, slots=True)
class Imported:
    """A name of this file that is another file's."""

    local: str
    module: str
    name: str
    """What it is called there; empty for the module itself, ``*`` for everything in it."""


class Cursor:
    """One place in one document."""

    def __init__(self, question: Retrieve) -> None:
        self.path = question.path
        self.language = question.language
        self.text = question.text
        self.offset = min(max(question.offset, 0), len(question.text))
        self._start = self._window_start()
        self._affinities: dict[str, float] = {}
        self._before = self.text[max(self.offset - _OPEN_CHARS, 0) : self.offset]

    def _window_start(self) -> int:
        """Where what is read around the cursor begins: at a line's start, and 0 for all texts but long ones."""
        if len(self.text) <= _MAX_CHARS:
            return 0
        return self.text.find("\n", max(self.offset - _AROUND_CHARS, 0), self.offset) + 1

    @cached_property
    def _window(self) -> str:
        end = None if len(self.text) <= _MAX_CHARS else self.offset + _AROUND_CHARS // 4
        return self.text[self._start : end]

    @cached_property
    def outline(self) -> Outline:
        """Of what is around the cursor; offsets count from ``_start``."""
        return outline(self._window, self.language) or Outline()

    @cached_property
    def around(self) -> tuple[Definition, ...]:
        """The definitions that the cursor is in, outermost first."""
        return enclosing(self.outline, self.offset - self._start, self._window)

    @cached_property
    def types(self) -> Mapping[str, str]:
        """Names with an evident type here, and the last name of that type."""
        return types_near(self._window, self.outline, self.offset - self._start)

    @cached_property
    def imports(self) -> list[Imported]:
        """What this file imports, from top to bottom."""
        found = list(self.outline.imports)
        if self._start:
            head = outline(self.text[: self.text.find("\n", _HEAD_CHARS) + 1], self.language)
            found = [*(head.imports if head else ()), *found]
        return [imported for one in found for imported in _imported(one, self.language)]

    @cached_property
    def used(self) -> frozenset[str]:
        """Every name that is used before the cursor, imports aside."""
        here = self.offset - self._start
        return frozenset(one.name for one in self.outline.references if one.offset < here - len(self.typed))

    @cached_property
    def used_later(self) -> frozenset[str]:
        """Every name that is used after the cursor."""
        here = self.offset - self._start
        return frozenset(one.name for one in self.outline.references if one.offset >= here)

    @cached_property
    def defined(self) -> frozenset[str]:
        """Every name that this file defines."""
        return frozenset(one.name for one in self.outline.definitions)

    @cached_property
    def near(self) -> list[str]:
        """The names used around the cursor, the nearest first, those before it before those after it."""
        here = self.offset - self._start
        near = [one for one in self.outline.references if abs(one.offset - here) < _NEAR_CHARS]
        near.sort(key=lambda one: here - one.offset if one.offset < here else 2 * (one.offset - here))
        return list(dict.fromkeys(one.name for one in near))

    @cached_property
    def typed(self) -> str:
        """The beginning of a name left of the cursor."""
        found = _TYPED.search(self._before)
        return found[0] if found else ""

    @cached_property
    def receiver(self) -> list[tuple[str, bool]]:
        """The names left of the dot that the cursor is after, and whether each is called; empty without a dot."""
        found = _CHAIN.search(self._before[: len(self._before) - len(self.typed)])
        if found is None:
            return []
        return [
            (name, mark == "(") for name, mark in _PART.findall(re.sub(r"(?<=[(\[])[^()\[\]]*(?=[)\]])", "", found[1]))
        ]

    @cached_property
    def is_member(self) -> bool:
        """Whether what comes is a member of something."""
        return bool(self.receiver) or re.search(r"(?<!\.)(?:\.|->|::)\s*[\w$]*$", self._before) is not None

    @cached_property
    def open_call(self) -> list[str]:
        """The names of the function whose arguments the cursor is among, its receivers first."""
        depth = 0
        for place in range(len(self._before) - 1, -1, -1):
            char = self._before[place]
            depth += (char in ")]}") - (char in "([{")
            if depth < 0:
                called = _CALLED.search(self._before[max(place - 200, 0) : place]) if char == "(" else None
                names = re.findall(r"[\w$]+", called[1]) if called else []
                return names if names and names[-1] not in _NOT_CALLED else []
        return []

    @cached_property
    def line(self) -> str:
        """The line left of the cursor, without the name that is being written."""
        start = max(self._before.rfind("\n"), self._before.rfind("\r")) + 1
        return self._before[start : len(self._before) - len(self.typed)]

    @cached_property
    def _words(self) -> Mapping[str, float]:
        """Parts of the names around, and how much each says: the line most, then the function, then lines above."""
        lines = re.split(r"\r\n|\n|\r", self._before)
        weights: dict[str, float] = {}
        after = self.text[self.offset : self.offset + 400]
        sources = [(" ".join(lines[-12:-4]), 0.25), (after, 0.25), (" ".join(lines[-4:-1]), 0.5)]
        sources += [(" ".join(one.name for one in self.around), 0.5), (self.line, 1.0)]
        for source, weight in sources:
            for name in identifiers(source):
                weights.update((part, weight) for part in parts(name).split())
        return weights

    def affinity(self, name: str) -> float:
        """How well a name fits what is written around, from 0 to about 1; more if it goes on with what is typed."""
        if name not in self._affinities:
            self._affinities[name] = self._affinity(name)
        return self._affinities[name]

    def _affinity(self, name: str) -> float:
        if self.typed:
            return 2.0 if name.startswith(self.typed) and name != self.typed else 0.0
        found = parts(name).split()
        found = found[:-1] or found
        share = sum(self._words.get(part, 0.0) for part in found) / (len(found) + 1) if found else 0.0
        return share + self._fit(name)

    def _fit(self, name: str) -> float:
        """Whether the word before the cursor asks for such a name."""
        before = self.line.split()[-1:] or [""]
        if before[0] in ("raise", "throw", "except", "catch"):
            return 1.0 if name.endswith(("Error", "Exception", "Warning", "Failed", "Exit")) else 0.0
        return 0.3 if before[0] == "new" and name[:1].isupper() else 0.0

    @cached_property
    def namespaces(self) -> list[str]:
        """The names of the namespaces that this file is in."""
        return [one.name for one in self.outline.definitions if one.kind is DefinitionKind.MODULE]

    def holders(self) -> list[Definition]:
        """The classes that the cursor is in, the innermost first."""
        return [one for one in reversed(self.around) if one.kind in HOLDERS]


def _imported(one: Import, language: str) -> Iterable[Imported]:
    if one.names:
        return [Imported(here if here != "default" else name, one.module, name) for name, here in one.names]
    local = one.alias
    if not local:
        local = re.split(r"::|[/.\\]", one.module.rstrip("/"))[0 if language == "python" else -1]
    return [Imported(local, one.module, "")]
