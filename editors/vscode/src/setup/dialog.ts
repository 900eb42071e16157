// Setting up by one click: progress with a way to cancel, a log, and an error that names the fix.

import * as fs from "node:fs/promises";
import * as path from "node:path";
import * as vscode from "vscode";

import { thisMachine } from "../machine.ts";
import { expandHome } from "../server/find.ts";
import { Environment } from "./environment.ts";
import { Cancelled, SetupProblem } from "./problem.ts";
import { findPython } from "./python.ts";
import { run } from "./run.ts";

const PROBE_TIMEOUT_MS = 10_000;

export class SetupDialog {
  readonly environment: Environment;
  readonly #extension: vscode.ExtensionContext;
  readonly #log: vscode.LogOutputChannel;
  #running: Promise<boolean> | undefined;
  #abort: AbortController | undefined;

  constructor(extension: vscode.ExtensionContext, log: vscode.LogOutputChannel) {
    this.#extension = extension;
    this.#log = log;
    this.environment = new Environment(extension.globalStorageUri.fsPath);
  }

  /** The version that this extension installs: its own. */
  get version(): string {
    return String((this.#extension.extension.packageJSON as { version: string }).version);
  }

  /** Make or update the environment; whether it is there then. Two clicks are one. */
  make(): Promise<boolean> {
    this.#running ??= this.#show().finally(() => (this.#running = undefined));
    return this.#running;
  }

  /** The window closes: nothing goes on compiling behind it. Resolves when all has ended. */
  async cancel(): Promise<void> {
    this.#abort?.abort();
    await this.#running;
  }

  async #show(): Promise<boolean> {
    const options = { location: vscode.ProgressLocation.Notification, title: "Setting up Fimble", cancellable: true };
    try {
      await vscode.window.withProgress(options, (progress, token) => {
        const abort = (this.#abort = new AbortController());
        token.onCancellationRequested(() => abort.abort());
        return this.#make(abort.signal, (message) => progress.report({ message }));
      });
      return true;
    } catch (error) {
      await this.#explain(error);
      return false;
    }
  }

  async #make(signal: AbortSignal, onProgress: (sentence: string) => void): Promise<void> {
    const settings = vscode.workspace.getConfiguration("fimble");
    const named = expandHome(settings.get<string>("python.path", ""), thisMachine);
    const wheels = expandHome(settings.get<string>("server.wheels", ""), thisMachine);
    if (wheels && !(await isFolder(wheels))) {
      throw new SetupProblem(`fimble.server.wheels names no folder: ${wheels}`);
    }
    onProgress("Looking for Python");
    const probe = { signal, timeout_ms: PROBE_TIMEOUT_MS };
    const python = await findPython(named, thisMachine, (program, args) => run(program, args, probe));
    const packages = { server: await this.#server(), wheels };
    const onLine = (line: string): void => this.#log.info(line);
    await this.environment.make({ python, packages, version: this.version, signal, onLine, onProgress });
  }

  /** The wheel that came with the extension, so that both have one version; else what the index has of it. */
  async #server(): Promise<string> {
    const folder = path.join(this.#extension.extensionPath, "server");
    const files = await fs.readdir(folder).catch(() => []);
    const wheel = files.find((file) => file.endsWith(".whl"));
    return wheel ? path.join(folder, wheel) : `fimble==${this.version}`;
  }

  async #explain(error: unknown): Promise<void> {
    if (error instanceof Cancelled) {
      this.#log.info("Setting up was cancelled.");
      return;
    }
    const message = error instanceof Error ? error.message : String(error);
    this.#log.error(message);
    const [showLog, again] = ["Show the Log", "Try Again"];
    void vscode.window.showErrorMessage(`Fimble could not be set up. ${message}`, again, showLog).then((choice) => {
      if (choice) {
        void vscode.commands.executeCommand(choice === again ? "fimble.setUp" : "fimble.showLog");
      }
    });
  }
}

async function isFolder(folder: string): Promise<boolean> {
  return (await fs.stat(folder).catch(() => undefined))?.isDirectory() ?? false;
}
