// The menu behind the status bar item.

import * as vscode from "vscode";

import { isLanguageOn, isOn } from "../switches.ts";
import type { Status } from "./words.ts";

interface Entry extends vscode.QuickPickItem {
  readonly command?: string;
}

export async function showMenu(status: Status): Promise<void> {
  const pick = await vscode.window.showQuickPick(entries(status), {
    title: `Fimble: ${status.message || status.state}`,
    placeHolder: status.model ? `Model: ${status.model}` : "What next?",
  });
  if (pick?.command) {
    await vscode.commands.executeCommand(pick.command);
  }
}

function entries(status: Status): Entry[] {
  const language = vscode.window.activeTextEditor?.document.languageId;
  const eagerness = vscode.workspace.getConfiguration("fimble").get("suggest.eagerness", "");
  const separator: Entry = { label: "", kind: vscode.QuickPickItemKind.Separator };
  return [
    ...(status.state === "missing" ? [{ label: "$(cloud-download) Set up the server", command: "fimble.setUp" }] : []),
    { label: isOn() ? "$(circle-slash) Turn suggestions off" : "$(check) Turn suggestions on", command: "fimble.toggle" },
    ...(language
      ? [
          {
            label: isLanguageOn(language) ? `$(circle-slash) Turn off for ${language}` : `$(check) Turn on for ${language}`,
            command: "fimble.toggleLanguage",
          },
        ]
      : []),
    { label: "$(settings) How eager?", description: eagerness, command: "fimble.chooseEagerness" },
    separator,
    { label: "$(output) Show the log", command: "fimble.showLog" },
    { label: "$(debug-restart) Restart the server", command: "fimble.restart" },
    { label: "$(pulse) Check this installation", description: "fimble doctor", command: "fimble.doctor" },
    separator,
    { label: "$(gear) Settings", command: "fimble.openSettings" },
    { label: "$(book) First steps", command: "fimble.walkthrough" },
  ];
}
