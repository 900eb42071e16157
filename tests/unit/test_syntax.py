"""Syntax: the trees of documents, kept up key by key."""

from __future__ import annotations

import dataclasses
import random
import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fimble
from fimble.core import Document
from fimble.syntax import Kind, Spot, Trees, grammars, trees
from fimble.text import Text

SOURCES = sorted(Path(fimble.__file__).resolve().parent.rglob("*.py"))

#: A line of each language, and the same with something missing.
SAMPLES = {
    "c": ("int main(void) { return 0; }", "int main(void) { return 0;"),
    "cpp": ("std::vector<int> values{1, 2};", "std::vector<int> values{1, 2;"),
    "csharp": ("class A { int One() => 1; }", "class A { int One() => 1;"),
    "css": ("a { color: red; }", "a { color: red;"),
    "go": ("package a\n\nfunc f() {}\n", "package a\n\nfunc f() {\n"),
    "html": ("<p>One</p>", "<p>One<"),
    "java": ("class A { int one() { return 1; } }", "class A { int one() { return 1 } }"),
    "javascript": ("const a = (b) => b;", "const a = (b => b;"),
    "javascriptreact": ("const a = <p>One</p>;", "const a = <p>One;"),
    "json": ('{"a": [1, 2]}', '{"a": [1, 2}'),
    "jsonc": ('{"a": 1} // one', '{"a": } // one'),
    "lua": ("if a then b() end", "if a then b()"),
    "php": ("<?php\necho $a;\n", "<?php\necho ($a;\n"),
    "python": ("x = [1, 2]\n", "x = [1, 2\n"),
    "ruby": ("def one\n  1\nend\n", "def one\n  1\n"),
    "rust": ("fn one() -> u32 { 1 }", "fn one() -> u32 { 1"),
    "shellscript": ("if a; then b; fi\n", "if a; then b\n"),
    "svelte": ("{#if a}<p>{b}</p>{/if}", "{#if a}<p>{b}</p>"),
    "toml": ('a = "b"\n', 'a = "b\n'),
    "typescript": ("const a: number = 1;", "const a: number = ;"),
    "typescriptreact": ("const a: A = <p>{b}</p>;", "const a: A = <p>{b</p>;"),
    "vue": ("<template><p>One</p></template>", "<template><p>One<</template>"),
    "yaml": ("a: [1, 2]\n", "a: [1, 2\n"),
}


def document(source: str, language: str = "python", uri: str = "file:///a") -> Document:
    return Document(uri, "a", language, 1, Text(source))


def at(marked: str, language: str = "python") -> Spot:
    """The spot of the ``|`` in *marked*."""
    before, _, after = marked.partition("|")
    spot = Trees().at(document(before + after, language), len(before))
    assert spot is not None
    return spot


@pytest.mark.parametrize("language", sorted(SAMPLES))
def test_every_grammar_counts_errors(language: str) -> None:
    """Each language's grammar is there, takes what is right and sees what is not."""
    right, wrong = SAMPLES[language]
    assert at("|" + right, language).errors == 0
    assert at("|" + wrong, language).errors > 0


def test_every_language_with_a_grammar_has_a_sample() -> None:
    """No grammar is declared that nothing tries."""
    assert set(SAMPLES) == set(grammars._GRAMMARS)


@pytest.mark.parametrize("language", ["plaintext", "markdown", "elixir", ""])
def test_a_language_without_a_grammar_is_unknown(language: str) -> None:
    """Nothing is claimed about what cannot be parsed."""
    assert Trees().at(document("x = (", language), 3) is None


def test_a_huge_document_is_unknown() -> None:
    """What is too large to be parsed between two keys is not parsed at all."""
    source = "x = 1\n" * (trees.MAX_BYTES // 6 + 1)
    assert Trees().at(document(source), 0) is None


def test_a_document_that_takes_too_long_is_given_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first parse that exceeds its time makes the document unknown until it is closed: no key waits for another."""
    monkeypatch.setattr(trees, "_FIRST_PARSE_S", 0.0)
    kept, source = Trees(), SOURCES[0].read_text() + "x = [(1, 2), (3, 4)]\n" * 2000
    assert kept.at(document(source), 0) is None
    monkeypatch.undo()
    assert kept.at(document(source + "y"), 0) is None
    kept.forget("file:///a")
    assert kept.at(document(source), 0) is not None


def test_a_grammar_that_is_missing_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine for which there is no wheel has suggestions without syntax."""
    monkeypatch.setitem(grammars._GRAMMARS, "cobol", "tree_sitter_there_is_none")
    assert Trees().at(document("x", "cobol"), 0) is None


@pytest.mark.parametrize(
    ("marked", "text", "errors"),
    [
        ("x = |", "1", 0),
        ("x = '😀' + |", "1", 0),
        ("x = '😀' + |\ny = 'é'\n", "(", 1),
        ("def f():\r\n    a = 1 + |\r\n    return a\r\n", "1", 0),
        ("a = 1\rb = 1 + |\rif a: c()\r", "2", 0),
        ("\ufeffx = |", "1", 0),
        ("a = 1\n\x0c\nb = |\n", "(2)", 0),
        ("a = '\u2028' + |", "b", 0),
        ("x = '\ud83d' + |", "'\ude00'", 0),
    ],
)
def test_positions_are_code_points(marked: str, text: str, errors: int) -> None:
    """Emoji, half ones too, every line ending and odd blanks before the cursor do not move it."""
    spot = at(marked)
    assert spot.errors > 0
    found = spot.errors_with(text)
    assert found is not None
    assert (found > 0) == (errors > 0)


def test_what_is_right_of_the_cursor_can_be_replaced() -> None:
    """Errors are counted as if the text stood in the place of the characters after the cursor."""
    spot = at("print('é', |)\n")
    assert spot.errors_with("a).b()") == 1
    assert spot.errors_with("a).b()", 1) == 0


def test_asking_changes_nothing() -> None:
    """What was tried is thrown away: a spot answers the same, however often and whatever else is parsed."""
    kept = Trees()
    one = kept.at(document("x = 1\n"), 4)
    two = kept.at(document("x = (1\n"), 5)
    assert one is not None
    assert two is not None
    assert [one.errors_with("(("), one.errors_with("2"), one.errors_with("2")] == [one.errors_with("(("), 0, 0]
    assert (one.errors, two.errors > 0) == (0, True)


@pytest.mark.parametrize(
    ("language", "marked", "kind", "quote"),
    [
        ("python", "x = |", Kind.CODE, ""),
        ("python", "x = '|'", Kind.STRING, "'"),
        ("python", "x = 'a'|", Kind.CODE, ""),
        ("python", "x = |'a'", Kind.CODE, ""),
        ("python", 'def f():\n    """a\n    |b"""', Kind.STRING, '"""'),
        ("python", "x = f'a{|b}'", Kind.CODE, ""),
        ("python", "# a|", Kind.COMMENT, ""),
        ("python", "# a\n|", Kind.CODE, ""),
        ("python", "'😀' # a|b", Kind.COMMENT, ""),
        ("rust", "/* a */| fn f() {}", Kind.CODE, ""),
        ("rust", "/* a|\n */ fn f() {}", Kind.COMMENT, ""),
        ("javascript", "x = `a|`", Kind.STRING, "`"),
        ("javascript", "x = `a${b|}`", Kind.CODE, ""),
        ("javascriptreact", "x = <p>don't| stop</p>", Kind.TEXT, ""),
        ("html", "<p>One| two</p>", Kind.TEXT, ""),
        ("html", "<script>let a = '|';</script>", Kind.STRING, "'"),
        ("css", "a { /* b|c */ }", Kind.COMMENT, ""),
        ("shellscript", 'echo "a $(b|)"', Kind.CODE, ""),
        ("ruby", 'x = "a#{b|}"', Kind.CODE, ""),
    ],
)
def test_what_a_cursor_is_in(language: str, marked: str, kind: Kind, quote: str) -> None:
    """Strings and comments from their first character to their last; code that is put into strings is code."""
    spot = at(marked, language)
    assert (spot.kind, spot.quote) == (kind, quote)


def test_a_script_in_a_page_has_its_own_grammar() -> None:
    """Inside of scripts and styles their own language counts, outside the page's, which takes scripts for text."""
    page = "<p>one</p>\n<script lang='ts'>\nlet a: number = ;\n</script>\n<style>a { color: red; }</style>\n<p>|</p>"
    assert at(page, "svelte").errors == 0
    assert at(page.replace("|", "").replace("number = ;", "number = |;"), "svelte").errors == 1
    assert at(page.replace("|", "").replace("red", "|red"), "svelte").errors == 0


def test_a_script_does_not_end_in_the_middle() -> None:
    """A tag that would end a script is an error in it, though its grammar alone would not know."""
    spot = at("<script>\nlet a = 1;\n|\n</script>", "html")
    assert spot.errors_with("let b = 2;") == 0
    assert spot.errors_with("'</script>'") == 1


def test_few_trees_are_kept() -> None:
    """Memory is bounded however many documents are open, and a closed one's tree is gone."""
    kept = Trees(limit=2)
    for number in range(5):
        kept.at(document("x = 1", uri=f"file:///{number}"), 0)
    assert len(kept._kept) == 2
    kept.forget("file:///4")
    assert [uri for uri, _ in kept._kept] == ["file:///3"]


def test_key_by_key_is_the_same_as_from_scratch() -> None:
    """After any edits the kept tree tells the same as one that was parsed anew: whether and what is wrong."""
    chance, kept, compared = random.Random(1), Trees(), 0
    for _ in range(40):
        source = chance.choice(SOURCES).read_text("utf-8")[:6000]
        for _ in range(10):
            start = chance.randrange(len(source) + 1)
            end = min(start + chance.choice((0, 0, 1, 5, 40)), len(source))
            put_in = "".join(chance.choices("é😀\r\n\x0c()'\" :" + string.ascii_letters, k=chance.randrange(4)))
            source = source[:start] + put_in + source[end:]
            anew, again = Trees().at(document(source), start), kept.at(document(source), start)
            assert anew is not None
            assert again is not None
            assert (anew.errors == 0) == (again.errors == 0), repr(source)
            if anew.errors == 0:
                assert str(anew._tree.root_node) == str(again._tree.root_node)
                compared += 1
            else:
                source = chance.choice(SOURCES).read_text("utf-8")[:6000]
    assert compared > 20


@given(st.text(alphabet="aé😀\n", max_size=12), st.text(alphabet="aé😀\n", max_size=12))
def test_the_difference_of_two_texts(old: str, new: str) -> None:
    """What is told to have changed is all that changed, and no character is cut in two."""
    before, after = old.encode(), new.encode()
    start, old_end, new_end = trees._difference(before, after)
    assert before[:start] + after[start:new_end] + before[old_end:] == after
    assert 0 <= start <= min(old_end, new_end)
    for piece in (before[:start], before[old_end:], after[start:new_end]):
        piece.decode()


def test_grammars_are_loaded_when_they_are_needed() -> None:
    """Starting a window loads no parser, and a document loads only its own language's."""
    code = (
        "import sys, fimble.lsp.run, fimble.suggest.recipe\n"
        "from fimble.core import Document; from fimble.text import Text; from fimble.syntax import Trees\n"
        "found = lambda: sorted(name for name in sys.modules if name.startswith('tree_sitter') and '.' not in name)\n"
        "print(found()); Trees().at(Document('u', 'p', 'go', 1, Text('package a')), 0); print(found())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "['tree_sitter', 'tree_sitter_go']"]


def test_an_edit_that_turns_everything_round_waits_for_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open docstring makes strings of all that follows: no key waits for that parse, and a pause catches up."""
    kept, whole = Trees(), document("x = 1\n" * 200, "python")
    assert kept.at(whole, 0) is not None
    assert not kept.is_behind(whole.uri)
    monkeypatch.setattr(trees, "_NEXT_PARSE_S", 0.0)
    monkeypatch.setattr(trees, "_AT_ONCE_S", 0.0)
    opened = dataclasses.replace(whole, text=whole.text.replace(0, 0, '"""'))
    assert kept.at(opened, 3) is None
    assert kept.is_behind(whole.uri)
    kept.catch_up(opened, 3)
    assert not kept.is_behind(whole.uri)
    assert kept.at(opened, 3) is not None


def test_what_is_behind_catches_up_with_the_next_edit_that_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last tree is where the next parse starts from, whatever was typed in between."""
    kept, whole = Trees(), document("x = 1\n" * 200, "python")
    kept.at(whole, 0)
    opened = dataclasses.replace(whole, text=whole.text.replace(0, 0, '"""'))
    with monkeypatch.context() as slow:
        slow.setattr(trees, "_NEXT_PARSE_S", 0.0)
        slow.setattr(trees, "_AT_ONCE_S", 0.0)
        assert kept.at(opened, 3) is None
    monkeypatch.setattr(trees, "_NEXT_PARSE_S", 10.0)
    closed = dataclasses.replace(opened, text=opened.text.replace(3, 3, 'a"""\n'))
    spot = kept.at(closed, len(closed.text.source))
    assert spot is not None
    assert spot.errors == 0
