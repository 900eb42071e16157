import assert from "node:assert/strict";
import { test } from "node:test";

import { likelyFix } from "../src/setup/failure.ts";
import { installArguments, pipEnvironment, progressOf } from "../src/setup/pip.ts";
import { candidates, findPython, parseProbe } from "../src/setup/python.ts";
import type { Machine } from "../src/server/find.ts";

function machine(files: string[], platform: NodeJS.Platform = "linux", PATH = "/a:/b"): Machine {
  return { platform, env: { PATH }, isFile: (path) => files.includes(path) };
}

function printing(answers: Record<string, string>): (program: string) => Promise<{ status: number; output: string }> {
  return async (program) => ({ status: 0, output: answers[program] ?? "" });
}

test("newer Pythons are tried first, and those that are no use are passed over", async () => {
  const here = machine(["/a/python3.13", "/b/python3.12", "/a/python3"]);
  const python = await findPython("", here, printing({
    "/a/python3.13": "python 3 13 False /a/python3.13",
    "/b/python3.12": "python 3 12 True /real/python3.12",
    "/a/python3": "python 3 9 True /a/python3",
  }));
  assert.equal(python, "/real/python3.12");
});

test("without a Python the message says what was found, and what to do", async () => {
  const old = findPython("", machine(["/a/python3"]), printing({ "/a/python3": "python 3 9 True /a/python3" }));
  await assert.rejects(old, /\/a\/python3 is Python 3\.9.*apt install python3/);
  await assert.rejects(findPython("", machine([]), printing({})), /no Python 3\.11 or newer/);
  const broken = findPython("", machine(["/a/python3"]), printing({ "/a/python3": "python 3 11 False /a/python3" }));
  await assert.rejects(broken, /apt install python3-venv/);
});

test("one that was set is the only one that is tried", async () => {
  const here = machine(["/a/python3.13"]);
  assert.deepEqual(candidates("/my/python", here), [["/my/python"]]);
  await assert.rejects(findPython("/my/python", here, printing({})), /fimble\.python\.path.*does not run/s);
});

test("Windows has a launcher", () => {
  const windows: Machine = { platform: "win32", env: { Path: "C:\\w" }, isFile: (path) => path === "C:\\w\\py.exe" };
  assert.deepEqual(candidates("", windows), [["C:\\w\\py.exe", "-3"]]);
});

test("a probe is read in spite of what else is printed", () => {
  const found = parseProbe("warning: x\npython 3 12 True /opt/my python/bin/python\n");
  assert.deepEqual(found, { version: [3, 12], makesEnvironments: true, executable: "/opt/my python/bin/python" });
  assert.equal(parseProbe("pyenv: python3.13: command not found"), undefined);
});

test("from a folder of wheels nothing else is asked", () => {
  const online = installArguments({ server: "f.whl", wheels: "" }, false);
  assert.ok(!online.includes("--no-index") && !online.includes("--upgrade"));
  assert.equal(online.at(-1), "f.whl");
  const offline = installArguments({ server: "f.whl", wheels: "/w" }, true).join(" ");
  assert.match(offline, /--no-index --find-links \/w --upgrade f\.whl$/);
});

test("pip's surroundings: other Pythons' folders go, what was asked of CMake stays", () => {
  const env = pipEnvironment({ PYTHONPATH: "/x", PYTHONHOME: "/y", CMAKE_ARGS: "-DGGML_CUDA=ON", KEPT: "1" });
  assert.deepEqual(Object.keys(env).filter((name) => name.startsWith("PYTHON")), ["PYTHONIOENCODING"]);
  assert.equal(env["CMAKE_ARGS"], "-DGGML_CUDA=ON -DLLAVA_BUILD=OFF");
  assert.equal(pipEnvironment({})["CMAKE_ARGS"], "-DLLAVA_BUILD=OFF");
  assert.equal(pipEnvironment({ CMAKE_ARGS: "-DLLAVA_BUILD=ON" })["CMAKE_ARGS"], "-DLLAVA_BUILD=ON");
  assert.equal(env["KEPT"], "1");
});

for (const [line, said] of [
  ["Collecting aiohttp>=3.10 (from fimble==0.1.0)", "Getting aiohttp"],
  ["Collecting tree-sitter-c-sharp<0.24,>=0.23 (from fimble)", "Getting tree-sitter-c-sharp"],
  ["Collecting uvicorn[standard]", "Getting uvicorn"],
  ["Processing /x/server/fimble-0.1.0-py3-none-any.whl", "Getting fimble"],
  ["  Building wheel for llama-cpp-python (pyproject.toml): started", "Compiling llama.cpp for this machine (3 to 20 minutes)"],
  ["Installing collected packages: a, b", "Installing the packages"],
  ["  Using cached x.whl", undefined],
  ["", undefined],
] as const) {
  test(`pip says ${JSON.stringify(line)}`, () => assert.equal(progressOf(line), said));
}

for (const [printed, fix] of [
  ["OSError: [Errno 28] No space left on device", /disk is full/],
  ["CMake Error: CMAKE_CXX_COMPILER not set", /apt install build-essential/],
  ["CMake must be installed to build", /apt install cmake/],
  ["fatal error: Killed signal terminated program cc1plus", /memory/],
  ["ensurepip is not available", /python3-venv/],
  ["Temporary failure in name resolution", /package index cannot be reached/],
  ["Python.h: No such file or directory", /python3-dev/],
  ["something else", /log/],
] as const) {
  test(`after ${JSON.stringify(printed)} the fix is named`, () => assert.match(likelyFix(printed, false), fix));
}

test("a wheel that is missing from the folder is named", () => {
  const printed = "ERROR: No matching distribution found for llama-cpp-python>=0.3";
  assert.match(likelyFix(printed, true), /no fitting wheel of llama-cpp-python>=0\.3/);
});
