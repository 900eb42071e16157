"""From a module as an import writes it to files, in every language's own way; what is external is no file."""

from __future__ import annotations

from pathlib import Path

import pytest
from repositories import Repository

from fimble.index.modules import closeness, files_of, neighbours
from fimble.languages import language_of

FILES = (
    "src/app/__init__.py src/app/main.py src/app/models/__init__.py src/app/models/user.py src/app/views.pyi"
    " src/app/models/order.py tests/test_user.py tools/run.py tools/shared.py"
    " web/index.ts web/user.ts web/parts/index.tsx web/parts/Button.tsx web/parts/old.js packages/core/src/index.ts"
    " crate/src/lib.rs crate/src/store.rs crate/src/store/disk.rs crate/src/net/mod.rs crate/src/net/http.rs"
    " other-crate/src/lib.rs other-crate/src/codec.rs"
    " go/server/main.go go/internal/cache/cache.go go/internal/cache/lru.go go/internal/cache/lru_test.go"
    " java/src/main/java/org/acme/App.java java/src/main/java/org/acme/model/User.java"
    " c/src/main.c c/include/acme/list.h c/src/local.h lib/shapes.rb lib/shapes/circle.rb"
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    names = FILES.split()
    return Repository(tmp_path_factory.mktemp("modules"), {name: f"// {name}\n" for name in names})


@pytest.mark.parametrize(
    ("path", "module", "first"),
    [
        # Python: below a source folder, relative, a package, a stub, a script's own folder.
        ("src/app/main.py", "app.models.user", "src/app/models/user.py"),
        ("tests/test_user.py", "app.models.user", "src/app/models/user.py"),
        ("src/app/main.py", "app.models", "src/app/models/__init__.py"),
        ("src/app/models/user.py", ".order", "src/app/models/order.py"),
        ("src/app/models/user.py", "..main", "src/app/main.py"),
        ("src/app/models/user.py", ".", "src/app/models/__init__.py"),
        ("src/app/main.py", "app.views", "src/app/views.pyi"),
        ("tools/run.py", "shared", "tools/shared.py"),
        ("src/app/main.py", "os.path", ""),
        ("src/app/main.py", "typing", ""),
        ("src/app/main.py", "elsewhere.user", ""),
        # TypeScript and JavaScript: no suffix, the compiled one's, a folder, an alias, a package of the repository.
        ("web/index.ts", "./user", "web/user.ts"),
        ("web/index.ts", "./user.js", "web/user.ts"),
        ("web/user.ts", "./parts", "web/parts/index.tsx"),
        ("web/parts/index.tsx", "./Button", "web/parts/Button.tsx"),
        ("web/parts/Button.tsx", "../user", "web/user.ts"),
        ("web/index.ts", "@/parts/Button", "web/parts/Button.tsx"),
        ("web/index.ts", "web/parts/old", "web/parts/old.js"),
        ("packages/app/src/main.ts", "@acme/core", "packages/core/src/index.ts"),
        ("web/index.ts", "react", ""),
        ("web/index.ts", "lodash/fp", ""),
        # Rust: from the crate, relative, an item of a module, another crate of the workspace.
        ("crate/src/lib.rs", "crate::store", "crate/src/store.rs"),
        ("crate/src/net/http.rs", "crate::store::disk", "crate/src/store/disk.rs"),
        ("crate/src/net/http.rs", "super", "crate/src/net/mod.rs"),
        ("crate/src/store/disk.rs", "super", "crate/src/store.rs"),
        ("crate/src/net/mod.rs", "self::http", "crate/src/net/http.rs"),
        ("crate/src/lib.rs", "crate::store::Kind", "crate/src/store.rs"),
        ("crate/src/lib.rs", "other_crate::codec", "other-crate/src/codec.rs"),
        ("crate/src/lib.rs", "std::collections", ""),
        # Go: the end of a path is a folder; its tests are not offered.
        ("go/server/main.go", "example.com/acme/internal/cache", "go/internal/cache/cache.go"),
        ("go/server/main.go", "net/http", ""),
        # Java: a class's path; C: from here, or from an include folder; Ruby.
        ("java/src/main/java/org/acme/App.java", "org.acme.model.User", "java/src/main/java/org/acme/model/User.java"),
        ("java/src/main/java/org/acme/App.java", "java.util.List", ""),
        ("c/src/main.c", "local.h", "c/src/local.h"),
        ("c/src/main.c", "acme/list.h", "c/include/acme/list.h"),
        ("c/src/main.c", "stdio.h", ""),
        ("lib/shapes.rb", "shapes/circle", "lib/shapes/circle.rb"),
    ],
)
def test_a_module_is_the_file_that_its_language_means(
    repository: Repository, path: str, module: str, first: str
) -> None:
    """The first guess is the right one, and what comes from outside of the repository is nothing."""
    found = files_of(repository.database, path, language_of(path), module)
    assert (found[0] if found else "") == first


def test_a_go_package_is_all_its_files_but_tests(repository: Repository) -> None:
    """A folder is one package."""
    found = files_of(repository.database, "go/server/main.go", "go", "example.com/acme/internal/cache")
    assert found == ["go/internal/cache/cache.go", "go/internal/cache/lru.go"]


def test_neighbours_are_known_without_an_import_where_the_language_says_so(repository: Repository) -> None:
    """Go's and Java's packages are folders; Python's files do not see each other."""
    assert "go/internal/cache/lru.go" in neighbours(repository.database, "go/internal/cache/cache.go", "go")
    assert neighbours(repository.database, "src/app/models/user.py", "python") == []


def test_a_file_is_never_its_own_import(repository: Repository) -> None:
    """A module that means the file itself brings nothing new."""
    assert "tools/shared.py" not in files_of(repository.database, "tools/shared.py", "python", "shared")


def test_strange_modules_are_no_files(repository: Repository) -> None:
    """Whatever stands in an import in half-typed code: an answer, never an error, and nothing outside the folder."""
    for module in (
        "",
        ".",
        "..",
        "....a",
        "/",
        "//",
        "../../../etc/passwd",
        "::",
        "a::",
        "'",
        "%",
        "_",
        "*",
        "\u2028",
        "a" * 9999,
    ):
        for path in ("src/app/main.py", "web/index.ts", "crate/src/lib.rs", "go/server/main.go", "c/src/main.c"):
            for file in files_of(repository.database, path, language_of(path), module):
                assert repository.database.has_file(file)


def test_closeness_counts_folders_from_the_top() -> None:
    """Names of files do not count."""
    assert closeness("a/b/c.py", "a/b/d.py") == 2
    assert closeness("a/b.py", "a/c/b.py") == 1
    assert closeness("b.py", "b.py") == 0


def test_files_in_a_folder(repository: Repository, tmp_path: Path) -> None:
    """The folder itself only, and the repository's own, too."""
    assert repository.database.files_in("web/parts") == [
        "web/parts/Button.tsx",
        "web/parts/index.tsx",
        "web/parts/old.js",
    ]
    assert repository.database.files_in("web/part") == []
    top = Repository(tmp_path, {"a.py": "1\n", "b/c.py": "2\n"})
    assert top.database.files_in("") == top.database.files_in(".") == ["a.py"]
