import assert from "node:assert/strict";
import { test } from "node:test";

import manifest from "../package.json" with { type: "json" };
import { explicitSettings, serverKeys } from "../src/server/explicit.ts";
import { Debounced, Moves } from "../src/server/moves.ts";
import { RestartPolicy } from "../src/server/restart.ts";
import { isCompatible, parseVersion } from "../src/server/version.ts";

test("a version is read from what `fimble --version` prints, and from nothing else", () => {
  assert.equal(parseVersion("fimble 0.1.0\n"), "0.1.0");
  assert.equal(parseVersion("a warning\nfimble 1.2.3rc1\r\n"), "1.2.3rc1");
  assert.equal(parseVersion("Python 3.11.2"), undefined);
  assert.equal(parseVersion(""), undefined);
});

test("before 1.0 the second number counts, afterwards the first", () => {
  assert.equal(isCompatible("0.1.7", "0.1.0"), true);
  assert.equal(isCompatible("0.2.0", "0.1.0"), false);
  assert.equal(isCompatible("1.4.0", "1.0.2"), true);
  assert.equal(isCompatible("2.0.0", "1.9.9"), false);
});

test("the waits grow, and after five ends in three minutes a person is asked", () => {
  const policy = new RestartPolicy();
  const waits = [0, 1, 2, 3, 4, 5].map((second) => policy.ended(second * 1000));
  assert.deepEqual(waits, [1_000, 2_000, 5_000, 10_000, 20_000, undefined]);
});

test("what is longer ago than three minutes counts for nothing", () => {
  const policy = new RestartPolicy();
  for (let end = 0; end < 5; end += 1) {
    policy.ended(end);
  }
  assert.equal(policy.ended(180_010), 1_000);
});

test("a start by hand counts anew", () => {
  const policy = new RestartPolicy();
  for (let end = 0; end < 6; end += 1) {
    policy.ended(end);
  }
  policy.forget();
  assert.equal(policy.ended(7), 1_000);
});

test("only what somebody has set is told to the server", () => {
  const made: Record<string, object> = {
    "suggest.enabled": { defaultValue: true },
    "suggest.echo": { defaultValue: true, globalValue: false },
    "suggest.eagerness": { globalValue: "eager", workspaceValue: "quiet" },
    "privacy.exclude": { globalValue: [] },
  };
  const tree = explicitSettings([...Object.keys(made), "model"], (key) => made[key]);
  assert.deepEqual(tree, { suggest: { echo: false, eagerness: "quiet" }, privacy: { exclude: [] } });
});

test("the server's keys are all but the extension's own", () => {
  const keys = serverKeys(manifest.contributes.configuration);
  assert.ok(keys.includes("model") && keys.includes("suggest.enabled") && keys.includes("engine.threads"));
  assert.deepEqual(keys.filter((key) => /^(server|python|fimble)\./.test(key)), []);
});

test("a workspace may choose neither a program, nor a model, nor what is let in", () => {
  for (const { properties } of manifest.contributes.configuration) {
    for (const [key, { scope }] of Object.entries(properties as Record<string, { scope: string }>)) {
      const mayBeSet = key.startsWith("fimble.suggest.");
      assert.equal(["window", "resource", "machine-overridable"].includes(scope), mayBeSet, key);
    }
  }
});

test("a cursor that moves with the text does not count as moved", () => {
  const moves = new Moves();
  const [one, other] = [{ version: 1 }, { version: 1 }];
  assert.equal(moves.isMove(one), false); // seen for the first time
  assert.equal(moves.isMove(one), true);
  one.version = 2;
  assert.equal(moves.isMove(one), false);
  assert.equal(moves.isMove(other), false);
  assert.equal(moves.isMove(one), true);
});

test("of several calls the last one runs, once", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const debounced = new Debounced(50);
  const ran: number[] = [];
  for (const number of [1, 2, 3]) {
    debounced.call(() => ran.push(number));
    context.mock.timers.tick(49);
  }
  assert.deepEqual(ran, []);
  context.mock.timers.tick(1);
  assert.deepEqual(ran, [3]);
  debounced.call(() => assert.fail("it was cancelled"));
  debounced.cancel();
  context.mock.timers.tick(100);
});
