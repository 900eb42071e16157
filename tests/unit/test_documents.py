"""Documents: what the editor has open, through every message that LSP has for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from fimble.lsp.documents import Documents
from fimble.text import Encoding

URI = "file:///project/a.py"

Change = types.TextDocumentContentChangePartial | types.TextDocumentContentChangeWholeDocument


def opened(text: str, uri: str = URI, encoding: Encoding = Encoding.UTF16) -> Documents:
    documents = Documents()
    documents.encoding = encoding
    documents.open(types.TextDocumentItem(uri=uri, language_id="python", version=1, text=text))
    return documents


def edit(start: tuple[int, int], end: tuple[int, int], text: str) -> types.TextDocumentContentChangePartial:
    first, last = types.Position(*start), types.Position(*end)
    return types.TextDocumentContentChangePartial(range=types.Range(first, last), text=text)


def change(documents: Documents, *changes: Change, uri: str = URI, version: int = 2) -> None:
    identifier = types.VersionedTextDocumentIdentifier(version=version, uri=uri)
    documents.change(types.DidChangeTextDocumentParams(text_document=identifier, content_changes=list(changes)))


def text_of(documents: Documents, uri: str = URI) -> str:
    document = documents.get(uri)
    assert document is not None
    return document.text.source


def test_each_edit_of_a_message_applies_to_the_result_of_the_one_before() -> None:
    """The changes of one didChange follow each other; they do not all start from the old text."""
    documents = opened("one\ntwo\n")
    change(documents, edit((0, 0), (0, 0), "zero\n"), edit((1, 0), (1, 3), "ONE"), edit((3, 0), (3, 0), "three"))
    assert text_of(documents) == "zero\nONE\ntwo\nthree"


def test_a_whole_text_replaces_the_document() -> None:
    """A change without a range is the new text, and edits after it in the same message apply to it."""
    documents = opened("old")
    change(documents, types.TextDocumentContentChangeWholeDocument(text="n\new"), edit((1, 0), (1, 0), "-"))
    assert text_of(documents) == "n\n-ew"


def test_a_change_keeps_path_and_language_and_takes_the_version() -> None:
    """Only the text and the version of a document change while it is open."""
    documents = opened("a")
    change(documents, edit((0, 1), (0, 1), "b"), version=7)
    document = documents.get(URI)
    assert document is not None
    assert (document.version, document.language, document.path) == (7, "python", "a.py")


def test_an_edit_of_a_file_that_was_never_opened_is_ignored() -> None:
    """There is nothing that such an edit could be applied to, and nothing else is harmed by it."""
    documents = opened("a")
    change(documents, edit((0, 0), (0, 0), "x"), uri="file:///project/other.py")
    assert documents.get("file:///project/other.py") is None
    assert text_of(documents) == "a"


def test_a_reversed_range_replaces_the_same_text() -> None:
    """A range whose end stands before its start is taken the right way round."""
    documents = opened("abc\ndef")
    change(documents, edit((1, 1), (0, 1), "-"))
    assert text_of(documents) == "a-ef"


def test_a_range_outside_the_text_is_moved_inside() -> None:
    """Positions past the end of a line or of the file mean their ends."""
    documents = opened("abc\r\ndef")
    change(documents, edit((0, 99), (0, 99), "!"), edit((99, 0), (99, 9), "?"))
    assert text_of(documents) == "abc!\r\ndef?"


def test_a_snapshot_is_not_changed_by_later_edits() -> None:
    """A request that holds a document keeps the version that it was made for."""
    documents = opened("a")
    before = documents.get(URI)
    change(documents, edit((0, 1), (0, 1), "b"))
    assert before is not None
    assert (before.text.source, before.version) == ("a", 1)


def test_a_closed_document_is_gone() -> None:
    """didClose forgets the text; closing twice is harmless."""
    documents = opened("a")
    documents.close(URI)
    documents.close(URI)
    assert documents.get(URI) is None


pieces = st.sampled_from(("a", " ", "\n", "\r", "\r\n", "\f", "\u2028", "é", "😀"))
texts = st.lists(pieces, max_size=12).map("".join)
numbers = st.integers(min_value=0, max_value=9)
spots = st.tuples(numbers, numbers)


@given(texts, st.lists(st.tuples(spots, spots, texts), min_size=1, max_size=5), st.sampled_from(list(Encoding)))
def test_one_message_equals_many(
    text: str, edits: list[tuple[tuple[int, int], tuple[int, int], str]], encoding: Encoding
) -> None:
    """It makes no difference whether an editor sends its edits in one message or one by one."""
    together, apart = opened(text, encoding=encoding), opened(text, encoding=encoding)
    change(together, *(edit(*one) for one in edits))
    for one in edits:
        change(apart, edit(*one))
    assert text_of(together) == text_of(apart)


@pytest.mark.parametrize(("encoding", "character"), [(Encoding.UTF8, 8), (Encoding.UTF16, 4), (Encoding.UTF32, 3)])
def test_positions_count_in_the_agreed_encoding(encoding: Encoding, character: int) -> None:
    """The place after an emoji, a letter and its accent has another number in every encoding and is the same offset."""
    documents = opened("😀é\u0301!", encoding=encoding)
    document = documents.get(URI)
    assert document is not None
    here = types.Position(line=0, character=character)
    assert documents.position_at(document, 3) == here
    assert documents.offset_at(document, here) == 3


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///project/src/pkg/a.py", "pkg/a.py"),
        ("file:///project/src/with%20space.py", "with space.py"),
        ("file:///project/docs/b.md", "docs/b.md"),
        ("file:///elsewhere/c.py", "c.py"),
        ("file:///project/srcs/d.py", "srcs/d.py"),
        ("untitled:Untitled-1", "Untitled-1"),
        ("inmemory://model/1.py", "1.py"),
        ("vscode-notebook-cell:/project/src/n.ipynb#W0", "n.ipynb"),
    ],
)
def test_a_path_is_what_a_person_calls_the_file(uri: str, path: str) -> None:
    """A path is relative to the first folder that holds the file, else the file's name."""
    documents = Documents()
    documents.folders = (Path("/project/src"), Path("/project"))
    documents.open(types.TextDocumentItem(uri=uri, language_id="python", version=1, text=""))
    document = documents.get(uri)
    assert document is not None
    assert document.path == path


def test_others_are_the_most_recently_used_first() -> None:
    """Editing a file makes it the most recent of the others; the asking file is not among them."""
    documents = Documents()
    for name in ("a", "b", "c"):
        documents.open(types.TextDocumentItem(uri=f"file:///{name}", language_id="python", version=1, text=""))
    assert [d.path for d in documents.others("file:///a")] == ["c", "b"]
    change(documents, edit((0, 0), (0, 0), "x"), uri="file:///b")
    assert [d.path for d in documents.others("file:///a")] == ["b", "c"]
    assert [d.path for d in documents.others("file:///b")] == ["c", "a"]
