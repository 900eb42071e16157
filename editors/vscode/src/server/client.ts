// The language client of one server process.

import { homedir } from "node:os";
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  type LanguageClientOptions,
  type StaticFeature,
} from "vscode-languageclient/node";

import { parseStatus, type Status } from "../status/words.ts";
import { explicitSettings, serverKeys } from "./explicit.ts";

/** Documents that are completed. Output, diffs and chats are not among them. */
export const SELECTOR = ["file", "untitled", "vscode-notebook-cell", "vscode-vfs"].map((scheme) => ({ scheme }));

export interface Listener {
  onStatus(status: Status): void;
  /** The server ended by itself. */
  onEnd(): void;
}

/** A client that is not started yet; it lives as long as its server. */
export function newClient(
  program: string,
  extension: vscode.Extension<unknown>,
  log: vscode.LogOutputChannel,
  listener: Listener,
): LanguageClient {
  const manifest = extension.packageJSON as { contributes: { configuration: { properties?: object }[] } };
  const keys = serverKeys(manifest.contributes.configuration);
  const options: LanguageClientOptions = {
    documentSelector: SELECTOR,
    outputChannel: log,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    initializationFailedHandler: () => false,
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: () => {
        listener.onEnd();
        return { action: CloseAction.DoNotRestart, handled: true }; // whoever listens starts a new one
      },
    },
    middleware: {
      workspace: {
        configuration: (params) => params.items.map((item) => (item.section === "fimble" ? explicit(keys) : null)),
      },
    },
  };
  // Not from the workspace's folder: a program that is looked for there first would be the workspace's.
  const client = new LanguageClient("fimble", "Fimble", { command: program, args: ["lsp"], options: { cwd: homedir() } }, options);
  client.registerFeature(wantsStatus);
  client.onNotification("fimble/status", (value: unknown) => {
    const status = parseStatus(value);
    if (status) {
      listener.onStatus(status);
    }
  });
  return client;
}

const wantsStatus: StaticFeature = {
  fillClientCapabilities: (capabilities) => {
    capabilities.experimental = { ...(capabilities.experimental as object | undefined), fimbleStatus: true };
  },
  initialize: () => undefined,
  getState: () => ({ kind: "static" }),
  clear: () => undefined,
};

function explicit(keys: readonly string[]): Record<string, unknown> {
  const settings = vscode.workspace.getConfiguration("fimble");
  return explicitSettings(keys, (key) => settings.inspect(key));
}
