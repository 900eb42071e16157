// What the server says of the place of the cursor, as a page beside the file.

import * as vscode from "vscode";

import type { ServerSession } from "./server/session.ts";

/** The part of the answer to `fimble/explain` that is for people. */
interface Explained {
  readonly markdown: string;
}

export async function explain(session: ServerSession): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  const client = session.client;
  if (!editor || !client) {
    void vscode.window.showInformationMessage(
      editor ? "Fimble does not run yet." : "Open a file and put the cursor where you want to know why.",
    );
    return;
  }
  const textDocument = client.code2ProtocolConverter.asTextDocumentIdentifier(editor.document);
  const position = client.code2ProtocolConverter.asPosition(editor.selection.active);
  const found = await client.sendRequest<Explained | null>("fimble/explain", { textDocument, position });
  const content = found?.markdown ?? "Fimble does not know this document.";
  const page = await vscode.workspace.openTextDocument({ language: "markdown", content });
  await vscode.window.showTextDocument(page, { viewColumn: vscode.ViewColumn.Beside, preview: true, preserveFocus: true });
}
