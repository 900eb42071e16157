// The server of this window: found, started, watched, started again.

import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";

import { thisMachine } from "../machine.ts";
import { run } from "../setup/run.ts";
import type { Status } from "../status/words.ts";
import { newClient } from "./client.ts";
import { findServers, type Candidate } from "./find.ts";
import { RestartPolicy } from "./restart.ts";
import { isCompatible, parseVersion } from "./version.ts";

const VERSION_TIMEOUT_MS = 20_000;

export class ServerSession implements vscode.Disposable {
  readonly #extension: vscode.ExtensionContext;
  readonly #environment: string;
  readonly #log: vscode.LogOutputChannel;
  readonly #onStatus: (status: Status) => void;
  readonly #onRunning: () => void;
  readonly #policy = new RestartPolicy();
  #client: LanguageClient | undefined;
  #restart: NodeJS.Timeout | undefined;
  /** Starts and stops one after the other, however fast they are asked for. */
  #turn: Promise<void> = Promise.resolve();

  constructor(
    extension: vscode.ExtensionContext,
    environment: string,
    log: vscode.LogOutputChannel,
    onStatus: (status: Status) => void,
    onRunning: () => void,
  ) {
    this.#extension = extension;
    this.#environment = environment;
    this.#log = log;
    this.#onStatus = onStatus;
    this.#onRunning = onRunning;
  }

  /** The client of a server that runs. */
  get client(): LanguageClient | undefined {
    return this.#client?.isRunning() ? this.#client : undefined;
  }

  /** The program that is or would be started. */
  get server(): Candidate | undefined {
    return findServers(
      {
        setting: vscode.workspace.getConfiguration("fimble").get("server.path", ""),
        environment: this.#environment,
        trustedFolders: vscode.workspace.isTrusted ? localFolders() : [],
      },
      thisMachine,
    )[0];
  }

  /** Start the server anew, because a person or a setting wants it. */
  start(): Promise<void> {
    this.#policy.forget();
    return this.#next(() => this.#start());
  }

  stop(): Promise<void> {
    clearTimeout(this.#restart);
    return this.#next(() => this.#stop());
  }

  dispose(): void {
    void this.stop();
  }

  #next(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(work).catch((error: unknown) => this.#log.error(String(error)));
    return this.#turn;
  }

  async #stop(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.dispose().catch((error: unknown) => this.#log.warn(String(error)));
  }

  async #start(): Promise<void> {
    clearTimeout(this.#restart);
    await this.#stop();
    const server = this.server;
    void vscode.commands.executeCommand("setContext", "fimble.hasServer", server !== undefined);
    if (server === undefined) {
      this.#onStatus({ state: "missing", message: "The server is not set up yet" });
      return;
    }
    this.#onStatus({ state: "starting", message: "Starting" });
    const problem = await this.#problemOf(server);
    if (problem) {
      this.#log.error(problem);
      this.#onStatus({ state: "error", message: problem });
      return;
    }
    await this.#launch(server);
  }

  /** Why this program is no server for us, or undefined. */
  async #problemOf({ program, origin }: Candidate): Promise<string | undefined> {
    const { output } = await run(program, ["--version"], { timeout_ms: VERSION_TIMEOUT_MS });
    const version = parseVersion(output);
    const ours = String((this.#extension.extension.packageJSON as { version: string }).version);
    if (version === undefined) {
      const fix = origin === "environment" ? "Set up the server again." : "Correct or empty fimble.server.path, or set up the server.";
      return `${program} is no Fimble: ${output.split("\n").pop() || "it printed nothing"}. ${fix}`;
    }
    this.#log.info(`Found Fimble ${version} at ${program} (${origin})`);
    if (!isCompatible(version, ours)) {
      return `${program} is Fimble ${version}, this extension is ${ours}. Update ${origin === "environment" ? "the server's environment" : "the older one of them"}.`;
    }
    return undefined;
  }

  async #launch(server: Candidate): Promise<void> {
    const client = newClient(server.program, this.#extension.extension, this.#log, {
      onStatus: (status) => {
        if (this.#client === client) {
          this.#onStatus(status);
        }
      },
      onEnd: () => {
        if (this.#client === client) {
          this.#ended();
        }
      },
    });
    this.#client = client;
    try {
      await client.start();
      this.#onRunning();
    } catch (error) {
      this.#log.error(`${server.program} does not start: ${String(error)}`);
      if (this.#client === client) {
        this.#ended();
      }
    }
  }

  #ended(): void {
    this.#client = undefined;
    const wait_ms = this.#policy.ended(Date.now());
    if (wait_ms === undefined) {
      this.#onStatus({ state: "stopped", message: "The server keeps stopping" });
      void this.#ask();
      return;
    }
    this.#log.warn(`The server stopped; it is started again in ${wait_ms / 1000} s`);
    this.#onStatus({ state: "starting", message: "The server stopped and is started again" });
    clearTimeout(this.#restart);
    this.#restart = setTimeout(() => void this.#next(() => this.#start()), wait_ms);
  }

  async #ask(): Promise<void> {
    const [again, showLog] = ["Start Again", "Show the Log"];
    const sentence = "Fimble's server stopped more than five times in three minutes, so it is left alone.";
    const choice = await vscode.window.showErrorMessage(sentence, again, showLog);
    if (choice) {
      await vscode.commands.executeCommand(choice === again ? "fimble.restart" : "fimble.showLog");
    }
  }
}

function localFolders(): string[] {
  const folders = vscode.workspace.workspaceFolders ?? [];
  return folders.filter((folder) => folder.uri.scheme === "file").map((folder) => folder.uri.fsPath);
}
