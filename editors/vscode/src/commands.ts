// Every command of the palette.

import * as vscode from "vscode";

import { Explanations } from "./explain.ts";
import { tryIt } from "./first.ts";
import type { ServerSession } from "./server/session.ts";
import type { SetupDialog } from "./setup/dialog.ts";
import { run } from "./setup/run.ts";
import { showMenu } from "./status/menu.ts";
import type { Status } from "./status/words.ts";
import { chooseEagerness, toggle, toggleLanguage } from "./switches.ts";

export interface Parts {
  readonly session: ServerSession;
  readonly dialog: SetupDialog;
  readonly log: vscode.LogOutputChannel;
  status(): Status;
  show(status: Status): void;
}

/** Those that the editor has already, by the names under which people look for ours. */
const ALIASES = {
  "fimble.suggest": "editor.action.inlineSuggest.trigger",
  "fimble.acceptWord": "editor.action.inlineSuggest.acceptNextWord",
  "fimble.acceptLine": "editor.action.inlineSuggest.acceptNextLine",
  "fimble.next": "editor.action.inlineSuggest.showNext",
  "fimble.previous": "editor.action.inlineSuggest.showPrevious",
};

export function registerCommands(parts: Parts): vscode.Disposable {
  const { session, dialog, log } = parts;
  const explanations = new Explanations();
  const all: Record<string, () => unknown> = {
    "fimble.toggle": toggle,
    "fimble.toggleLanguage": toggleLanguage,
    "fimble.chooseEagerness": chooseEagerness,
    "fimble.menu": () => showMenu(parts.status()),
    "fimble.restart": () => session.start(),
    "fimble.showLog": () => log.show(),
    "fimble.doctor": () => check(session, log),
    "fimble.explain": () => explanations.show(session),
    "fimble.openSettings": () => vscode.commands.executeCommand("workbench.action.openSettings", "@ext:fimble.fimble"),
    "fimble.tryIt": tryIt,
    "fimble.walkthrough": () => vscode.commands.executeCommand("workbench.action.openWalkthrough", "fimble.fimble#firstMinute"),
    "fimble.setUp": () => setUp(parts),
    "fimble.updateEnvironment": () => setUp(parts),
    "fimble.removeEnvironment": () => removeEnvironment(session, dialog),
  };
  for (const [ours, theirs] of Object.entries(ALIASES)) {
    all[ours] = () => vscode.commands.executeCommand(theirs);
  }
  return vscode.Disposable.from(
    explanations.register(),
    ...Object.entries(all).map(([name, work]) => vscode.commands.registerCommand(name, work)),
  );
}

/** Tell the palette whether there is an environment of ours. */
export async function noteEnvironment(dialog: SetupDialog): Promise<void> {
  const has = (await dialog.environment.version()) !== undefined;
  await vscode.commands.executeCommand("setContext", "fimble.hasEnvironment", has);
}

async function setUp({ session, dialog, show }: Parts): Promise<void> {
  await session.stop(); // its files are about to change
  show({ state: "settingUp", message: "Setting up the server" });
  const isThere = await dialog.make();
  await noteEnvironment(dialog);
  await session.start();
  if (isThere) {
    void vscode.window.setStatusBarMessage("Fimble is set up.", 5_000);
  }
}

async function removeEnvironment(session: ServerSession, dialog: SetupDialog): Promise<void> {
  const remove = "Remove";
  const question = "Remove the Python environment that Fimble made for its server?";
  if ((await vscode.window.showWarningMessage(question, { modal: true }, remove)) !== remove) {
    return;
  }
  await session.stop();
  await dialog.environment.remove().catch((error: Error) => vscode.window.showErrorMessage(`Fimble: ${error.message}`));
  await noteEnvironment(dialog);
  await session.start();
}

async function check(session: ServerSession, log: vscode.LogOutputChannel): Promise<void> {
  log.show();
  const server = session.server;
  if (!server) {
    log.warn("There is no server to check. Set it up first.");
    return;
  }
  log.info(`$ ${server.program} doctor`);
  const env = { ...process.env, NO_COLOR: "1" };
  await run(server.program, ["doctor"], { onLine: (line) => log.info(line), timeout_ms: 60_000, env });
}
