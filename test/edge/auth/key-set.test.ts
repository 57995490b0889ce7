import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { errors, exportJWK, generateKeyPair } from "jose";
import type { JSONWebKeySet, JWK } from "jose";
import { createKeySet } from "../../../edge/auth/key-set.ts";
import { HubError } from "../../../edge/answers/hub-error.ts";
import { eventually } from "../../support/eventually.ts";

const keys: Record<string, JWK> = {};
before(async () => {
  for (const kid of ["old", "new"]) {
    const { publicKey } = await generateKeyPair("ES256", { extractable: true });
    keys[kid] = { ...await exportJWK(publicKey), kid, alg: "ES256" };
  }
});

/** A key set whose issuer answers as it is told, with a clock moved by hand. */
function open(options: { maxAgeMs?: number } = {}) {
  const state = {
    now: 0,
    loads: 0,
    answer: (): Promise<JSONWebKeySet> => Promise.resolve({ keys: [keys["old"]!] }),
  };
  const find = createKeySet({
    issuer: "https://a",
    load: () => {
      state.loads++;
      return state.answer();
    },
    now: () => state.now,
    maxAgeMs: options.maxAgeMs ?? 600_000,
    cooldownMs: 10_000,
  });
  const ask = async (kid: string) => {
    try {
      await find({ alg: "ES256", kid }, { payload: "", signature: "" });
      return "found";
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) return "unknown";
      assert.ok(error instanceof HubError, String(error));
      return error.code;
    }
  };
  return { state, ask };
}

const away = () => Promise.reject(new Error("the issuer is away"));

describe("an issuer's keys", () => {
  it("are fetched once for all who wait for the first", async () => {
    const { state, ask } = open();
    assert.deepEqual(await Promise.all(["old", "old", "old"].map(ask)), ["found", "found", "found"]);
    assert.equal(state.loads, 1);
  });

  it("rotate: an unknown kid fetches them anew, within the cooldown once", async () => {
    const { state, ask } = open();
    assert.equal(await ask("old"), "found");
    state.answer = () => Promise.resolve({ keys: [keys["old"]!, keys["new"]!] });
    state.now = 9_999;
    assert.equal(await ask("new"), "unknown");
    assert.equal(state.loads, 1, "nobody makes the hub ask its issuer in a loop");
    state.now = 10_000;
    assert.deepEqual(await Promise.all([ask("new"), ask("none"), ask("old")]), ["found", "unknown", "found"]);
    for (let index = 0; index < 100; index++) assert.equal(await ask(`made-up-${index}`), "unknown");
    assert.equal(state.loads, 2);
  });

  it("stay in use while the issuer is down; an unknown key then is 503, not 401", async () => {
    const { state, ask } = open();
    assert.equal(await ask("old"), "found");
    state.answer = away;
    state.now = 20_000;
    assert.equal(await ask("new"), "unavailable");
    assert.equal(await ask("new"), "unavailable", "also within the cooldown");
    assert.equal(await ask("old"), "found");
    assert.equal(state.loads, 2);
    state.answer = () => Promise.resolve({ keys: [keys["new"]!] });
    state.now = 30_000;
    assert.equal(await ask("new"), "found");
    assert.equal(await ask("old"), "unknown", "what was taken back counts no more");
  });

  it("do not wait for a slow issuer if they are known", async () => {
    const { state, ask } = open();
    assert.equal(await ask("old"), "found");
    let answer: (keys: JSONWebKeySet) => void = () => {};
    state.answer = () => new Promise((resolve) => void (answer = resolve));
    state.now = 20_000;
    const waiting = ask("new");
    assert.equal(await ask("old"), "found");
    answer({ keys: [keys["new"]!] });
    assert.equal(await waiting, "found");
  });

  it("are asked for again in the background when they are old", async () => {
    const { state, ask } = open({ maxAgeMs: 60_000 });
    assert.equal(await ask("old"), "found");
    state.now = 60_000;
    state.answer = () => Promise.resolve({ keys: [keys["new"]!] });
    assert.equal(await ask("old"), "found", "whoever asks first does not wait");
    await eventually("the fresh keys", async () => await ask("new") === "found");
    assert.equal(state.loads, 2);
  });

  it("that never came are 503, and soon fetched again", async () => {
    const { state, ask } = open();
    state.answer = away;
    assert.deepEqual(await Promise.all([ask("old"), ask("old")]), ["unavailable", "unavailable"]);
    assert.equal(state.loads, 1);
    state.answer = () => Promise.resolve({ keys: [keys["old"]!] });
    assert.equal(await ask("old"), "unavailable");
    state.now = 1_000;
    assert.equal(await ask("old"), "found");
  });

  it("in a wrong form count as no answer", async () => {
    const { state, ask } = open();
    for (const wrong of [{}, { keys: 1 }, { keys: [1] }, null]) {
      state.answer = () => Promise.resolve(wrong as unknown as JSONWebKeySet);
      state.now += 1_000;
      assert.equal(await ask("old"), "unavailable", JSON.stringify(wrong));
    }
  });
});
