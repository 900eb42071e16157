// The virtual environment that the extension makes for the server, in its own storage.

import * as fs from "node:fs/promises";
import * as path from "node:path";

import { programIn } from "../server/find.ts";
import { likelyFix } from "./failure.ts";
import { installArguments, pipEnvironment, progressOf, type Packages } from "./pip.ts";
import { SetupProblem } from "./problem.ts";
import { run, type Watch } from "./run.ts";

/** Least room on the disk, in bytes: what the environment takes, and what pip needs meanwhile. */
const MIN_FREE_BYTES = 600_000_000;

export interface Making {
  readonly python: string;
  readonly packages: Packages;
  /** Written into the stamp when all is done. */
  readonly version: string;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
  readonly onProgress: (sentence: string) => void;
}

export class Environment {
  readonly folder: string;
  readonly #storage: string;

  constructor(storage: string) {
    this.#storage = storage;
    this.folder = path.join(storage, "environment");
  }

  /** The version that was installed completely, or undefined. */
  async version(): Promise<string | undefined> {
    try {
      const stamp: unknown = JSON.parse(await fs.readFile(this.#stamp, "utf8"));
      const version = (stamp as { version?: unknown }).version;
      return typeof version === "string" ? version : undefined;
    } catch {
      return undefined;
    }
  }

  /** Make the environment, or bring the one that is there up to date. Throws SetupProblem or Cancelled. */
  async make(making: Making): Promise<void> {
    await fs.mkdir(this.#storage, { recursive: true });
    await this.#locked(async () => {
      await this.#checkRoom();
      const upgrade = (await this.version()) !== undefined;
      await fs.rm(this.#stamp, { force: true });
      if (!upgrade) {
        await fs.rm(this.folder, { recursive: true, force: true });
        making.onProgress("Making a Python environment");
        await this.#step(making, making.python, ["-m", "venv", this.folder]);
      }
      const python = programIn(this.folder, process.platform, "python");
      await this.#step(making, python, installArguments(making.packages, upgrade));
      await fs.writeFile(this.#stamp, JSON.stringify({ version: making.version }));
    });
  }

  /** Take the environment away. */
  async remove(): Promise<void> {
    await this.#locked(async () => {
      await fs.rm(this.#stamp, { force: true }); // first: half an environment is none
      await fs.rm(this.folder, { recursive: true, force: true });
    });
  }

  get #stamp(): string {
    return path.join(this.folder, "fimble.json");
  }

  async #step(making: Making, program: string, args: string[]): Promise<void> {
    const onLine = (line: string): void => {
      making.onLine(line);
      const sentence = progressOf(line);
      if (sentence) {
        making.onProgress(sentence);
      }
    };
    making.onLine(`$ ${program} ${args.join(" ")}`);
    const watch: Watch = { onLine, signal: making.signal, env: pipEnvironment(process.env) };
    const done = await run(program, args, watch);
    if (done.status !== 0) {
      throw new SetupProblem(likelyFix(done.output, making.packages.wheels !== ""));
    }
  }

  async #checkRoom(): Promise<void> {
    const { bavail, bsize } = await fs.statfs(this.#storage);
    if (bavail * bsize < MIN_FREE_BYTES) {
      const free = Math.round((bavail * bsize) / 1e6);
      throw new SetupProblem(`The environment needs about 600 MB, and ${this.#storage} has ${free} MB left.`);
    }
  }

  /** Two windows that are set up at once: the second one says so. A lock of a window that is gone counts for nothing. */
  async #locked(work: () => Promise<void>): Promise<void> {
    const lock = path.join(this.#storage, "environment.lock");
    await takeLock(lock);
    try {
      await work();
    } finally {
      await fs.rm(lock, { force: true });
    }
  }
}

async function takeLock(lock: string): Promise<void> {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      await fs.writeFile(lock, String(process.pid), { flag: "wx" });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
        throw new SetupProblem(`${lock} cannot be written: ${(error as Error).message}`);
      }
    }
    const owner = Number(await fs.readFile(lock, "utf8").catch(() => ""));
    if (owner && isAlive(owner)) {
      break;
    }
    await fs.rm(lock, { force: true });
  }
  throw new SetupProblem("Another window is at it already. Wait until it is done.");
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // there, and somebody else's
  }
}
