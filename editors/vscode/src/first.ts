// A document in which something is suggested at once, for the first minute.

import * as vscode from "vscode";

const SAMPLE = `# The line below is not finished. Wait a moment, then press Tab.

def read_settings(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def read_colours(path):
    with open(path, enc`;

export async function tryIt(): Promise<void> {
  const document = await vscode.workspace.openTextDocument({ language: "python", content: SAMPLE });
  const editor = await vscode.window.showTextDocument(document);
  const end = document.positionAt(SAMPLE.length);
  editor.selection = new vscode.Selection(end, end);
  await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
}
