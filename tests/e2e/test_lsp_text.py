"""Documents of every kind through the real server: encodings, line endings, sizes, garbage."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient
from test_lsp import CURSOR, ECHO_REST, ECHO_START, LINE, SOURCE
from window import NewWindow, RawServer


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
async def test_positions_in_every_encoding(new_window: NewWindow, encoding: str) -> None:
    """With emoji and accents left of the cursor, the suggestion stands at the cursor, counted as the client counts."""
    window = await new_window(encoding=encoding)
    source = SOURCE.replace("import os", "greeting = '😀é👍🏽'; import os")
    uri = window.open("a.py", source)
    offset = window.type(uri, len(source) - 1, "'😀é'; ")
    offset = window.type(uri, offset, ECHO_START)
    (item,) = await window.ask(uri, offset)
    assert item.insert_text == ECHO_REST
    assert item.range is not None
    assert item.range.start == window.position(uri, offset)


@pytest.mark.parametrize("separator", ["\f", "\u2028", "\u0085", "\v"])
async def test_characters_that_python_takes_for_line_ends(new_window: NewWindow, separator: str) -> None:
    """A form feed or U+2028 above the cursor does not shift edits to another line."""
    window = await new_window()
    source = f"first = 1{separator} second = 2\n" + SOURCE
    uri = window.open("a.py", source)
    offset = window.type(uri, len(source) - 1, ECHO_START)
    (item,) = await window.ask(uri, offset)
    assert item.insert_text == ECHO_REST


async def test_crlf(new_window: NewWindow) -> None:
    """In a CRLF file suggestions hold no carriage return, and edits land on the right line."""
    window = await new_window()
    uri = window.open("a.py", SOURCE.replace("\n", "\r\n"))
    line = SOURCE.count("\n") - 1
    here = types.Position(line=line, character=4)
    change = types.TextDocumentContentChangePartial(range=types.Range(start=here, end=here), text=ECHO_START)
    identifier = types.VersionedTextDocumentIdentifier(uri=uri, version=2)
    window.client.text_document_did_change(
        types.DidChangeTextDocumentParams(text_document=identifier, content_changes=[change])
    )
    params = types.InlineCompletionParams(
        text_document=types.TextDocumentIdentifier(uri=uri),
        position=types.Position(line=line, character=4 + len(ECHO_START)),
        context=types.InlineCompletionContext(trigger_kind=types.InlineCompletionTriggerKind.Automatic),
    )
    answer = await window.client.text_document_inline_completion_async(params)
    assert isinstance(answer, types.InlineCompletionList)
    assert answer.items[0].insert_text == ECHO_REST


async def test_large_binary_and_unknown_files(new_window: NewWindow) -> None:
    """A file of 5 MB, a binary file and a language nobody knows: silence or a suggestion, never a failure."""
    window = await new_window()
    large = window.open("large.py", SOURCE * 40_000)
    assert len(window.texts[large]) > 5_000_000
    assert await window.ask(large, window.type(large, 100, "x")) == []
    binary = window.open("data.bin", "\0\x01\x02" + SOURCE, "plaintext")
    assert await window.ask(binary, len(SOURCE)) == []
    unknown = window.open("a.zork", SOURCE, "zork")
    (item,) = await window.ask(unknown, window.type(unknown, CURSOR, ECHO_START))
    assert item.insert_text == ECHO_REST


async def test_positions_outside_the_document(new_window: NewWindow) -> None:
    """Positions past the end of a line or of the file are taken for the nearest place that exists."""
    window = await new_window()
    uri = window.open("a.py", SOURCE)
    far = types.Position(line=9999, character=9999)
    change = types.TextDocumentContentChangePartial(range=types.Range(start=far, end=far), text="\n" + ECHO_START)
    identifier = types.VersionedTextDocumentIdentifier(uri=uri, version=2)
    window.client.text_document_did_change(
        types.DidChangeTextDocumentParams(text_document=identifier, content_changes=[change])
    )
    window.texts[uri] += "\n" + ECHO_START
    (item,) = await window.ask(uri, len(window.texts[uri]))
    assert item.insert_text == ECHO_REST


async def test_documents_nobody_opened(new_window: NewWindow) -> None:
    """Edits and questions about a file that was never opened are ignored, and the server goes on."""
    window = await new_window()
    uri = window.open("a.py", SOURCE)
    ghost = uri.replace("a.py", "ghost.py")
    window.texts[ghost], window.versions[ghost] = "text", 1
    window.type(ghost, 0, "more")
    assert await window.ask(ghost, 0) == []
    window.client.text_document_did_close(
        types.DidCloseTextDocumentParams(text_document=types.TextDocumentIdentifier(uri=ghost))
    )
    assert await window.ask(uri, window.type(uri, CURSOR, ECHO_START))


async def test_random_edits_keep_both_texts_equal(new_window: NewWindow) -> None:
    """After hundreds of random edits the server still has the client's text: it finds what stands there."""
    window = await new_window()
    uri = window.open("a.py", SOURCE)
    chance = random.Random(7)
    alphabet = ["x", "\n", "é", "😀", "\f", "\u2028", "    ", "()", "\t"]
    for _ in range(400):
        text = window.texts[uri]
        start = chance.randrange(len(text) + 1)
        remove = min(chance.choice([0, 0, 0, 1, 3]), len(text) - start)
        window.type(uri, start, chance.choice(alphabet), remove)
    # A marker that stands nowhere else: the echo can only complete it if the server's text is ours.
    offset = window.type(uri, len(window.texts[uri]) // 2, f"\n{LINE}\nsecond_{ECHO_START}\n")
    (item,) = await window.ask(uri, offset - 1)
    assert item.insert_text == ECHO_REST


_INITIALIZE: dict[str, Any] = {"capabilities": {}, "processId": None, "rootUri": None}


async def test_garbage_on_stdin(home: Path) -> None:
    """Whatever arrives on stdin, the server neither ends nor writes anything but protocol to stdout."""
    server = await RawServer.start()
    for body in (b"not json", b"[1, 2, 3]", b"null", b'"text"', b'{"jsonrpc": "2.0"}', b"\xff\xfe\x00", b"{}"):
        await server.send(body)
    await server.send(b"\x00garbage without a header\r\n\r\n\r\nContent-Length: x\r\n\r\n", header=False)
    answer = await server.ask(1, "initialize", _INITIALIZE)
    assert answer["result"]["serverInfo"]["name"] == "fimble"
    assert await server.end() == 0


async def test_invalid_params_are_answered(home: Path) -> None:
    """A request whose parameters do not fit gets InvalidParams instead of silence, and the server goes on."""
    server = await RawServer.start()
    await server.ask(1, "initialize", _INITIALIZE)
    document = {"uri": "file:///a.py", "languageId": "python", "version": 1, "text": SOURCE}
    opened = {"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}}
    await server.send(json.dumps(opened).encode())
    positions: tuple[Any, ...] = ({"line": -1, "character": 0}, {"line": "x", "character": 0}, None, [])
    for id_, position in enumerate(positions, start=2):
        params = {"textDocument": {"uri": "file:///a.py"}, "position": position, "context": {"triggerKind": 2}}
        for method in ("textDocument/inlineCompletion", "textDocument/completion"):
            answer = await server.ask(id_, method, params)
            assert answer["error"]["code"] == -32602, (method, position)
    good = {"textDocument": {"uri": "file:///a.py"}, "position": {"line": 0, "character": 0}}
    for id_, method in ((20, "textDocument/inlineCompletion"), (21, "textDocument/completion")):
        assert "error" not in await server.ask(id_, method, {**good, "context": {"triggerKind": 2}})
    unknown = await server.ask(30, "textDocument/nothing", {})
    assert unknown["error"]["code"] == -32601
    assert await server.end() == 0


@pytest.mark.parametrize(("polite", "status"), [(True, 0), (False, 1)])
async def test_exit_status(home: Path, polite: bool, status: int) -> None:
    """`exit` ends the server with 0 after `shutdown` and with 1 without it (LSP, "Exit Notification")."""
    server = await RawServer.start()
    await server.ask(1, "initialize", _INITIALIZE)
    if polite:
        await server.ask(2, "shutdown", None)
    await server.send(b'{"jsonrpc": "2.0", "method": "exit"}')
    assert await server.end() == status


async def test_tcp_for_debugging(home: Path) -> None:
    """`fimble lsp --tcp PORT` serves one client on loopback, and ends when that client is gone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = (sys.executable, "-m", "fimble", "lsp", "--tcp", str(port))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    assert str(port).encode() in await asyncio.wait_for(process.stderr.readline(), 20)
    client = LanguageClient("tcp", "1")
    await client.start_tcp("127.0.0.1", port)
    answer = await client.initialize_async(types.InitializeParams(capabilities=types.ClientCapabilities()))
    assert answer.server_info is not None
    assert answer.server_info.name == "fimble"
    await client.shutdown_async(None)
    client.exit(None)
    assert await asyncio.wait_for(process.wait(), 20) == 0


@pytest.mark.parametrize("answer", ["nothing", "an error", "an empty object"])
async def test_an_editor_that_does_not_tell_its_settings(home: Path, answer: str) -> None:
    """Settings from initialize hold when workspace/configuration is declared and then not, or emptily, answered."""
    server = await RawServer.start()
    options = {"suggest": {"enabled": False}}
    capabilities = {"workspace": {"configuration": True}}
    await server.ask(1, "initialize", {**_INITIALIZE, "capabilities": capabilities, "initializationOptions": options})
    await server.send(b'{"jsonrpc": "2.0", "method": "initialized", "params": {}}')
    asked = await server.read("workspace/configuration")
    answers = {"an error": '"error": {"code": -32603, "message": "no"}', "an empty object": '"result": [{}]'}
    if answer in answers:
        await server.send(f'{{"jsonrpc": "2.0", "id": {json.dumps(asked["id"])}, {answers[answer]}}}'.encode())
    document = {"uri": "file:///a.py", "languageId": "python", "version": 1, "text": SOURCE + ECHO_START}
    opened = {"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}}
    await server.send(json.dumps(opened).encode())
    position = {"line": SOURCE.count("\n"), "character": len(ECHO_START)}
    params = {"textDocument": {"uri": "file:///a.py"}, "position": position, "context": {"triggerKind": 2}}
    found = await server.ask(2, "textDocument/inlineCompletion", params)
    # Configured (null would mean that it is not), and with the settings of initialize: nothing is suggested.
    assert found["result"] == {"items": []}
    assert await server.end() == 0
