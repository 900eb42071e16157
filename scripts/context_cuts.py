"""Where a line can be cut so that its rest names something of another file.

Nothing here knows how Fimble retrieves: what a name means is told from the text of the whole project, by rules that are
stricter than any retrieval needs (one file only defines it, and the cursor's file speaks of that file or of the class).
"""

from __future__ import annotations

import builtins
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from context_syntax import WORD, Definition, Name, Source

#: Names that a language or its library has, too.
_LIBRARY_NAMES = """
    push concat slice splice filter forEach reduce every some includes indexOf join length toString valueOf
    charAt substring replace trim match test exec then catch finally bind call apply constructor keys values
    entries assign freeze create size name message clone into iter unwrap expect collect unwrap_or is_some
    as_str to_string to_owned default borrow equals hashCode getClass Error String Len Close Read Write
    enumerate rev skip take chain fold position peekable cloned copied flat_map parse spawn getClassLoader
    None Some write writeln print println vec format assert panic Default From Into Result Option
"""
_BUILTINS = {
    *(name for kind in vars(builtins).values() if isinstance(kind, type) for name in dir(kind)),
    *(name for kind in (io.StringIO, io.BufferedReader, re.Pattern, re.Match, PurePosixPath) for name in dir(kind)),
    *_LIBRARY_NAMES.split(),
}

_LINE = re.compile(r"[^\r\n]*")


@dataclass(frozen=True, slots=True)
class Use:
    """A name that another file decides, at the first place where its own file uses it."""

    name: Name
    definition: Definition


# --- which names another file decides -----------------------------------------------------------------------


def foreign_uses(sources: Sequence[Source]) -> Iterator[tuple[Source, Use]]:
    """Every first use of a name that one other file defines, and to which the using file leads."""
    definitions: dict[str, list[Definition]] = defaultdict(list)
    for source in sources:
        for definition in source.definitions:
            definitions[definition.name].append(definition)
    for source in sources:
        imported = " ".join(source.import_texts())
        words = set(WORD.findall(imported))
        first = first_places(source)
        for name in source.names:
            if len(name.text) < 4 or first.get(name.text) != name.start:
                continue
            target = _target(source, name, definitions.get(name.text, ()), words)
            if target is not None:
                yield source, Use(name, target)


def first_places(source: Source) -> Mapping[str, int]:
    """Where each word stands first, imports aside; comments and strings count."""
    places: dict[str, int] = {}
    for word in WORD.finditer(source.without_imports()):
        places.setdefault(word[0], word.start())
    return places


def _target(source: Source, name: Name, all_of_them: Sequence[Definition], imported: set[str]) -> Definition | None:
    if any(one.path == source.path for one in all_of_them):
        return None
    related = [one for one in all_of_them if PurePosixPath(one.path).suffix in _family(source.path)]
    if len({one.path for one in related}) > 1:
        related = _imported_from(source, name.text, related)
    if not related or len({one.path for one in related}) != 1 or not related[0].is_target:
        return None
    if name.text in _BUILTINS and (name.is_member or name.text not in imported):
        return None
    if name.is_member:
        return related[0] if _leads_to(source, related[0], imported) else None
    if name.text in imported:
        return related[0] if _may_come_from(source, name.text, related[0].path) else None
    return related[0] if _is_global(source, name, related[0]) else None


def _is_global(source: Source, name: Name, target: Definition) -> bool:
    """Whether a name that is not imported can only be one that the whole package or crate sees."""
    if source.language == "rust":
        before = re.search(r"(\w+)::$", source.text[max(name.start - 80, 0) : name.start])
        return before is not None and before[1] in ("crate", "super", "self", target.container, stem(target.path))
    is_called = source.text[name.start + len(name.text) :][:1] == "("
    return source.language in ("go", "java", "csharp") and (is_called or name.text[0].isupper())


def _family(path: str) -> frozenset[str]:
    suffix = PurePosixPath(path).suffix
    scripts = frozenset({".ts", ".js", ".mjs", ".cjs"})
    return scripts if suffix in scripts else frozenset({suffix})


def _imported_from(source: Source, name: str, found: Sequence[Definition]) -> list[Definition]:
    """Those whose file has the name of the module that *name* is imported from."""
    words = set(WORD.findall(" ".join(_imports_of(source, name))))
    return [one for one in found if stem(one.path) in words]


def _may_come_from(source: Source, name: str, path: str) -> bool:
    """Whether the import of *name* is a relative one, or speaks of the file or of a folder that it is in."""
    texts = _imports_of(source, name)
    is_relative = any(re.search(r"\bfrom \.|[\"']\.|\b(crate|super|self)::", text) for text in texts)
    return is_relative or not {stem(path), *PurePosixPath(path).parts[:-1]}.isdisjoint(WORD.findall(" ".join(texts)))


def _imports_of(source: Source, name: str) -> list[str]:
    return [text for text in source.import_texts() if name in WORD.findall(text)]


def _leads_to(source: Source, target: Definition, imported: set[str]) -> bool:
    is_spoken_of = target.container != "" and re.search(rf"\b{re.escape(target.container)}\b", source.text)
    return bool(is_spoken_of) or stem(target.path) in imported


def stem(path: str) -> str:
    """What a file is called where it is imported: its own name, or its folder's if it stands for that."""
    pure = PurePosixPath(path)
    name = pure.name.partition(".")[0]
    return pure.parent.name if name in ("__init__", "index", "mod") else name


# --- the cut itself -----------------------------------------------------------------------------------------


def line_around(text: str, offset: int) -> tuple[int, int]:
    """Start and end of the line of *offset*, its ending left out."""
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    found = _LINE.match(text, start)
    assert found is not None
    return start, found.end()


def cut_places(text: str, start: int, before: int) -> list[int]:
    """Where the line from *start* on can be cut: at its first character that is no blank, at each token to *before*."""
    line = text[start:before]
    indent = start + len(line) - len(line.lstrip())
    tokens = [start + found.start() for found in re.finditer(r"[\w$]+|[^\w\s]", line)]
    return sorted({indent, *tokens, before})
