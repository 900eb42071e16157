// Fimble in VS Code: launch, keys and status. What is suggested is the server's business.

import * as vscode from "vscode";

import { noteEnvironment, registerCommands } from "./commands.ts";
import { CursorWatch } from "./server/cursor.ts";
import { ServerSession } from "./server/session.ts";
import { SetupDialog } from "./setup/dialog.ts";
import { StatusItem } from "./status/item.ts";
import type { Status } from "./status/words.ts";

let session: ServerSession | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const log = vscode.window.createOutputChannel("Fimble", { log: true });
  const item = new StatusItem();
  let status: Status = { state: "starting", message: "Starting" };
  const show = (now: Status): void => {
    status = now;
    item.show(now);
  };
  show(status);
  const dialog = new SetupDialog(context, log);
  const cursor = new CursorWatch(() => session?.client);
  session = new ServerSession(context, dialog.environment.folder, log, show, () => cursor.look());
  const parts = { session, dialog, log, show, status: () => status };
  context.subscriptions.push(log, item, cursor, session, registerCommands(parts), ...watchSettings(session));
  await noteEnvironment(dialog);
  await session.start();
  await offer(dialog, status);
}

export async function deactivate(): Promise<void> {
  await session?.stop();
}

function watchSettings(running: ServerSession): vscode.Disposable[] {
  return [
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration("fimble.server.path")) {
        void running.start();
      } else if (change.affectsConfiguration("fimble")) {
        // The server asks for them.
        running.client?.sendNotification("workspace/didChangeConfiguration", { settings: null }).catch(() => undefined);
      }
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => {
      if (!running.client) {
        void running.start();
      }
    }),
  ];
}

/** One click, where something is missing or older than this extension. */
async function offer(dialog: SetupDialog, status: Status): Promise<void> {
  const version = await dialog.environment.version();
  const isOld = version !== undefined && version !== dialog.version;
  if (status.state !== "missing" && !isOld) {
    return;
  }
  const [yes, later] = [isOld ? "Update Fimble" : "Set Up Fimble", "Not Now"];
  const sentence = isOld
    ? `Fimble's server is ${version}, this extension is ${dialog.version}.`
    : "Fimble's server is not set up yet: a Python environment of its own, made once.";
  void vscode.window.showInformationMessage(sentence, yes, later).then((choice) => {
    if (choice === yes) {
      void vscode.commands.executeCommand("fimble.setUp");
    }
  });
}
