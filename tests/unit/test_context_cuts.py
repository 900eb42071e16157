"""Which lines become tasks: only those that one other file decides, cut where a programmer would wait."""

from __future__ import annotations

from context_cuts import cut_places, foreign_uses, line_around
from context_projects import SETS
from context_syntax import LANGUAGES, Source, read_source


def _source(path: str, text: str) -> Source:
    return read_source(path, LANGUAGES[path[path.rindex(".") :]], text)


def _uses(*sources: Source) -> list[tuple[str, str, str]]:
    return [(source.path, use.name.text, use.definition.path) for source, use in foreign_uses(sources)]


def test_a_name_that_is_imported_is_asked_for_where_it_is_used_first() -> None:
    """One task a name, at its first use; the import itself is none."""
    shapes = _source("app/shapes.py", "def draw_circle(radius):\n    return radius\n")
    main = _source(
        "app/main.py", "from app.shapes import draw_circle\n\ndef run():\n    draw_circle(1)\n    draw_circle(2)\n"
    )
    assert _uses(shapes, main) == [("app/main.py", "draw_circle", "app/shapes.py")]
    [(_, use)] = foreign_uses([shapes, main])
    assert main.text[use.name.start :].startswith("draw_circle(1)")
    assert shapes.text[use.definition.start : use.definition.end].startswith("def draw_circle")


def test_a_name_with_two_homes_needs_an_import_that_tells_them_apart() -> None:
    """What two files define is asked for only where the import names one of them."""
    one = _source("app/one.py", "def build():\n    pass\n")
    two = _source("app/two.py", "def build():\n    pass\n")
    clear = _source("app/clear.py", "from app.two import build\ndef run():\n    build()\n")
    unclear = _source("app/unclear.py", "from app import build\ndef run():\n    build()\n")
    assert _uses(one, two, clear, unclear) == [("app/clear.py", "build", "app/two.py")]


def test_what_another_library_offers_under_the_same_name_is_not_asked_for() -> None:
    """An import from elsewhere does not lead into the project."""
    own = _source("app/render.py", "class Sandbox:\n    pass\n")
    user = _source("tests/test_it.py", "from jinja2.sandbox import Sandbox\ndef test():\n    Sandbox()\n")
    assert _uses(own, user) == []


def test_a_member_is_asked_for_only_where_its_class_is_spoken_of() -> None:
    """A method of a class that the file never mentions could be anybody's."""
    shapes = _source("app/shapes.py", "class Circle:\n    def enlarge(self):\n        pass\n")
    knows = _source("app/knows.py", "from app.shapes import Circle\ndef run(it: Circle):\n    it.enlarge()\n")
    does_not = _source("app/does_not.py", "def run(it):\n    it.enlarge()\n")
    assert _uses(shapes, knows, does_not) == [("app/knows.py", "enlarge", "app/shapes.py")]


def test_names_of_arguments_and_builtins_are_not_asked_for() -> None:
    """``f(width=1)`` names a parameter, and ``append`` is every list's."""
    shapes = _source("app/shapes.py", "def width():\n    pass\nclass Basket:\n    def append(self):\n        pass\n")
    user = _source(
        "app/user.py", "from app.shapes import Basket, width\ndef run(it):\n    make(width=1)\n    it.append(Basket)\n"
    )
    assert [name for _, name, _ in _uses(shapes, user)] == ["Basket"]


def test_javascript_modules_are_followed_by_name_whether_imported_or_required() -> None:
    """``import`` and ``require`` are imports; what stands in them is no first use."""
    lib = _source("lib/shapes.js", "export function drawCircle() {}\n")
    es = _source("lib/es.js", "import { drawCircle } from './shapes.js'\nfunction run() {\n  drawCircle()\n}\n")
    cjs = _source("lib/cjs.js", "const { drawCircle } = require('./shapes')\nfunction run() {\n  drawCircle()\n}\n")
    assert [path for path, _, _ in _uses(lib, es, cjs)] == ["lib/es.js", "lib/cjs.js"]


def test_every_language_of_the_list_can_be_read() -> None:
    """Each language's query compiles and finds a definition."""
    texts = {
        "python": "class Thing:\n    size = 1\n",
        "typescript": "export interface Thing { size: number }\n",
        "javascript": "class Thing { size = 1 }\n",
        "rust": "struct Thing { size: u8 }\n",
        "go": "package a\ntype Thing struct { size int }\n",
        "java": "class Thing { int size; }\n",
        "csharp": "class Thing { int size; }\n",
    }
    for suffix, language in LANGUAGES.items():
        found = read_source(f"thing{suffix}", language, texts[language]).definitions
        assert [(one.name, one.container) for one in found] == [("Thing", ""), ("size", "Thing")], language


def test_a_line_is_cut_between_tokens_and_never_after_the_name() -> None:
    """Places run from the line's first character to just before the name; blanks and words stay whole."""
    text = "x = 1\r\n    total = make(first, second)\r\n"
    name = text.index("second")
    start, end = line_around(text, name)
    assert text[start:end] == "    total = make(first, second)"
    rests = [text[place:end] for place in cut_places(text, start, name)]
    assert rests[0] == "total = make(first, second)"
    assert rests[-1] == "second)"
    assert "= make(first, second)" in rests


def test_no_project_is_in_both_sets() -> None:
    """What is tuned on does not judge."""
    names = {name: {project.name for project in projects} for name, projects in SETS.items()}
    assert not names["tune"] & names["heldout"]


def test_no_project_taught_or_judged_the_bundled_model() -> None:
    """None of them is in the corpus, held-out packages included."""
    import tomllib

    import environment

    corpus = tomllib.loads((environment.ROOT / "models/fimble-small/corpus.toml").read_text("utf-8"))
    known = {entry["name"] for kinds in corpus.values() for packages in kinds.values() for entry in packages}
    assert len(known) > 200
    assert not known & {project.name for projects in SETS.values() for project in projects}
