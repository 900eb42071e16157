import assert from "node:assert/strict";
import { test } from "node:test";

import { parseStatus, words, type State } from "../src/status/words.ts";

const STATES: State[] = ["missing", "settingUp", "starting", "loading", "ready", "working", "off", "error", "stopped"];

test("every state has words of its own, so that no colour has to be seen", () => {
  const texts = STATES.map((state) => words({ state, message: "" }).text.replace(/^\$\(\S+\) /, ""));
  assert.equal(new Set(texts).size, STATES.length);
  for (const state of STATES) {
    const { text, label } = words({ state, message: "Why." });
    assert.match(text, /^\$\([a-z-]+(~spin)?\) Fimble: \w/);
    assert.doesNotMatch(label, /\$\(/); // an icon is nothing that could be read out
    assert.match(label, /Why\.$/);
  }
});

test("loading says how far it is", () => {
  assert.equal(words({ state: "loading", message: "", percentage: 40 }).text, "$(sync~spin) Fimble: loading 40 %");
  assert.equal(words({ state: "loading", message: "", percentage: null }).text, "$(sync~spin) Fimble: loading");
  assert.equal(words({ state: "ready", message: "", percentage: 40 }).text, "$(check) Fimble: ready");
});

test("the tooltip explains and names the model", () => {
  const { tooltip } = words({ state: "off", message: "Off here: .env is excluded", model: "fimble-45m" });
  assert.equal(tooltip, "Fimble: Off here: .env is excluded\nModel: fimble-45m\nClick for the menu");
});

test("what the server tells is taken only as far as it is understood", () => {
  const told = { state: "loading", message: "m", model: "x", percentage: 7, more: 1 };
  assert.deepEqual(parseStatus(told), { state: "loading", message: "m", model: "x", percentage: 7 });
  assert.deepEqual(parseStatus({ state: "ready" }), { state: "ready", message: "", model: "", percentage: null });
  for (const unknown of [null, "ready", {}, { state: "dreaming" }, { state: "missing" }]) {
    assert.equal(parseStatus(unknown), undefined);
  }
});
