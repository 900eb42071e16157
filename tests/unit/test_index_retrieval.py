"""What is found for a cursor: what decides the line, and why it was chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
from repositories import Repository

from fimble.index.wire import Found

SHAPES = '''class Shape:
    """Anything that can be drawn."""

    colour: str = "black"

    def area(self) -> float:
        """How much it covers."""
        return 0.0

    def outline(self, width: int) -> str:
        return "-" * width


class Circle(Shape):
    def __init__(self, radius: float) -> None:
        self.radius = radius

    def enlarge(self, factor: float) -> "Circle":
        return Circle(self.radius * factor)


def make_circle(radius: float) -> Circle:
    return Circle(radius)


def make_square(side: float) -> Shape:
    return Shape()


class ShapeError(Exception):
    pass
'''

FILES = {
    "app/__init__.py": "from app.shapes import Circle, make_circle as circle\n",
    "app/shapes.py": SHAPES,
    "app/far/__init__.py": "",
    "app/far/deep.py": "def unrelated():\n    return 1\n",
    "app/report.py": "from app.shapes import make_circle\n\ndef report():\n    print(make_circle(3.0))\n",
    "tests/test_report.py": "from app.report import report\n\n\ndef test_the_report_says_it_all():\n    report()\n",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("retrieval"), FILES)


def lines(found: list[Found]) -> list[str]:
    return [line.strip() for one in found for line in one.text.split("\n") if line]


def test_what_is_imported_and_not_used_yet_comes_first(repository: Repository) -> None:
    """Somebody is about to write it."""
    text = "from app.shapes import Circle, make_square\n\nCircle(1)\n\ndef run():\n    x = |\n"
    found = repository.ask("app/new.py", text, budget_chars=60)
    assert found[0].path == "app/shapes.py"
    assert lines(found) == ["def make_square(side: float) -> Shape:"]
    assert found[0].why == "imported here, not used yet"
    assert found[0].kind == "function"


def test_a_name_is_followed_through_what_only_passes_it_on(repository: Repository) -> None:
    """``app/__init__.py`` imports it from elsewhere, under another name."""
    found = repository.ask("main.py", "from app import circle\n\ndef run():\n    |\n")
    assert found[0].path == "app/shapes.py"
    assert "def make_circle(radius: float) -> Circle:" in lines(found)


def test_after_a_dot_come_the_members_of_its_type_and_of_its_bases(repository: Repository) -> None:
    """The type is evident, its base is in the same file; each member stands below the line of its class."""
    text = "from app.shapes import Circle\n\ndef run(it: Circle):\n    it.|\n"
    (found, *_) = repository.ask("app/new.py", text, budget_chars=240)
    assert found.why == "member of what it is"
    assert found.text.split("\n")[:-1] == [
        "class Shape:",
        '    colour: str = "black"',
        "    def area(self) -> float:",
        "    def outline(self, width: int) -> str:",
        "class Circle(Shape):",
        "    self.radius = radius",
        '    def enlarge(self, factor: float) -> "Circle":',
    ]


@pytest.mark.parametrize(
    "line",
    [
        "make_circle(1.0).|",
        "Circle(1.0).|",
        "it = Circle(2.0)\n    it.|",
        "self.shape.|",
        "circle.|",
        "it = Circle(1.0)\n    it.enl|",
        "it = Circle(1.0)\n    it.enlarge(|",
    ],
)
def test_types_are_told_from_what_is_evident(repository: Repository, line: str) -> None:
    """From what is called, made, kept in a field, or from what the variable is called."""
    text = f"""from app.shapes import Circle, make_circle

class Page:
    def __init__(self) -> None:
        self.shape = Circle(1.0)

    def run(self, circle) -> None:
    {line}
"""
    found = repository.ask("app/new.py", text.replace("    " + line, "        " + line.replace("\n    ", "\n        ")))
    assert any(one.startswith("def enlarge(self, factor: float)") for one in lines(found))


def test_after_a_modules_dot_comes_what_stands_in_it(repository: Repository) -> None:
    """However it was imported."""
    for line in (
        "from app import shapes\n\nshapes.|",
        "import app.shapes\n\napp.shapes.|",
        "import app.shapes as s\n\ns.|",
    ):
        found = repository.ask("app/new.py", line)
        assert found[0].path == "app/shapes.py", line
        assert "def make_square(side: float) -> Shape:" in lines(found)


def test_after_raise_come_errors(repository: Repository) -> None:
    """The word before the cursor says what fits."""
    text = "from app.shapes import Circle, make_circle, ShapeError\n\ndef run():\n    raise |"
    assert lines(repository.ask("app/new.py", text, budget_chars=46)) == ["class ShapeError(Exception):"]


def test_what_was_begun_is_gone_on_with(repository: Repository) -> None:
    """The beginning of a name chooses among the imported ones."""
    text = "from app.shapes import Circle, ShapeError, make_circle, make_square\n\ndef run():\n    x = make_s|"
    found = repository.ask("app/new.py", text, budget_chars=60)
    assert lines(found)[0] == "def make_square(side: float) -> Shape:"


def test_a_class_brings_what_it_inherits_and_overrides(repository: Repository) -> None:
    """The method of the base comes with its body."""
    text = "from app.shapes import Shape\n\nclass Square(Shape):\n    def area(self) -> float:\n        return |\n"
    (found, *_) = repository.ask("app/new.py", text)
    assert found.path == "app/shapes.py"
    assert "    def area(self) -> float:" in found.text
    assert "    def outline(self, width: int) -> str:" in found.text


def test_a_call_brings_the_signature_of_what_is_called(repository: Repository) -> None:
    """Even if it is used above already."""
    text = "from app.shapes import make_circle\n\nmake_circle(1)\n\ndef run():\n    make_circle(|"
    (found, *_) = repository.ask("app/new.py", text)
    assert found.why == "make_circle is being called"
    assert "def make_circle(radius: float) -> Circle:" in found.text


def test_callers_and_tests_of_what_is_being_written_are_found(repository: Repository) -> None:
    """How a function is used says what it is to do."""
    found = repository.ask("app/shapes.py", SHAPES.replace("    return Circle(radius)\n", "    |\n"), budget_chars=2000)
    assert any(one.path == "app/report.py" and "print(make_circle(3.0))" in one.text for one in found)
    tests = repository.ask("app/report.py", "def report():\n    |\n", budget_chars=2000)
    assert any(one.path == "tests/test_report.py" and "def test_the_report_says_it_all" in one.text for one in tests)


def test_what_was_edited_a_moment_ago_is_found(repository: Repository) -> None:
    """Lines around the edit, if there is nothing better."""
    found = repository.ask("app/new.py", "x = |", edits=[("app/far/deep.py", 1), ("gone.py", 3)])
    assert [(one.path, one.why) for one in found] == [("app/far/deep.py", "edited a moment ago")]


def test_the_own_file_is_never_found(repository: Repository) -> None:
    """The prompt has it already, and more up to date."""
    for marked in (SHAPES.replace("return 0.0", "return |"), SHAPES + "\nCircle(1).|"):
        assert "app/shapes.py" not in [one.path for one in repository.ask("app/shapes.py", marked, budget_chars=4000)]


@pytest.mark.parametrize(
    "text", ["|", "\x0c\r|", "((((((|", "from app.shapes import (|", "😀.|", "class A(B):\n|", ".|", "::|"]
)
@pytest.mark.parametrize("path", ["a.py", "a.ts", "a.rs", "a.go", "a.java", "a.c", "a.txt", "a", "x/../y.rb"])
def test_broken_text_is_answered(repository: Repository, text: str, path: str) -> None:
    """Half a line of any language is no reason to fail."""
    for one in repository.ask(path, text):
        assert one.path in FILES


def test_long_texts_are_read_in_part(repository: Repository) -> None:
    """The imports at the head and what is around the cursor still count, far below."""
    filler = "def filler_{}():\n    return {}\n\n"
    above = "".join(filler.format(number, number) for number in range(3000))
    text = f"from app.shapes import Circle, make_square\n\n{above}def run(it: Circle):\n    it.|\n\n{above}"
    assert any(one.startswith("def enlarge(") for one in lines(repository.ask("app/new.py", text)))


@pytest.mark.parametrize(
    ("files", "path", "marked", "wanted"),
    [
        (
            {"src/Books/Ledger.cs": "namespace Acme.Books\n{\n    public class Ledger\n    {\n"
             "        public int Total(int year)\n        {\n            return 0;\n        }\n    }\n}\n"},
            "src/Main/App.cs",
            "using Acme.Books;\n\nnamespace Acme\n{\n    class App\n    {\n        void Run(Ledger ledger)\n        {\n"
            "            ledger.|\n        }\n    }\n}\n",
            "public int Total(int year)",
        ),
        (
            {
                "src/shapes/circle.ts": "export class Circle {\n  private hidden = 1;\n"
                "  enlarge(by: number): Circle {\n    return this;\n  }\n}\n",
                "src/shapes/index.ts": "export { Circle } from './circle';\nexport * from './square';\n",
                "src/shapes/square.ts": "export const drawSquare = (side: number) => side;\n",
            },
            "src/main.ts",
            "import { Circle, drawSquare } from './shapes';\nfunction run(it: Circle) {\n  it.|\n}\n",
            "enlarge(by: number): Circle",
        ),
        (
            {
                "src/shapes/index.ts": "export * from './square';\n",
                "src/shapes/square.ts": "export const drawSquare = (side: number) => side;\n",
            },
            "src/main.ts",
            "import { drawSquare } from './shapes';\nfunction run() {\n  return |\n}\n",
            "export const drawSquare = (side: number) =>",
        ),
        (
            {"lib/shapes.js": "function draw(side) {\n  return side;\n}\nmodule.exports = { draw };\n"},
            "lib/main.js",
            "const { draw } = require('./shapes');\nfunction run() {\n  return |\n}\n",
            "function draw(side)",
        ),
        (
            {
                "src/lib.rs": "pub mod store;\n",
                "src/store.rs": "pub struct Store {\n    pub size: usize,\n}\n\nimpl Store {\n"
                "    pub fn put(&mut self, key: &str) -> bool {\n        true\n    }\n}\n",
            },
            "src/main.rs",
            "use crate::store::Store;\n\nfn run(store: &mut Store) {\n    store.|\n}\n",
            "pub fn put(&mut self, key: &str) -> bool",
        ),
        (
            {
                "internal/cache/cache.go": "package cache\n\ntype Cache struct {\n\tsize int\n}\n\n"
                "func New(size int) *Cache {\n\treturn nil\n}\n",
            },
            "cmd/main.go",
            'package main\n\nimport "example.com/acme/internal/cache"\n\nfunc main() {\n\tc := cache.|\n}\n',
            "func New(size int) *Cache",
        ),
        (
            {"src/org/acme/Ledger.java": "package org.acme;\n\npublic class Ledger {\n  public int total(int year) {\n"
             "    return 0;\n  }\n}\n"},
            "src/org/acme/App.java",
            "package org.acme;\n\nclass App {\n  void run(Ledger ledger) {\n    ledger.|\n  }\n}\n",
            "public int total(int year)",
        ),
    ],
    ids=["c sharp", "typescript member", "typescript export", "javascript", "rust", "go", "java"],
)  # fmt: skip
def test_other_languages(tmp_path: Path, files: dict[str, str], path: str, marked: str, wanted: str) -> None:
    """Members, functions and packages are found by each language's own rules."""
    found = Repository(tmp_path, files).ask(path, marked)
    assert wanted in [line.removesuffix(" {").removesuffix(";") for line in lines(found)]
