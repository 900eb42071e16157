// What the server says of the place of the cursor, as a page beside the file.

import * as vscode from "vscode";

import type { ServerSession } from "./server/session.ts";

/** Pages that nobody can edit, so that closing one asks for nothing. */
const SCHEME = "fimble";
const PAGE = vscode.Uri.from({ scheme: SCHEME, path: "/Why this is suggested.md" });

/** The part of the answer to `fimble/explain` that is for people. */
interface Explained {
  readonly markdown: string;
}

export class Explanations implements vscode.TextDocumentContentProvider {
  readonly #changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.#changed.event;
  #content = "";

  register(): vscode.Disposable {
    return vscode.Disposable.from(this.#changed, vscode.workspace.registerTextDocumentContentProvider(SCHEME, this));
  }

  provideTextDocumentContent(): string {
    return this.#content;
  }

  /** Ask about the cursor of the active editor, and show the answer beside it. */
  async show(session: ServerSession): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    const client = session.client;
    if (!editor || !client) {
      const sentence = editor ? "Fimble does not run yet." : "Open a file and put the cursor where you want to know why.";
      void vscode.window.showInformationMessage(sentence);
      return;
    }
    const textDocument = client.code2ProtocolConverter.asTextDocumentIdentifier(editor.document);
    const position = client.code2ProtocolConverter.asPosition(editor.selection.active);
    const found = await client.sendRequest<Explained | null>("fimble/explain", { textDocument, position });
    this.#content = found?.markdown ?? "Fimble does not know this document.\n";
    this.#changed.fire(PAGE);
    const page = await vscode.workspace.openTextDocument(PAGE);
    const where = { viewColumn: vscode.ViewColumn.Beside, preview: true, preserveFocus: true };
    await vscode.window.showTextDocument(page, where);
  }
}
