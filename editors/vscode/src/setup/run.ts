// Running a child to its end, line by line, so that it can be watched and ended.

import { spawn, type ChildProcess } from "node:child_process";
import { homedir } from "node:os";
import { createInterface } from "node:readline";

import { Cancelled } from "./problem.ts";

export interface Done {
  /** The exit status; null if a signal ended it or it could not be started. */
  readonly status: number | null;
  readonly output: string;
}

export interface Watch {
  readonly onLine?: (line: string) => void;
  readonly signal?: AbortSignal;
  readonly timeout_ms?: number;
  readonly env?: NodeJS.ProcessEnv;
}

/** Run a program; stdout and stderr come as one. Never from the workspace's folder: what lies there is not trusted.
 *
 * Rejects with Cancelled if `signal` ends it; the whole tree of processes ends, so nothing goes on compiling.
 */
export function run(program: string, args: readonly string[], watch: Watch = {}): Promise<Done> {
  return new Promise((resolve, reject) => {
    if (watch.signal?.aborted) {
      reject(new Cancelled());
      return;
    }
    const child = spawn(program, args, {
      cwd: homedir(),
      env: watch.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
      detached: process.platform !== "win32", // a group of its own, that can be ended as a whole
      windowsHide: true,
    });
    const lines: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        lines.push(line);
        watch.onLine?.(line);
      });
    }
    const end = (): void => endTree(child);
    const timer = watch.timeout_ms === undefined ? undefined : setTimeout(end, watch.timeout_ms);
    watch.signal?.addEventListener("abort", end, { once: true });
    child.on("error", (error) => lines.push(error.message));
    child.on("close", (status) => {
      clearTimeout(timer);
      watch.signal?.removeEventListener("abort", end);
      if (watch.signal?.aborted) {
        reject(new Cancelled());
      } else {
        resolve({ status: child.pid === undefined ? null : status, output: lines.join("\n") });
      }
    });
  });
}

function endTree(child: ChildProcess): void {
  if (child.pid === undefined) {
    return;
  }
  if (process.platform === "win32") {
    spawn("taskkill", ["/pid", String(child.pid), "/T", "/F"], { windowsHide: true }).on("error", () => child.kill());
    return;
  }
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    child.kill("SIGKILL"); // it has just ended, or it has no group of its own yet
  }
}
