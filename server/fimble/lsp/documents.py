"""The open documents, kept equal to the editor's through every edit and in every position encoding."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from urllib.parse import unquote, urlparse

from lsprotocol import types
from pygls.uris import to_fs_path

from fimble.context.history import EditHistory
from fimble.core import Document
from fimble.text import Encoding, Text

#: The scheme of the documents that VS Code makes of a notebook's cells: the notebook's path, and a fragment.
_NOTEBOOK_CELL = "vscode-notebook-cell"


class Documents:
    """What the editor has open, the most recently used last.

    Immutable snapshots: whoever holds a Document keeps that version, whatever is typed meanwhile.
    """

    def __init__(self) -> None:
        self.encoding = Encoding.UTF16
        self.folders: tuple[Path, ...] = ()
        self.history = EditHistory()
        self._open: dict[str, Document] = {}
        self.edited_to: int | None = None
        """The offset where the last edit ended; None if it replaced a whole text."""

    def open(self, item: types.TextDocumentItem) -> None:
        """textDocument/didOpen."""
        path, file = self._path(item.uri), file_of(item.uri)
        self._open[item.uri] = Document(item.uri, path, item.language_id, item.version, Text(item.text), file)

    def change(self, params: types.DidChangeTextDocumentParams) -> None:
        """textDocument/didChange: the edits of one message, each on the result of the one before."""
        uri = params.text_document.uri
        document = self._open.pop(uri, None)
        if document is None:
            return  # never opened: there is nothing that the edit could be applied to
        text = document.text
        self.edited_to = None
        for change in params.content_changes:
            if isinstance(change, types.TextDocumentContentChangePartial):
                start, end = self._offset(text, change.range.start), self._offset(text, change.range.end)
                text = text.replace(start, end, change.text)
                self.edited_to = min(start, end) + len(change.text)
            else:
                text = Text(change.text)
        self._open[uri] = dataclasses.replace(document, version=params.text_document.version, text=text)
        if self.edited_to is not None:
            self.history.note(document, self._open[uri], text.line_of(self.edited_to))

    def close(self, uri: str) -> None:
        """textDocument/didClose."""
        self._open.pop(uri, None)
        self.history.closed(uri)

    def change_folders(self, event: types.WorkspaceFoldersChangeEvent) -> None:
        """workspace/didChangeWorkspaceFolders.  Open documents keep the names that they have."""
        removed = {file_of(folder.uri) for folder in event.removed}
        added = [file for folder in event.added if (file := file_of(folder.uri))]
        self.folders = (*(folder for folder in self.folders if folder not in removed), *added)

    def get(self, uri: str) -> Document | None:
        """The present version of a document, if it is open."""
        return self._open.get(uri)

    def others(self, uri: str) -> tuple[Document, ...]:
        """The other open documents, the most recently used first."""
        return tuple(document for document in reversed(self._open.values()) if document.uri != uri)

    def offset_at(self, document: Document, position: types.Position) -> int:
        """The offset of an LSP position."""
        return self._offset(document.text, position)

    def position_at(self, document: Document, offset: int) -> types.Position:
        """The LSP position of an offset."""
        line, character = document.text.position_at(offset, self.encoding)
        return types.Position(line=line, character=character)

    def _offset(self, text: Text, position: types.Position) -> int:
        return text.offset_at(position.line, position.character, self.encoding)

    def _path(self, uri: str) -> str:
        """What a person would call the file: relative to its folder where there is one."""
        path = file_of(uri)
        if path is None:
            return unquote(urlparse(uri).path).rpartition("/")[2]
        for folder in self.folders:
            if path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
        return path.name


def file_of(uri: str) -> Path | None:
    """Where a document lies on disk.  A cell belongs to its notebook: what excludes the file excludes the cell."""
    full = to_fs_path(uri.replace(f"{_NOTEBOOK_CELL}:", "file:", 1))
    return Path(full) if full else None
