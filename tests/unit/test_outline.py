"""Outlines of any text: offsets that are right, nothing raised, and what is around a place."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fimble.syntax import Outline, enclosing, outline, types_near
from fimble.syntax import queries as queries_module
from fimble.syntax.queries import LANGUAGES

GOLDEN = Path(__file__).parents[1] / "golden" / "outlines"
SOURCES = {path.stem: path.read_text("utf-8") for path in sorted(GOLDEN.glob("*.txt"))}


def told(source: str, language: str = "python") -> Outline:
    found = outline(source, language)
    assert found is not None
    return found


def check(source: str, found: Outline) -> None:
    """Every place is in the text, and holds what it is said to hold."""
    size = len(source)
    for one in found.definitions:
        assert 0 <= one.start <= one.name_start <= one.end <= size
        assert one.start <= one.body_start <= one.end
        assert one.name
        assert source.startswith(one.name, one.name_start)
        assert len(one.signature) <= 300
        assert len(one.doc) <= 120
        assert "\n" not in one.signature + one.doc
        assert "\r" not in one.signature + one.doc
    for imported in found.imports:
        assert 0 <= imported.start < imported.end <= size
        assert imported.module
    for used in found.references:
        assert used.name
        assert source.startswith(used.name, used.offset)
    for binding in found.bindings:
        assert source.startswith(binding.name, binding.offset)
        assert binding.type
    for places in (
        [one.start for one in found.definitions],
        [one.start for one in found.imports],
        [one.offset for one in found.references],
        [one.offset for one in found.bindings],
    ):
        assert places == sorted(places)


@pytest.mark.parametrize("language", sorted(SOURCES))
def test_places_are_right(language: str) -> None:
    """Of a whole file in each language, each place holds what it is said to hold."""
    check(SOURCES[language], told(SOURCES[language], language))


@pytest.mark.parametrize("language", sorted(SOURCES))
def test_every_language_tells_what_it_uses(language: str) -> None:
    """What the golden files hold is found: a language whose query went silent would not go unnoticed."""
    found = told(SOURCES[language], language)
    assert len(found.definitions) >= 3
    if language not in ("json", "yaml", "toml", "markdown"):
        assert found.imports
        assert found.references


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(language=st.sampled_from(sorted(SOURCES)), data=st.data())
def test_broken_texts_are_told_what_can_be_told(language: str, data: st.DataObject) -> None:
    """Cut, doubled, mangled, with emoji, half ones and odd line endings: nothing is raised, and places are right."""
    source = SOURCES[language]
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(source)))
        end = data.draw(st.integers(start, min(len(source), start + 300)))
        odd = st.sampled_from(
            ["", "😀", "\ud83d", "\r", "\r\n", "\x0c", "\0", "é{", "(", '"', "'''", "/*", "\ufeff", "\u2028"]
        )
        source = source[:start] + data.draw(odd) + source[end:]
    found = outline(source, language)
    assert found is not None
    check(source, found)


@settings(max_examples=200, deadline=None)
@given(language=st.sampled_from(sorted(LANGUAGES)), source=st.text(max_size=200))
def test_any_text_is_told(language: str, source: str) -> None:
    """Whatever is in a file, it has an outline."""
    check(source, told(source, language))


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("language", ["python", "typescript", "go", "rust", "java", "ruby", "cpp"])
def test_line_endings_change_nothing_but_places(language: str, ending: str) -> None:
    """A file with any line endings defines, imports and uses the same; emoji in it move nothing."""
    plain = told(SOURCES[language], language)
    mark = "#" if language in ("python", "ruby") else "//"
    source = f"{mark} 😀 é \U00010348\n\n" + SOURCES[language]
    source = source.replace("\n", ending)
    found = told(source, language)
    check(source, found)
    assert [(one.path, one.signature, one.doc, one.type) for one in found.definitions] == [
        (one.path, one.signature, one.doc, one.type) for one in plain.definitions
    ]
    assert [(one.name, one.receiver) for one in found.references] == [
        (one.name, one.receiver) for one in plain.references
    ]
    assert [(one.module, one.names) for one in found.imports] == [(one.module, one.names) for one in plain.imports]


def test_offsets_count_code_points() -> None:
    """What stands behind emoji, in their line and below, is where it is said to be."""
    source = "x = '😀é'; yy = f('😀')\r\rdef zz(): return '😀'\r\nww = zz()\n"
    found = told(source)
    assert [(one.name, one.name_start) for one in found.definitions] == [
        (name, source.index(name)) for name in ("x", "yy", "zz", "ww")
    ]
    assert [(one.name, one.offset) for one in found.references] == [
        ("f", source.index("f(")),
        ("zz", source.rindex("zz")),
    ]


def test_a_header_may_be_cpp() -> None:
    """A header, which is taken for C by its name, is read as what it is; and bindings are in order of place."""
    source = "int g(int b[static 1], Foo *a);\nnamespace ns {\nclass A : public B {\n  int f(C c, D *d);\n};\n}\n"
    found = told(source, "c")
    check(source, found)
    assert [one.path for one in found.definitions] == ["g", "ns", "ns.A", "ns.A.f"]
    assert found.definitions[2].bases == ("B",)
    assert told("struct A { int class; };", "c").definitions[1].path == "A.class"


@pytest.mark.parametrize("language", ["plaintext", "elixir", ""])
def test_a_language_without_queries_has_no_outline(language: str) -> None:
    """Nothing is claimed about what cannot be parsed."""
    assert outline("x = 1", language) is None


def test_a_huge_text_has_no_outline() -> None:
    """What is larger than people write is left alone at once."""
    started = time.perf_counter()
    assert outline("x = 1\n" * 4_000_000, "python") is None
    assert time.perf_counter() - started < 0.1


def test_time_is_bounded() -> None:
    """A text that takes more time than it may has no outline, in about that time; minified and broken ones, too."""
    minified = "!function(e,t){" + "var a=function(n){return n(a.b[1],{c:d})};" * 20_000 + "}(this);"
    for source, language in [(minified, "javascript"), ("(" * 500_000, "python"), ("[{" * 250_000, "json")]:
        started = time.thread_time()
        outline(source, language, budget_s=0.05)
        assert time.thread_time() - started < 1.5
    assert outline(minified, "javascript", budget_s=0.001) is None
    started = time.thread_time()
    assert outline("(" * 200_000, "python") is None
    assert time.thread_time() - started < 3


def test_deep_nesting_ends_nothing() -> None:
    """A text nested as deep as it is long neither ends the process nor takes long."""
    for source, language in [
        ("(" * 20_000 + ")" * 20_000, "python"),
        ("{" * 20_000, "javascript"),
        ("a:\n" * 5_000, "yaml"),
    ]:
        found = outline(source, language)
        assert found is None or isinstance(found, Outline)


def test_a_grammar_that_is_missing_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine for which there is no wheel has no outlines in that language."""
    monkeypatch.setitem(queries_module._FILES, "cobol", ("python",))
    assert outline("x", "cobol") is None


def test_threads_may_outline_at_once() -> None:
    """Several threads get what one gets."""
    wanted = {language: told(source, language) for language, source in SOURCES.items()}
    wrong: list[str] = []

    def work() -> None:
        for _ in range(5):
            wrong.extend(name for name, source in SOURCES.items() if outline(source, name) != wanted[name])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def around(marked: str, language: str = "python") -> list[str]:
    """The paths of what is around the ``‸``."""
    before, _, after = marked.partition("‸")
    return [one.path for one in enclosing(told(before + after, language), len(before), before + after)]


@pytest.mark.parametrize(
    ("marked", "language", "paths"),
    [
        ("‸class A:\n    def f(self): pass\n", "python", ["A"]),
        ("class A:\n    def f(self):\n        def g():\n            pa‸ss\n", "python", ["A", "A.f", "A.f.g"]),
        ("class A:\n    def f(self): pass\n‸\nx = 1\n", "python", []),
        ("class A:\n    def f(self):\n        pass\n\n        ‸\n\n    x = 1\n", "python", ["A", "A.f"]),
        ("class A:\n    def f(self):\n        pass\n\n    ‸\n", "python", ["A"]),
        ("def f():\n    return {}\n\n    a = b.\n    ‸\n", "python", ["f"]),
        ("class A:\n    def f(self):\n        ‸\n\n    def g(self):\n        pass\n", "python", ["A", "A.f"]),
        ("@a‸\ndef f(): pass\n", "python", ["f"]),
        ("func (s *S) F() { ‸ }", "go", ["S.F"]),
        ("impl S { fn f() { ‸ } }", "rust", ["S.f"]),
        ("export const f = () => { ‸ };", "typescript", ["f"]),
    ],
)
def test_what_is_around_a_place(marked: str, language: str, paths: list[str]) -> None:
    """The definitions that hold a place are told from the outside in."""
    assert around(marked, language) == paths


def types(marked: str, language: str = "python") -> dict[str, str]:
    before, _, after = marked.partition("‸")
    return dict(types_near(before + after, told(before + after, language), len(before)))


@pytest.mark.parametrize(
    ("marked", "language", "known"),
    [
        ("def f(a: Foo, b: 'Bar | None' = None):\n    c = Baz(a)\n    ‸\n    d = Late()\n", "python",
         "a Foo, b Bar, c Baz"),
        ("def f():\n    x = One()\n    x = Two()\n    ‸", "python", "x Two"),
        ("def f():\n    x = One()\ndef g():\n    ‸", "python", ""),
        ("def f(a: Foo):\n    def g(b: Bar):\n        ‸\n    def h(c: Baz): pass\n", "python", "a Foo, b Bar"),
        ("def f():\n    x = One()\n\ndef g(a: Foo):\n    return {}\n\n    b = (‸\n", "python", "a Foo"),
        ("s = Store()\ndef f():\n    ‸", "python", "s Store"),
        ("with Reader() as r:\n    ‸\n", "python", "r Reader"),
        ("class A:\n    x: One\n    def __init__(self, s: Store):\n        self.s = s\n    def f(self):\n        ‸",
         "python", "self A, self.s Store, self.x One"),
        ("class A { x = new One(); f(b: Bar, c?: Baz) { const d = new Dee.Two(1); let e: Ee; ‸ } }", "typescript",
         "b Bar, c Baz, d Two, e Ee, this A, this.x One"),
        ("func (s *Store) F(k *Key) { a := &Item{}; b := NewThing(); c, err := pkg.NewOther(1); ‸ }", "go",
         "a Item, b Thing, c Other, k Key, s Store, self Store, this Store"),
        ("struct S { a: Box<Foo> } impl S { fn f(&self, b: &mut Bar) { let c = Baz::new(); let d: Vec<u8> = x(); ‸ } }",
         "rust",
         "b Bar, c Baz, d Vec, self S, self.a Foo"),
        ("class A { Foo foo; void f(Bar b) { Baz c = x(); var d = new Dee<>(); ‸ } }", "java",
         "b Bar, c Baz, d Dee, this A, this.foo Foo"),
        ("void f(Foo *a, const Bar& b) { Baz c = x(); auto d = std::make_unique<Dee>(); auto e = new Ee(); ‸ }", "cpp",
         "a Foo, b Bar, c Baz, d Dee, e Ee"),
        ("class A { Foo _f = new Foo(); void F(Bar b) { var c = new Baz(); Dee d = x(); ‸ } }", "csharp",
         "b Bar, c Baz, d Dee, this A, this._f Foo"),
        ("<?php class A { private Foo $f; function g(Bar $b) { $c = new Baz(); ‸ } }", "php",
         "b Bar, c Baz, this A, this.f Foo"),
        ("class A\n  def f\n    c = Baz.new(1)\n    ‸\n  end\nend\n", "ruby", "c Baz, self A"),
    ],
)  # fmt: skip
def test_names_whose_type_is_evident(marked: str, language: str, known: str) -> None:
    """Parameters, local variables, fields and oneself have the types that the text says, at the place that asks."""
    wanted = dict(part.split(" ") for part in known.split(", ")) if known else {}
    found = types(marked, language)
    assert {name: found.get(name) for name in wanted} == wanted
    assert {name for name in found if not name.startswith(("self", "this"))} <= set(wanted)


def test_a_notebook_of_json_is_quick() -> None:
    """Data with very many keys costs what its size costs."""
    source = json.dumps({f"key {number}": [number] * 5 for number in range(5_000)})
    started = time.thread_time()
    assert len(told(source, "json").definitions) == 5_000
    assert time.thread_time() - started < 1
