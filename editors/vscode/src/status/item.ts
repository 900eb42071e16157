// The item in the status bar.

import * as vscode from "vscode";

import { words, type Status } from "./words.ts";

const BACKGROUNDS = { none: undefined, warning: "statusBarItem.warningBackground", error: "statusBarItem.errorBackground" };

export class StatusItem implements vscode.Disposable {
  readonly #item = vscode.window.createStatusBarItem("fimble.status", vscode.StatusBarAlignment.Right, 100);

  constructor() {
    this.#item.name = "Fimble";
    this.#item.command = "fimble.menu";
    this.#item.show();
  }

  show(status: Status): void {
    const { text, tooltip, label, severity } = words(status);
    const background = BACKGROUNDS[severity];
    this.#item.text = text;
    this.#item.tooltip = tooltip;
    this.#item.accessibilityInformation = { label, role: "button" };
    this.#item.backgroundColor = background ? new vscode.ThemeColor(background) : undefined;
  }

  dispose(): void {
    this.#item.dispose();
  }
}
