// Fimble in VS Code: launch, keys and status. What is suggested is the server's business.

import * as vscode from "vscode";

import { noteEnvironment, registerCommands } from "./commands.ts";
import { CursorWatch } from "./server/cursor.ts";
import { ServerSession } from "./server/session.ts";
import { SetupDialog } from "./setup/dialog.ts";
import { StatusItem } from "./status/item.ts";
import type { Status } from "./status/words.ts";

let session: ServerSession | undefined;
let dialog: SetupDialog | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const log = vscode.window.createOutputChannel("Fimble", { log: true });
  const item = new StatusItem();
  let status: Status = { state: "starting", message: "Starting" };
  const show = (now: Status): void => {
    status = now;
    item.show(now);
  };
  show(status);
  const setup = (dialog = new SetupDialog(context, log));
  const cursor = new CursorWatch(() => session?.client);
  session = new ServerSession(context, setup.environment.folder, log, show, () => cursor.look());
  const parts = { session, dialog: setup, log, show, status: () => status };
  context.subscriptions.push(log, item, cursor, session, registerCommands(parts), ...watch(session, () => status));
  await noteEnvironment(setup);
  await session.start();
  await offer(setup, status);
}

export async function deactivate(): Promise<void> {
  await Promise.all([dialog?.cancel(), session?.stop()]);
}

function watch(running: ServerSession, status: () => Status): vscode.Disposable[] {
  return [
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration("fimble.server.path")) {
        void running.start();
      } else if (change.affectsConfiguration("fimble")) {
        // The server asks for them.
        running.client?.sendNotification("workspace/didChangeConfiguration", { settings: null }).catch(() => undefined);
      }
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => startIfFound(running, status())),
    // Meanwhile it may have been set up in another window, or by hand.
    vscode.window.onDidChangeWindowState(({ focused }) => {
      if (focused) {
        startIfFound(running, status());
      }
    }),
  ];
}

function startIfFound(running: ServerSession, status: Status): void {
  if (status.state === "missing" && running.server) {
    void running.start();
  }
}

/** One click, where something is missing or older than this extension. */
async function offer(setup: SetupDialog, status: Status): Promise<void> {
  const version = await setup.environment.version();
  const isOld = version !== undefined && version !== setup.version;
  if (status.state !== "missing" && !isOld) {
    return;
  }
  const [yes, later] = [isOld ? "Update Fimble" : "Set Up Fimble", "Not Now"];
  const sentence = isOld
    ? `Fimble's server is ${version}, this extension is ${setup.version}.`
    : "Fimble's server is not set up yet: a Python environment of its own, made once.";
  void vscode.window.showInformationMessage(sentence, yes, later).then((choice) => {
    if (choice === yes) {
      void vscode.commands.executeCommand("fimble.setUp");
    }
  });
}
