// Tells the server where the cursor went, so that the first suggestion there is as fast as the later ones.

import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";

import { SELECTOR } from "./client.ts";
import { Debounced, Moves } from "./moves.ts";

const DELAY_MS = 50;

export class CursorWatch implements vscode.Disposable {
  readonly #client: () => LanguageClient | undefined;
  readonly #moves = new Moves();
  readonly #debounced = new Debounced(DELAY_MS);
  readonly #listening: vscode.Disposable;

  constructor(client: () => LanguageClient | undefined) {
    this.#client = client;
    this.#listening = vscode.Disposable.from(
      vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => {
        if (this.#moves.isMove(textEditor.document)) {
          this.#debounced.call(() => this.#tell(textEditor));
        }
      }),
      vscode.window.onDidChangeActiveTextEditor(() => this.look()),
    );
  }

  /** The cursor may be elsewhere: another editor is in front, or there is somebody new to tell. */
  look(): void {
    const editor = vscode.window.activeTextEditor;
    if (editor) {
      this.#moves.isMove(editor.document);
      this.#debounced.call(() => this.#tell(editor));
    }
  }

  dispose(): void {
    this.#debounced.cancel();
    this.#listening.dispose();
  }

  #tell(editor: vscode.TextEditor): void {
    const client = this.#client();
    if (client && editor === vscode.window.activeTextEditor && vscode.languages.match(SELECTOR, editor.document) > 0) {
      const at = client.code2ProtocolConverter.asTextDocumentPositionParams(editor.document, editor.selection.active);
      // A server that is just ending hears nothing, and nobody misses it.
      client.sendNotification("fimble/didMoveCursor", at).catch(() => undefined);
    }
  }
}
