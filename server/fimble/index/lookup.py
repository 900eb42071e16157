"""What a name means in a file: through its imports, through files that only export it anew, through classes' bases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from fimble.index import modules
from fimble.index.cursor import Cursor, Imported
from fimble.index.database import Database, Definition
from fimble.languages import are_related
from fimble.syntax.symbols import CALLABLES, HOLDERS, DefinitionKind

#: How many files a name is followed through that only pass it on.
_MAX_STEPS = 4

#: How many classes a class's members are gathered from, bases of bases included.
_MAX_CLASSES = 6

#: A name that more files than this define at their top says nothing without an import.
_MAX_HOMES = 3

#: What only a class has.
_INNER = (DefinitionKind.METHOD, DefinitionKind.FIELD)

#: Languages whose files know everything in the namespaces that they are in, or that they use.
_NAMESPACES = ("csharp",)

#: What an import of a module without names is called in its own file.
_NAMELESS = ("default", "*", "")


class Lookup:
    """Answers for one cursor; what was looked up once is kept."""

    def __init__(self, database: Database, cursor: Cursor) -> None:
        self._database = database
        self._cursor = cursor
        self._files: dict[tuple[str, str], list[str]] = {}
        self._in_file: dict[str, list[Definition]] = {}
        self._imported: dict[Imported, list[Definition]] = {}
        self._named: dict[str, list[Definition]] = {}

    # --- files ----------------------------------------------------------------------------------------------

    def files_of(self, module: str, path: str = "") -> list[str]:
        """The files that *module* is, seen from *path*, or from the cursor's own file."""
        key = path or self._cursor.path, module
        if key not in self._files:
            self._files[key] = modules.files_of(self._database, key[0], self._cursor.language, module)
        return self._files[key]

    def definitions_in(self, path: str) -> list[Definition]:
        """What a file defines, from top to bottom."""
        if path not in self._in_file:
            self._in_file[path] = self._database.definitions_in(path)
        return self._in_file[path]

    @cached_property
    def neighbours(self) -> list[str]:
        """The files of this file's own package, where that needs no import."""
        if self._cursor.language in _NAMESPACES:
            spaces = [one.module for one in self._cursor.imports] + self._cursor.namespaces
            found = [one for one in self._database.definitions_named(spaces) if one.kind == DefinitionKind.MODULE]
            return list(dict.fromkeys(one.path for one in found if one.path != self._cursor.path))
        return modules.neighbours(self._database, self._cursor.path, self._cursor.language)

    # --- names ----------------------------------------------------------------------------------------------

    def imported(self, one: Imported) -> list[Definition]:
        """What an imported name is; for a whole module, or all of it, what stands at its top."""
        if one not in self._imported:
            self._imported[one] = (
                self.top_of(self.files_of(one.module))
                if one.name in ("", "*")
                else self._exported(one.module, one.name, one.local, self._cursor.path, _MAX_STEPS)
            )
        return self._imported[one]

    def top_of(self, files: Iterable[str]) -> list[Definition]:
        """What files define at their top."""
        return [one for file in files for one in self.definitions_in(file) if self._is_at_top(one)]

    def _is_at_top(self, one: Definition) -> bool:
        """Whether no class and no function is around it; a namespace is no more than a part of its name."""
        if not one.container:
            return True
        if one.kind in _INNER:
            return False
        spaces = (each for each in self.definitions_in(one.path) if each.kind == DefinitionKind.MODULE)
        return any(one.container in (each.name, f"{each.container}.{each.name}") for each in spaces)

    def modules_of(self, one: Imported) -> list[str]:
        """The files of the module that a name means: ``from package import module``."""
        if not one.name:
            return self.files_of(one.module)
        written = modules.submodule(one.module, one.name, self._cursor.language)
        return self.files_of(written) if written and one.name != "*" else []

    def named(self, name: str) -> list[Definition]:
        """What a name means here: what is imported under it, or known without an import, the likeliest first."""
        if name not in self._named:
            self._named[name] = self._look_up(name)
        return self._named[name]

    def _look_up(self, name: str) -> list[Definition]:
        for one in self._cursor.imports:
            if one.local == name and (found := self.imported(one) if one.name else []):
                return found
        found = self._elsewhere(name)
        near = [one for one in found if one.path in self.neighbours]
        if near or len({one.path for one in found}) <= _MAX_HOMES:
            return near or found
        stars = {file for one in self._cursor.imports if one.name == "*" for file in self.files_of(one.module)}
        return [one for one in found if one.path in stars]

    def _elsewhere(self, name: str) -> list[Definition]:
        """Where other files define *name* at their top, near ones first."""
        mine = self._cursor
        found = [
            one
            for one in self._database.definitions_named([name])
            if one.path != mine.path and are_related(one.language, mine.language) and self._is_at_top(one)
        ]
        return sorted(found, key=lambda one: -modules.closeness(mine.path, one.path))

    def _exported(self, module: str, name: str, local: str, path: str, steps: int) -> list[Definition]:
        files = self.files_of(module, path)
        wanted = local if name in _NAMELESS else name
        for file in files:
            top = self.top_of([file])
            if found := [one for one in top if one.name == wanted]:
                return found
            if name == "default" and (found := [one for one in top if "export default" in one.signature]):
                return found
        for file in files if steps else ():
            for one in self._database.imports_of(file):
                if one.alias == wanted or one.name == "*" or (name == "default" and one.alias == "default"):
                    found = self._exported(one.module, wanted if one.name == "*" else one.name, wanted, file, steps - 1)
                    if found:
                        return found
        if files and not steps:
            return []
        # Rust's enum variants and nested items, and what no rule here has found: the only one of that name.
        parts = {part for part in module.replace("::", "/").replace(".", "/").split("/") if part}
        found = self._elsewhere(wanted) if steps == _MAX_STEPS else []
        spoken = [one for one in found if parts & set(one.path.rpartition(".")[0].split("/"))]
        return spoken[:_MAX_HOMES] if files or spoken or "/" in module or module.startswith((".", "crate")) else []

    # --- classes --------------------------------------------------------------------------------------------

    def classes_named(self, name: str) -> list[Definition]:
        """The classes that *name* means here."""
        return [one for one in self.named(name) if one.kind in HOLDERS]

    def members_of(self, classes: Sequence[Definition]) -> list[Definition]:
        """What is in classes of other files, then what is in their bases."""
        found: list[Definition] = []
        waiting, seen = list(classes[:_MAX_HOMES]), set[tuple[str, str]]()
        while waiting and len(seen) < _MAX_CLASSES:
            one = waiting.pop(0)
            if (one.path, one.name) in seen:
                continue
            seen.add((one.path, one.name))
            mine = [member for member in self.definitions_in(one.path) if _holder(member) == one.name]
            found += mine or self._members_elsewhere(one)
            for base in one.bases:
                waiting += [each for each in self._base(base, one.path) if each.kind in HOLDERS]
        return [member for member in found if member.path != self._cursor.path]

    def holder_of(self, member: Definition) -> Definition | None:
        """The class that a member stands in, if that is in the same file."""
        holders = [one for one in self.definitions_in(member.path) if one.kind in HOLDERS]
        return next((one for one in holders if one.name == _holder(member)), None)

    def _members_elsewhere(self, one: Definition) -> list[Definition]:
        """Members that stand in other files than their class: Rust's ``impl``, Go's methods, C++."""
        members = self._database.members_of([one.name])
        return [member for member in members if are_related(member.language, one.language)]

    def _base(self, name: str, path: str) -> list[Definition]:
        """The class that the file *path* calls *name*."""
        own = [one for one in self.definitions_in(path) if one.name == name and one.kind in HOLDERS]
        if own:
            return own
        for one in self._database.imports_of(path):
            if one.alias == name and (found := self._exported(one.module, one.name, name, path, _MAX_STEPS - 1)):
                return found
        found = [one for one in self._elsewhere(name) if one.kind in HOLDERS]
        return found if len(found) <= _MAX_HOMES else found[:1]

    def bases_of_cursor(self) -> list[Definition]:
        """The classes of other files that the class around the cursor stands on."""
        found: list[Definition] = []
        waiting = [base for holder in self._cursor.holders() for base in holder.bases]
        here = {one.name: one for one in self._cursor.outline.definitions if one.kind in HOLDERS}
        seen: set[str] = set()
        while waiting:
            base = waiting.pop(0)
            if base in seen:
                continue
            seen.add(base)
            if base in here:
                waiting += here[base].bases
            else:
                found += self.classes_named(base)
        return found

    # --- what a chain of names is ---------------------------------------------------------------------------

    def members_at(self, chain: Sequence[tuple[str, bool]]) -> list[Definition]:
        """What can follow ``a.b().``: members of the type that it evidently has, or what is in the module."""
        if found := self._of_module([name for name, _ in chain]):
            return found
        return self.members_of(self._type_of(chain))

    def _of_module(self, names: Sequence[str]) -> list[Definition]:
        whole = ".".join(names)
        for one in self._cursor.imports:
            if not one.name and whole in (one.local, one.module, one.module.replace("::", ".")):
                return self.top_of(self.files_of(one.module))
            if one.name and one.local == names[0] and len(names) == 1 and (files := self.modules_of(one)):
                return self.top_of(files)
            if one.name == "*" and one.local == names[0]:
                return self.top_of(self.files_of(one.module))
        if self._cursor.language == "rust":
            return self.top_of(self.files_of("::".join(names))[:1])
        return []

    def _type_of(self, chain: Sequence[tuple[str, bool]]) -> list[Definition]:
        (first, is_called), *rest = chain
        types = self._cursor.types
        if rest and f"{first}.{rest[0][0]}" in types:
            classes = self.classes_named(types[f"{first}.{rest[0][0]}"])
            rest = rest[1:]
        elif first in ("self", "this", "cls", "super", "base", "Self"):
            classes = self.bases_of_cursor()
        elif first in types and not is_called:
            classes = self.classes_named(types[first])
        else:
            classes = self._made_by(self.named(first), is_called) or self._called_like(first)
        for name, called in rest:
            members = [one for one in self.members_of(classes) if one.name == name]
            classes = self._made_by(members, called) or self._called_like(name)
        return classes

    def _made_by(self, found: Sequence[Definition], is_called: bool) -> list[Definition]:
        """The classes that definitions are, or have as their type."""
        classes: list[Definition] = []
        for one in found[:_MAX_HOMES]:
            if one.kind in HOLDERS:
                classes.append(one)
            elif one.type and (is_called or one.kind not in CALLABLES):
                classes += self._base(one.type, one.path)
        return classes

    def _called_like(self, name: str) -> list[Definition]:
        """Classes whose name says the same as a variable's: ``segment`` is a ``Segment`` or ``BaseSegment``."""
        bare = name.strip("_").replace("_", "").lower()
        if len(bare) < 3:
            return []
        known = {one.local for one in self._cursor.imports if one.local[:1].isupper()}
        fits = sorted((one for one in known if one.lower().endswith(bare)), key=len)
        if fits:
            return self.classes_named(fits[0])
        camel = "".join(part[:1].upper() + part[1:] for part in name.strip("_").split("_"))
        return [one for one in self._elsewhere(camel) if one.kind in HOLDERS][:1]


def _holder(member: Definition) -> str:
    return member.container.rpartition(".")[2]
