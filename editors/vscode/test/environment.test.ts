// With real processes: a program of ours stands in for Python, so that the order of things and its failures show.

import assert from "node:assert/strict";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { test, type TestContext } from "node:test";

import { Environment, type Making } from "../src/setup/environment.ts";
import { Cancelled } from "../src/setup/problem.ts";
import { run } from "../src/setup/run.ts";

// `-m venv FOLDER` puts itself there as bin/python; anything else is an installation, which does what $PIP says.
const PYTHON = `#!/bin/sh
if [ "$2" = venv ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; exit; fi
echo "Collecting something"
eval "$PIP"
`;

interface Stage {
  readonly environment: Environment;
  readonly storage: string;
  make(pip: string, signal?: AbortSignal): Promise<void>;
  readonly lines: string[];
  readonly said: string[];
}

async function stage(context: TestContext): Promise<Stage> {
  const storage = await fs.mkdtemp(path.join(tmpdir(), "fimble-"));
  context.after(() => fs.rm(storage, { recursive: true }));
  const python = path.join(storage, "python");
  await fs.writeFile(python, PYTHON, { mode: 0o755 });
  const environment = new Environment(storage);
  const [lines, said]: [string[], string[]] = [[], []];
  const make = (pip: string, signal = new AbortController().signal): Promise<void> => {
    process.env["PIP"] = pip;
    const making: Making = {
      python,
      packages: { server: "f.whl", wheels: "" },
      version: "1.2.3",
      signal,
      onLine: (line) => lines.push(line),
      onProgress: (sentence) => said.push(sentence),
    };
    return environment.make(making);
  };
  return { environment, storage, make, lines, said };
}

test("made, stamped, updated, removed", async (context) => {
  const { environment, make, said } = await stage(context);
  assert.equal(await environment.version(), undefined);
  await make("exit 0");
  assert.equal(await environment.version(), "1.2.3");
  assert.deepEqual(said, ["Making a Python environment", "Getting something"]);
  await make("exit 0"); // there already: brought up to date
  assert.deepEqual(said.slice(2), ["Getting something"]);
  await environment.remove();
  assert.equal(await environment.version(), undefined);
  await assert.rejects(fs.stat(environment.folder));
});

test("an installation that fails leaves no environment that would be taken for one", async (context) => {
  const { environment, make, lines } = await stage(context);
  await assert.rejects(make("echo 'No space left on device'; exit 1"), /disk is full/);
  assert.equal(await environment.version(), undefined);
  assert.ok(lines.includes("No space left on device")); // the log has it all
  await make("exit 0"); // and the next attempt is free to go
  assert.equal(await environment.version(), "1.2.3");
});

test("cancelling ends all that runs, and the lock is free again", async (context) => {
  const { environment, storage, make } = await stage(context);
  const abort = new AbortController();
  const pid = path.join(storage, "pid");
  const making = make(`sleep 600 & echo $! > '${pid}.part'; mv '${pid}.part' '${pid}'; wait`, abort.signal);
  await readWhenThere(pid);
  abort.abort();
  await assert.rejects(making, Cancelled);
  const child = Number(await fs.readFile(pid, "utf8"));
  await until(async () => !(await isRunning(child)));
  assert.equal(await environment.version(), undefined);
  await make("exit 0");
});

test("two windows do not make it at once; a lock whose owner is gone counts for nothing", async (context) => {
  const { storage, make } = await stage(context);
  const lock = path.join(storage, "environment.lock");
  await fs.writeFile(lock, String(process.ppid));
  await assert.rejects(make("exit 0"), /Another window/);
  const gone = await run("sh", ["-c", "echo $$"]);
  await fs.writeFile(lock, gone.output);
  await make("exit 0");
});

test("a program that is not there is no exception, but has no status", async () => {
  const done = await run("/no/such/program", []);
  assert.equal(done.status, null);
  assert.match(done.output, /ENOENT/);
});

test("a program that does not end is ended", async () => {
  const done = await run("sleep", ["600"], { timeout_ms: 50 });
  assert.equal(done.status, null);
});

async function isRunning(pid: number): Promise<boolean> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, "utf8").catch(() => "0 (gone) Z");
  return !/\) Z/.test(stat);
}

async function readWhenThere(file: string): Promise<void> {
  await until(() => fs.stat(file).then(() => true, () => false));
}

async function until(look: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 10_000;
  while (!(await look())) {
    assert.ok(Date.now() < end, "waited ten seconds in vain");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
