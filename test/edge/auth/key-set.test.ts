import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { errors, exportJWK, generateKeyPair } from "jose";
import type { JSONWebKeySet, JWK } from "jose";
import { createKeySet, type KeySetOptions } from "../../../edge/auth/key-set.ts";
import { HubError } from "../../../edge/answers/hub-error.ts";
import { eventually } from "../../support/eventually.ts";
import { pause } from "../../../shared/pause.ts";
import { keepLines } from "../../support/rigs/log-lines.ts";

const keys: Record<string, JWK> = {};
before(async () => {
  for (const kid of ["old", "new"]) {
    const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
    keys[kid] = { ...await exportJWK(publicKey), kid, alg: "ES256" };
    keys[`private ${kid}`] = { ...await exportJWK(privateKey), kid, alg: "ES256" };
  }
});

/** A key set whose issuer answers as it is told, with a clock moved by hand. */
function open(options: Partial<Pick<KeySetOptions, "maxAgeMs" | "deadlineMs" | "wait">> = {}) {
  const log = keepLines();
  const state = {
    now: 0,
    loads: 0,
    answer: (): Promise<JSONWebKeySet> => Promise.resolve({ keys: [keys["old"]!] }),
  };
  const set = createKeySet({
    issuer: "https://a",
    load: () => {
      state.loads++;
      return state.answer();
    },
    now: () => state.now,
    logger: log as never,
    ...options,
  });
  const ask = async (kid: string) => {
    try {
      await set.find({ alg: "ES256", kid }, { payload: "", signature: "" });
      return "found";
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) return "unknown";
      assert.ok(error instanceof HubError, String(error));
      return error.retryAfterS === undefined ? error.code : `${error.code} in ${error.retryAfterS} s`;
    }
  };
  return { state, ask, set, lines: log.lines };
}

const away = () => Promise.reject(new Error("the issuer is away"));

describe("an issuer's keys", () => {
  it("are fetched once for all who wait for the first", async () => {
    const { state, ask } = open();
    assert.deepEqual(await Promise.all(["old", "old", "old"].map(ask)), ["found", "found", "found"]);
    assert.equal(state.loads, 1);
  });

  it("are fetched for an unknown kid at once, right after another fetch, too", async () => {
    const { state, ask } = open();
    assert.equal(await ask("old"), "found");
    state.answer = () => Promise.resolve({ keys: [keys["old"]!, keys["new"]!] });
    assert.equal(await ask("new"), "found");
    assert.deepEqual(await Promise.all([ask("new"), ask("none"), ask("old")]), ["found", "unknown", "found"]);
    assert.equal(state.loads, 3);
  });

  it("are fetched five times at once and then every 2 s; an unknown kid in between is 503, not 401", async () => {
    const { state, ask } = open();
    for (let loads = 1; loads <= 5; loads++) assert.equal(await ask(`made-up-${loads}`), "unknown");
    assert.equal(state.loads, 6 - 1, "the first of them fetched the first keys");
    for (let index = 0; index < 100; index++) assert.equal(await ask(`made-up-${index}`), "unavailable in 2 s");
    state.now = 1_999;
    assert.equal(await ask("none"), "unavailable in 1 s");
    assert.equal(state.loads, 5, "nobody makes the hub ask its issuer in a loop");
    state.now = 2_000;
    assert.equal(await ask("none"), "unknown");
    assert.equal(await ask("none"), "unavailable in 2 s");
    assert.equal(await ask("old"), "found");
  });

  it("are fetched for all who wait for the next fetch, and who makes up kids keeps nobody from it", async () => {
    const { state, set } = open({ wait: async (ms) => void (await pause(5), state.now += ms) });
    const by = (requester: string) => async (kid: string) =>
      await set.find({ alg: "ES256", kid }, { payload: "", signature: "" }, { requester, host: "", standing: "new" })
        .then(() => "found", (error: unknown) => error instanceof HubError ? error.code : (error as Error).name);
    const attacker = by("attacker");
    for (let loads = 1; loads <= 5; loads++) await attacker(`made-up-${loads}`);
    const flood = Array.from({ length: 1_000 }, (_, index) => attacker(`flood-${index}`));
    state.answer = () => Promise.resolve({ keys: [keys["old"]!, keys["new"]!] });
    assert.deepEqual(await Promise.all(["new", "new"].map(by("client"))), ["found", "found"]);
    assert.equal(state.loads, 6);
    const refused = (await Promise.all(flood)).filter((code) => code === "unavailable");
    assert.ok(refused.length >= 800, "the flood has its share of those who wait");
  });

  it("are fetched for who waits beside many who make up kids", async () => {
    const { state, set } = open({ wait: async (ms) => void (await pause(5), state.now += ms) });
    const by = async (requester: string, kid: string) =>
      await set.find({ alg: "ES256", kid }, { payload: "", signature: "" }, { requester, host: "", standing: "new" })
        .then(() => "found", (error: unknown) => error instanceof HubError ? error.code : (error as Error).name);
    for (let loads = 1; loads <= 5; loads++) await by("many", `made-up-${loads}`);
    const flood = Array.from({ length: 20 * 256 }, (_, n) => by(`many ${Math.floor(n / 256)}`, `flood-${n}`));
    state.answer = () => Promise.resolve({ keys: [keys["old"]!, keys["new"]!] });
    assert.equal(await by("client", "new"), "found");
    await Promise.all(flood);
  });

  it("count a fetch from its end", async () => {
    const { state, ask } = open();
    for (let loads = 0; loads < 4; loads++) await ask("none");
    state.answer = () => {
      state.now += 60_000;
      return Promise.resolve({ keys: [keys["old"]!] });
    };
    assert.equal(await ask("none"), "unknown");
    assert.equal(await ask("none"), "unavailable in 2 s", "its minute has brought no further try");
  });

  it("that a fetch brings which began before the request are no proof that a key does not exist", async () => {
    const { state, ask } = open();
    assert.equal(await ask("old"), "found");
    let answer: (keys: JSONWebKeySet) => void = () => {};
    state.answer = () => new Promise((resolve) => void (answer = resolve));
    const first = ask("none");
    state.now = 10;
    const later = ask("new");
    state.answer = () => Promise.resolve({ keys: [keys["new"]!] });
    answer({ keys: [keys["old"]!] });
    assert.deepEqual(await Promise.all([first, later]), ["unknown", "found"]);
  });

  it("stay in use while the issuer is down; an unknown key then is 503, not 401", async () => {
    const { state, ask } = open();
    assert.equal(await ask("old"), "found");
    state.answer = away;
    for (let requests = 0; requests < 10; requests++) assert.match(await ask("new"), /^unavailable in [12] s$/);
    assert.equal(await ask("old"), "found");
    state.answer = () => Promise.resolve({ keys: [keys["new"]!] });
    state.now = 2_000;
    assert.equal(await ask("new"), "found");
    state.now = 4_000;
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
    assert.deepEqual(await Promise.all([ask("old"), ask("old")]), Array(2).fill("unavailable in 1 s"));
    assert.equal(state.loads, 1);
    state.answer = () => Promise.resolve({ keys: [keys["old"]!] });
    assert.equal(await ask("old"), "found");
  });

  it("in a wrong form count as no answer", async () => {
    const { state, ask } = open();
    for (const wrong of [{}, { keys: 1 }, { keys: [1] }, null]) {
      state.answer = () => Promise.resolve(wrong as unknown as JSONWebKeySet);
      assert.match(await ask("old"), /^unavailable/, JSON.stringify(wrong));
    }
  });

  it("that cannot be used are 503, and that is logged once", async () => {
    const { state, ask, lines } = open();
    state.answer = () => Promise.resolve({ keys: [keys["private old"]!] });
    for (let requests = 0; requests < 3; requests++) assert.match(await ask("old"), /^unavailable/);
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /^warn A key of issuer https:\/\/a cannot be used: /);
  });

  it("can be fetched before the first token comes", async () => {
    const { state, ask, set, lines } = open();
    await Promise.all([set.fetch(), set.fetch()]);
    assert.equal(await ask("old"), "found");
    assert.equal(state.loads, 1);
    const ill = open();
    ill.state.answer = away;
    await ill.set.fetch();
    assert.deepEqual(ill.lines, ["warn The keys of issuer https://a cannot be fetched: the issuer is away"]);
    assert.deepEqual(lines, []);
  });
});

describe("an issuer that hangs", () => {
  const DEADLINE_MS = 1_400;
  /** Real time, and an issuer that answers nothing within its deadline until it is told to. */
  function hanging() {
    const rig = { loads: 0, hangs: true };
    const log = keepLines();
    const set = createKeySet({
      issuer: "https://a",
      load: async (withinMs) => {
        rig.loads++;
        if (!rig.hangs) return { keys: [keys["old"]!] };
        await pause(withinMs);
        throw new Error("no answer");
      },
      logger: log as never,
      now: () => performance.now(),
      deadlineMs: DEADLINE_MS,
    });
    const ask = async (kid = "old") => {
      const begun = performance.now();
      const error = await Promise.resolve(set.find({ alg: "ES256", kid }, { payload: "", signature: "" }))
        .then(() => undefined, (refusal: unknown) => refusal);
      assert.ok(error === undefined || error instanceof HubError);
      return { code: error?.code ?? "found", ms: performance.now() - begun };
    };
    return { rig, ask, log };
  }

  it("costs one request its wait; the others are 503 after a second at most, and later ones sooner", async () => {
    const { rig, ask, log } = hanging();
    let hasEnded = false;
    const first = ask().finally(() => hasEnded = true);
    const others = await Promise.all(Array.from({ length: 20 }, () => ask()));
    assert.deepEqual(new Set(others.map(({ code }) => code)), new Set(["unavailable"]));
    assert.equal(hasEnded, false, "the others do not wait for the fetch");
    assert.equal((await ask()).code, "unavailable");
    assert.equal(hasEnded, false, "the fetch in flight is known to be slow");
    assert.equal((await first).code, "unavailable");
    assert.equal(rig.loads, 1);
    assert.ok((await ask()).ms < DEADLINE_MS - 100, "after a fetch that hung, not even its own is waited for");
    assert.equal(rig.loads, 2);
    assert.equal(log.lines.length, 1, "an outage is logged when it begins");
    rig.hangs = false;
    await eventually("the issuer's answer", async () => (await ask()).code === "found");
    assert.match(log.lines[1]!, /^info The keys of issuer https:\/\/a can be fetched again, after \d s$/);
  });
});
