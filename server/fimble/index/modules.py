"""From a module as an import writes it to the files of the repository that it may be.

Nothing is read but the index: no manifest, no compiler's settings.  What a path says is enough nearly always, and a
wrong guess costs a snippet, not a suggestion.  An external library is no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

from fimble.index.database import Database

_SCRIPT_ENDS = (".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte", ".d.ts")
_SCRIPTS = ("javascript", "javascriptreact", "typescript", "typescriptreact", "svelte", "vue")

#: Folders below which packages begin (PyPA's src layout; Maven's standard directory layout; plain habit).
_SOURCE_FOLDERS = ("", "src/", "lib/", "python/")

#: Files that speak for the folder that they are in.
_CRATE_FILES = ("lib", "main")

#: Crates that come with the compiler.
_RUST_OWN = frozenset({"std", "core", "alloc"})

_MAX_FILES = 40


def files_of(database: Database, path: str, language: str, module: str) -> list[str]:
    """The files that *module* means where the file *path* imports it, the likeliest first; a package is all its files.

    Empty for what is not in the repository.
    """
    found = _RESOLVERS.get(language, _by_name)(database, PurePosixPath(path), module)
    return [file for file in dict.fromkeys(found) if file != path][:_MAX_FILES]


def submodule(module: str, name: str, language: str) -> str:
    """How a module in *module* is written, in which one may be meant where a name of it is imported."""
    if language == "python":
        return f"{module}{name}" if module.endswith(".") else f"{module}.{name}"
    return f"{module}::{name}" if language == "rust" else ""


def neighbours(database: Database, path: str, language: str) -> list[str]:
    """The files whose names are known in *path* without an import: those of its package."""
    if language not in ("go", "java", "php"):
        return []
    suffix = PurePosixPath(path).suffix
    found = database.files_in(PurePosixPath(path).parent.as_posix(), _MAX_FILES)
    return [file for file in found if file != path and file.endswith(suffix)]


def closeness(path: str, other: str) -> int:
    """How many folders two paths share from the top."""
    shared = 0
    for mine, its in zip(path.split("/")[:-1], other.split("/")[:-1], strict=False):
        if mine != its:
            break
        shared += 1
    return shared


# --- by language --------------------------------------------------------------------------------------------


def _python(database: Database, path: PurePosixPath, module: str) -> Iterator[str]:
    dots = len(module) - len(module.lstrip("."))
    rest = module[dots:].replace(".", "/")
    if dots:
        folders = [path.parent, *path.parent.parents][dots - 1 : dots]
        bases = [f"{folder.as_posix()}/" if folder.name else "" for folder in folders]
    else:
        bases = [above + below for above in _folders_up(path) for below in _SOURCE_FOLDERS]
    ends = (".py", "/__init__.py", ".pyi", "/__init__.pyi") if rest else ("__init__.py", "__init__.pyi")
    found = database.known_files(base + rest + end for base in bases for end in ends)
    yield from found
    if not found and not dots:
        yield from _by_suffix(database, path, rest.split("/"), lambda file: file.endswith((".py", ".pyi")))


def _script(database: Database, path: PurePosixPath, module: str) -> Iterator[str]:
    if module.startswith("."):
        yield from _script_files(database, _joined(path.parent, module))
        return
    parts = [part for part in module.split("/") if part]
    if not parts:
        return
    is_alias = module.startswith(("@/", "~", "#", "$", "src/", "/"))
    if is_alias or len(parts) > 1:
        if not is_alias or module.startswith("src/"):
            yield from _script_files(database, *(above + module for above in _folders_up(path)))
        rest = parts[1:] if is_alias and parts[0] != "src" else parts
        yield from _by_suffix(database, path, rest, lambda file: file.endswith(_SCRIPT_ENDS))
    # A package of the same repository: `packages/NAME/src/index.ts`.
    homes = [f"{above}{parts[-1]}" for above in _folders_up(path)[1:]]
    yield from _script_files(database, *(f"{home}/{end}" for home in homes for end in ("src/index", "lib/index")))


def _script_files(database: Database, *places: str) -> list[str]:
    wanted: list[str] = []
    for place in places:
        stem, dot, end = place.rpartition(".")
        # A compiled file's name stands for its source: `./user.js` is user.ts.
        stems = [stem] if dot and f".{end}" in _SCRIPT_ENDS else []
        wanted += [place, *(name + end for name in (place, *stems, f"{place}/index") for end in _SCRIPT_ENDS)]
    return database.known_files(wanted)


def _rust(database: Database, path: PurePosixPath, module: str) -> Iterator[str]:
    first, *rest = module.split("::")
    if first in ("self", "super"):
        # A file `a/b.rs` is a module whose children are in `a/b/`; `mod.rs` and `lib.rs` speak for their folder.
        is_folder = path.stem in ("mod", *_CRATE_FILES)
        folder = path.parent if is_folder else path.with_suffix("")
        ups = [first, *rest]
        while ups and ups[0] in ("self", "super"):
            folder = folder.parent if ups.pop(0) == "super" else folder
        yield from _rust_files(database, folder, ups)
        return
    if first == "crate":
        root = next((parent for parent in path.parents if parent.name == "src"), path.parent)
        yield from _rust_files(database, root, rest)
        return
    if first in _RUST_OWN:
        return
    for end in _CRATE_FILES:
        for file in database.files_named(end, 500):
            home = file.rpartition("/")[0]
            crate = home.removesuffix("/src").rpartition("/")[2]
            if crate.replace("-", "_") == first:
                yield from _rust_files(database, PurePosixPath(home), rest)
    yield from _rust_files(database, path.parent if path.stem in ("mod", *_CRATE_FILES) else path, [first, *rest])


def _rust_files(database: Database, folder: PurePosixPath, parts: Sequence[str]) -> Iterator[str]:
    """The file of the innermost module on the way, and those around it: a part may be an item, or be exported anew."""
    for count in range(len(parts), -1, -1):
        place = "/".join((folder.as_posix(), *parts[:count])).removeprefix("./")
        ends = (".rs", "/mod.rs", *(f"/{end}.rs" for end in _CRATE_FILES))
        yield from database.known_files(place + end for end in ends)


def _go(database: Database, path: PurePosixPath, module: str) -> Iterator[str]:
    parts = module.split("/")
    for start in range(len(parts)):
        tail = "/".join(parts[start:])
        for above in _folders_up(path):
            if found := [file for file in database.files_in(above + tail, _MAX_FILES) if _is_go_source(file)]:
                yield from found
                return


def _is_go_source(file: str) -> bool:
    return file.endswith(".go") and not file.endswith("_test.go")


def _dotted(database: Database, path: PurePosixPath, module: str) -> Iterator[str]:
    """Java, C#, PHP, Lua ...: a dotted path that ends with a file's, or a package that is a folder."""
    parts = [part for part in re.split(r"::|[.\\/]", module) if part]
    yield from _by_suffix(database, path, parts, lambda file: PurePosixPath(file).suffix == path.suffix)
    if parts:
        for above in _folders_up(path):
            yield from database.files_in(above + "/".join(parts), _MAX_FILES)


def _include(database: Database, path: PurePosixPath, module: str) -> Iterator[str]:
    """C's ``#include``, Ruby's ``require``, a shell's ``source``: a path, from here or from somewhere."""
    near = _joined(path.parent, module)
    yield from database.known_files((near, near + path.suffix))
    parts = [part for part in module.split("/") if part not in ("", ".", "..")]
    if parts:
        stem = parts[-1].partition(".")[0]
        yield from _by_suffix(database, path, [*parts[:-1], stem], lambda file: PurePosixPath(file).suffix != "")


def _by_name(database: Database, path: PurePosixPath, module: str) -> Iterator[str]:
    yield from _include(database, path, module)
    yield from _dotted(database, path, module)


_RESOLVERS: dict[str, Callable[[Database, PurePosixPath, str], Iterator[str]]] = {
    "python": _python,
    **dict.fromkeys(_SCRIPTS, _script),
    "rust": _rust,
    "go": _go,
    **dict.fromkeys(("java", "csharp", "php"), _dotted),
    **dict.fromkeys(("c", "cpp", "ruby", "shellscript"), _include),
}


# --- paths --------------------------------------------------------------------------------------------------


def _folders_up(path: PurePosixPath) -> list[str]:
    """The folders around a file, innermost first, each with its ``/``; the repository's own is empty."""
    return [f"{folder.as_posix()}/" if folder.name else "" for folder in path.parents]


def _joined(folder: PurePosixPath, relative: str) -> str:
    parts = list(folder.parts)
    for part in relative.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return "/".join(parts)


def _by_suffix(
    database: Database, path: PurePosixPath, parts: Sequence[str], is_wanted: Callable[[str], bool]
) -> list[str]:
    """The files whose paths end with *parts*, as many of them as possible; at least two, or the file is right here."""
    if not parts or not parts[-1]:
        return []
    best: dict[int, list[str]] = {}
    for file in filter(is_wanted, database.files_named(parts[-1].partition(".")[0])):
        names = [*PurePosixPath(file).parts[:-1], PurePosixPath(file).name.partition(".")[0]]
        pairs = zip(reversed(names), reversed(parts), strict=False)
        same = next((count for count, (one, other) in enumerate(pairs) if one != other), min(len(names), len(parts)))
        is_beside = PurePosixPath(file).parent == path.parent
        if same == len(parts) > 1 or (same >= 1 and is_beside) or same >= 2:
            best.setdefault(same, []).append(file)
    found = best[max(best)] if best else []
    return sorted(found, key=lambda file: -closeness(path.as_posix(), file))
