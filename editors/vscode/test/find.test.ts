import assert from "node:assert/strict";
import { test } from "node:test";

import { expandHome, findServers, onPath, programIn, type Machine } from "../src/server/find.ts";

function machine(files: string[], env: Record<string, string> = {}, platform: NodeJS.Platform = "linux"): Machine {
  return { platform, env, isFile: (path) => files.includes(path) };
}

const PLACES = { setting: "", environment: "/storage/environment", trustedFolders: ["/project"] };
const EVERYWHERE = ["/storage/environment/bin/fimble", "/usr/bin/fimble", "/project/.venv/bin/fimble"];

test("our environment comes before the PATH, and that before the workspace", () => {
  const found = findServers(PLACES, machine(EVERYWHERE, { PATH: "/bin:/usr/bin" }));
  assert.deepEqual(
    found.map((each) => [each.origin, each.program]),
    [
      ["environment", "/storage/environment/bin/fimble"],
      ["path", "/usr/bin/fimble"],
      ["workspace", "/project/.venv/bin/fimble"],
    ],
  );
});

test("a path that was set is never passed over, even if nothing is there", () => {
  const found = findServers({ ...PLACES, setting: "~/mine" }, machine(EVERYWHERE, { PATH: "/usr/bin", HOME: "/home/a" }));
  assert.deepEqual(found, [{ origin: "setting", program: "/home/a/mine" }]);
});

test("a workspace that is not trusted brings no program", () => {
  assert.deepEqual(findServers({ ...PLACES, trustedFolders: [] }, machine(["/project/.venv/bin/fimble"])), []);
});

test("relative folders on the PATH are the workspace's, and are not looked into", () => {
  assert.deepEqual(onPath("fimble", machine(["fimble", "bin/fimble", "./fimble"], { PATH: ".::bin:" })), []);
});

test("Windows has other names and separators", () => {
  const windows = machine(["C:\\tools\\fimble.exe"], { Path: "C:\\other;C:\\tools" }, "win32");
  assert.deepEqual(onPath("fimble", windows), ["C:\\tools\\fimble.exe"]);
  assert.equal(programIn("C:\\env", "win32"), "C:\\env\\Scripts\\fimble.exe");
});

test("only a leading tilde is the home folder", () => {
  const here = { platform: "linux" as const, env: { HOME: "/home/a" } };
  assert.equal(expandHome("~", here), "/home/a");
  assert.equal(expandHome("~/x", here), "/home/a/x");
  assert.equal(expandHome("~other/x", here), "~other/x");
  assert.equal(expandHome("/a/~/x", here), "/a/~/x");
});
