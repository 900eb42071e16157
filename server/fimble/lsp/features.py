"""Every LSP method that Fimble answers.

Handlers are coroutines: pygls runs plain functions on the reader, and $/cancelRequest would come too late.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsprotocol import types

from fimble.core import Suggestion, Trigger
from fimble.lsp.server import ACCEPTED_COMMAND, CURSOR_NOTIFICATION, EXPLAIN_REQUEST, STATS_REQUEST, FimbleServer

_TRIGGER_CHARACTERS = [".", "(", "=", ",", " "]


def new_server(flags: Mapping[str, Any] | None = None) -> FimbleServer:
    """A server with all its features; *flags* are settings from the command line."""
    server = FimbleServer(flags)
    _add_lifecycle(server)
    _add_documents(server)
    _add_suggestions(server)
    return server


def _add_lifecycle(server: FimbleServer) -> None:
    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.read_initialize(params)

    @server.feature(types.INITIALIZED)
    async def initialized(_params: types.InitializedParams) -> None:
        server.start_soon(server.configure())
        server.start_soon(server.watch_files())

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def did_change_configuration(params: types.DidChangeConfigurationParams) -> None:
        settings = params.settings
        if isinstance(settings, Mapping):
            inner = settings.get("fimble", settings)
            server.editor_settings = inner if isinstance(inner, Mapping) else None
        server.start_soon(server.configure())

    @server.feature(types.SHUTDOWN)
    async def shutdown(_params: None) -> None:
        await server.session.close()

    @server.feature(EXPLAIN_REQUEST)
    async def explain(params: Any) -> dict[str, Any] | None:
        at = server.place_in(EXPLAIN_REQUEST, params)
        return await server.explain(at.text_document.uri, at.position) if at else None

    @server.feature(STATS_REQUEST)
    async def stats(_params: Any) -> dict[str, Any]:
        return server.session.stats.as_dict()


def _add_documents(server: FimbleServer) -> None:
    # The protocol keeps the documents; these end work that an edit has made worthless.
    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        server.edited(params.text_document.uri)

    @server.feature(CURSOR_NOTIFICATION)
    def did_move_cursor(params: Any) -> None:
        server.moved_to(params)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        server.closed(params.text_document.uri)

    # What is on disk is the index's matter.
    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def did_save(params: types.DidSaveTextDocumentParams) -> None:
        server.saved([params.text_document.uri])

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def did_change_watched_files(params: types.DidChangeWatchedFilesParams) -> None:
        server.saved([change.uri for change in params.changes])

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    async def did_change_folders(params: types.DidChangeWorkspaceFoldersParams) -> None:
        server.documents.change_folders(params.event)
        server.start_soon(server.configure())


def _add_suggestions(server: FimbleServer) -> None:
    # Without the options object pygls does not advertise the capability.
    @server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())
    async def inline_completion(params: types.InlineCompletionParams) -> types.InlineCompletionList | None:
        invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
        trigger = Trigger.INVOKED if invoked else Trigger.AUTOMATIC
        selected = params.context.selected_completion_info
        answer = await server.suggest("inline", params.text_document.uri, params.position, trigger, selected)
        if answer is None:
            return None
        return types.InlineCompletionList(items=[_inline_item(s, answer.range) for s in answer.suggestions])

    options = types.CompletionOptions(trigger_characters=_TRIGGER_CHARACTERS)

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, options)
    async def completion(params: types.CompletionParams) -> types.CompletionList | None:
        if not _wants_menu(server):
            return None
        answer = await server.suggest("menu", params.text_document.uri, params.position, Trigger.AUTOMATIC)
        if answer is None:
            return None
        items = [_menu_item(s, answer.range) for s in answer.suggestions]
        # Incomplete: the next key wants a new question, not a filtered old answer.
        return types.CompletionList(is_incomplete=True, items=items)

    @server.command(ACCEPTED_COMMAND)
    async def accepted(suggestion: Any = None) -> None:
        known = suggestion if isinstance(suggestion, Mapping) else {}
        source, chars = str(known.get("source", "")), known.get("chars")
        server.session.stats.add("accepted", source)
        if isinstance(chars, int) and chars > 1:  # it took a key to accept them
            server.session.stats.add("keys_saved", source, chars - 1)
        if server.session.suggester and isinstance(known.get("id"), int):
            server.session.suggester.reactions.accepted(known["id"])


def _wants_menu(server: FimbleServer) -> bool:
    wanted = server.session.config.suggest.completion_menu
    if wanted != "auto":
        return wanted == "always"
    document = server.client_capabilities.text_document
    return not (document and document.inline_completion)


def _accepted(suggestion: Suggestion) -> types.Command:
    argument = {"id": suggestion.id, "source": str(suggestion.source), "latency_ms": round(suggestion.latency_ms, 2)}
    argument |= {"chars": len(suggestion.text)}
    return types.Command(title="Accepted", command=ACCEPTED_COMMAND, arguments=[argument])


def _with_replaced(place: types.Range, suggestion: Suggestion) -> types.Range:
    # Only closers are replaced, and each of them is one unit in every encoding.
    end = types.Position(line=place.end.line, character=place.end.character + suggestion.replaces)
    return types.Range(start=place.start, end=end)


def _inline_item(suggestion: Suggestion, place: types.Range) -> types.InlineCompletionItem:
    # The range is always sent: some clients show nothing without it.
    return types.InlineCompletionItem(
        insert_text=suggestion.text,
        range=_with_replaced(place, suggestion),
        command=_accepted(suggestion),
    )


def _menu_item(suggestion: Suggestion, place: types.Range) -> types.CompletionItem:
    first_line = suggestion.text.strip().partition("\n")[0]
    return types.CompletionItem(
        label=first_line,
        kind=types.CompletionItemKind.Text,
        detail=f"Fimble ({suggestion.source})",
        documentation=suggestion.text if "\n" in suggestion.text.strip() else None,
        sort_text="\x01",
        filter_text=first_line,
        text_edit=types.TextEdit(range=_with_replaced(place, suggestion), new_text=suggestion.text),
        command=_accepted(suggestion),
    )
