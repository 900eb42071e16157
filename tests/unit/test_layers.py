"""The architecture, checked: imports go strictly down, and each foreign library has one owner."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import fimble

PACKAGE = Path(fimble.__file__).resolve().parent

ENGINE_SERVER = (
    *("engine.server", "engine.app", "engine.scheduler", "engine.generator", "engine.sequences"),
    *("engine.sampling", "engine.answer", "engine.prompt", "engine.llama", "engine.probe"),
    *("engine.job", "engine.run", "engine.healing", "engine.costs", "engine.drafts", "engine.shelf"),
    *("engine.outbox", "engine.metrics", "engine.progressive", "engine.tuning", "engine.tuner", "engine.pressure"),
    *("engine.capacity", "engine.canary", "engine.lane", "engine.homes", "engine.loading"),
    *("engine.trial", "engine.synthetic"),
    *("engine.quantising", "engine.adapting", "engine.adapted"),
)

INDEX_SERVER = (
    *(
        "index.server",
        "index.answers",
        "index.child",
        "index.indexer",
        "index.crawl",
        "index.records",
        "index.secrets",
        "index.source",
    ),
    *("index.reading", "index.crash", "index.schema", "index.database", "index.terms", "index.retrieval"),
    *("index.candidates", "index.elsewhere", "index.cursor", "index.lookup", "index.modules", "index.packing"),
)

#: From the ground up.  A layer is a row of rooms; a room is the names that begin its modules.  A module may
#: import from its own room and from every layer below, never from a sibling room and never from above.
#:
#: Two places differ from the one-line drawing in DESIGN.md, because the code has to: ``core.Document`` holds a
#: ``Text``, so core stands on text; and both sides of the engine share ``wire`` and ``endpoint``.  The engine's
#: server side is a sibling of the client side, not something below it: no window may load llama.cpp.
LAYERS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("", "errors"),),
    (
        ("text",),
        ("paths",),
        ("settings",),
        ("languages",),
        ("memory",),
        ("privacy",),
        ("gguf_header",),
        ("builds",),
        ("engine",),
        ("engine.wire", "engine.failures"),
        ("engine.sizes",),
        ("quantisation",),
        ("index",),
        ("index.wire",),
    ),
    (
        ("core",),
        ("config",),
        ("background",),
        ("ledger",),
        ("engine.endpoint",),
        ("engine.slices",),
        ("index.endpoint",),
        # Below the engine: what makes its settings asks what a model must hash to.
        ("catalog", "installed", "digests"),
    ),
    (
        ("context",),
        ("syntax",),
        ("echo",),
        ("store",),
        ("stats",),
        ("energy",),
        ("engine.client", "engine.launch", "engine.watch", "engine.children"),
        ("index.client", "index.launch"),
        ENGINE_SERVER,
    ),
    (("suggest",), ("models",), ("days",), INDEX_SERVER),
    # What learns a repository is a process of its own, and uses both the engine's parts and the index's.
    (("lsp",), ("models.personal",)),
    (("cli", "__main__"),),
)

#: Libraries that one part of the code owns: nobody else may import them.
OWNERS = {
    "llama_cpp": ("engine.llama",),
    "diskcache": ("store",),
    "tree_sitter": ("syntax",),
    "detect_secrets": ("index.secrets",),
    "pygls": ("lsp",),
    "lsprotocol": ("lsp",),
    "aiohttp": ("engine.client",),
    "starlette": ("engine.app",),
    "uvicorn": ("engine.server",),
    "prometheus_client": ("engine.metrics",),
    "huggingface_hub": ("models.downloads",),
    "httpx2": ("models.downloads",),
    "torch": ("models.personal",),
    "typer": ("cli",),
    "rich": ("cli",),
}

#: Modules that read code out of data.
UNSAFE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve"}

VAGUE_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "service", "services", "common", "misc"}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module's name without the leading ``fimble.``, and its syntax tree."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text("utf-8"), str(path))
    return found


def imports(tree: ast.Module) -> Iterator[str]:
    """Every name that a module imports, also inside functions and for type checking only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in line {node.lineno}"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                # `from fimble import paths` imports a module, `from fimble.paths import log_dir` a name in one.
                yield whole if whole.removeprefix("fimble.") in modules() else str(node.module)


def within(module: str, prefix: str) -> bool:
    return module == prefix or (prefix != "" and module.startswith(prefix + "."))


def room_of(module: str) -> tuple[int, tuple[str, ...]]:
    """The layer and the room of a module: the one with the longest name that begins the module's."""
    fits = [
        (len(prefix), layer, room)
        for layer, rooms in enumerate(LAYERS)
        for room in rooms
        for prefix in room
        # `engine`, `index` and `fimble` themselves are packages whose modules live in rooms of their own.
        if (module == prefix if prefix in ("", "engine", "index") else within(module, prefix))
    ]
    assert fits, f"fimble.{module} has no place in LAYERS"
    _, layer, room = max(fits)
    return layer, room


def is_allowed(importer: str, imported: str) -> bool:
    layer, room = room_of(importer)
    below, other = room_of(imported)
    return room == other or below < layer


def own_imports(tree: ast.Module) -> set[str]:
    return {name.removeprefix("fimble").removeprefix(".") for name in imports(tree) if within(name, "fimble")}


def test_every_module_is_found() -> None:
    """The walk sees the whole package, else the rest of this file would pass by seeing nothing."""
    assert {"", "core", "engine.llama", "lsp.features", "suggest.recipe", "cli.app"} <= set(modules())


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_go_strictly_down(module: str) -> None:
    """No module imports from a layer above it or from a sibling room."""
    wrong = [name for name in own_imports(modules()[module]) if not is_allowed(module, name)]
    assert not wrong, f"fimble.{module} must not import {', '.join(sorted(wrong))}"


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("text", "lsp.documents"),
        ("suggest.recipe", "lsp.session"),
        ("echo", "store"),
        ("syntax", "context"),
        ("engine.client", "engine.llama"),
        ("engine.scheduler", "engine.launch"),
        ("core", "config"),
        ("errors", "text"),
        ("lsp.server", "cli.app"),
        ("index.client", "index.database"),
        ("suggest.recipe", "index.retrieval"),
        ("index.wire", "engine.wire"),
    ],
)
def test_the_rule_knows_a_wrong_import(importer: str, imported: str) -> None:
    """The rule itself refuses imports that go up or sideways."""
    assert not is_allowed(importer, imported)


@pytest.mark.parametrize("module", sorted(modules()))
def test_every_library_has_one_owner(module: str) -> None:
    """Only llama.py knows llama_cpp, only store.py diskcache, only lsp/ the protocol; and so on."""
    for name in imports(modules()[module]):
        owners = OWNERS.get(name.partition(".")[0])
        assert owners is None or any(within(module, owner) for owner in owners), f"fimble.{module} imports {name}"


@pytest.mark.parametrize("library", sorted(OWNERS))
def test_every_owner_uses_what_it_owns(library: str) -> None:
    """The table of owners names libraries that are really imported by their owner."""
    users = {m for m, tree in modules().items() for n in imports(tree) if n.partition(".")[0] == library}
    assert any(within(user, owner) for user in users for owner in OWNERS[library])


@pytest.mark.parametrize("wanted", ["index.client", "index.launch"])
def test_windows_ask_the_index_and_load_none_of_it(wanted: str) -> None:
    """The window's side of the index loads nothing of the process that it asks: no SQLite, no syntax."""
    import subprocess

    code = f"import sys, fimble.{wanted}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert f"fimble.{wanted}" in loaded
    assert not loaded & {"sqlite3", "fimble.syntax", *(f"fimble.{module}" for module in INDEX_SERVER)}


def test_windows_do_not_load_the_engine() -> None:
    """Importing what a window runs leaves llama.cpp, numpy and the HTTP server unloaded."""
    import subprocess

    heavy = {"llama_cpp", "numpy", "starlette", "uvicorn", "typer", "rich", "tree_sitter", "detect_secrets", "torch"}
    windows = "fimble.lsp.features, fimble.lsp.run, fimble.index.client"
    code = f"import sys, {windows}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("module", sorted(modules()))
def test_nothing_is_unpickled(module: str) -> None:
    """No module imports a library that executes what it reads."""
    assert not {name.partition(".")[0] for name in imports(modules()[module])} & UNSAFE


@pytest.mark.parametrize("module", sorted(modules()))
def test_lines_are_split_by_our_own_rules(module: str) -> None:
    """str.splitlines, which breaks at form feeds and U+2028, is not used anywhere."""
    used = [n.lineno for n in ast.walk(modules()[module]) if isinstance(n, ast.Attribute) and n.attr == "splitlines"]
    assert not used, f"fimble.{module} uses splitlines in lines {used}"


def test_modules_are_named_for_what_they_hold() -> None:
    """No module has a name that says nothing."""
    assert not {part for module in modules() for part in module.split(".")} & VAGUE_NAMES
