"""pygls's protocol, with our own documents and with an answer to every request, also to a malformed one."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

from fimble.lsp.documents import Documents

_log = logging.getLogger("fimble.lsp")

_UserHandler = Generator[Any, Any, None]


class FimbleProtocol(LanguageServerProtocol):
    """Differs from pygls in two ways.

    Documents are ours: pygls splits lines at form feeds and U+2028, and edits in such files land elsewhere.
    A request whose parameters do not fit gets InvalidParams: pygls drops it, and the client waits for ever.
    """

    def __init__(self, server: LanguageServer, converter: Any) -> None:
        super().__init__(server, converter)
        self.documents = Documents()

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> _UserHandler:
        """A document was opened."""
        self.documents.open(params.text_document)
        yield from self._then(types.TEXT_DOCUMENT_DID_OPEN, params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> _UserHandler:
        """A document was edited."""
        self.documents.change(params)
        yield from self._then(types.TEXT_DOCUMENT_DID_CHANGE, params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> _UserHandler:
        """A document was closed."""
        self.documents.close(params.text_document.uri)
        yield from self._then(types.TEXT_DOCUMENT_DID_CLOSE, params)

    def _then(self, method: str, params: Any) -> _UserHandler:
        if (handler := self.fm.features.get(method)) is not None:
            yield handler, (params,), None

    def structure_message(self, data: Any) -> Any:
        """Type a message; one that cannot be typed is answered here and then dropped (None)."""
        if not (isinstance(data, dict) and "jsonrpc" in data):
            return data
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            _log.warning("a malformed %s message was refused", data.get("method", "response"))
            if "method" in data and isinstance(data.get("id"), (int, str)):
                refusal = error if isinstance(error, JsonRpcInvalidParams) else JsonRpcInvalidParams()
                self._send_response(data["id"], error=refusal.to_response_error())
            return None

    def handle_message(self, message: Any) -> None:
        """Handle a typed message; what is no JSON-RPC message at all is ignored."""
        if hasattr(message, "jsonrpc"):
            super().handle_message(message)
        elif message is not None:
            _log.warning("something that is no JSON-RPC message was ignored")
