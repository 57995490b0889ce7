import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { deniedUrl, verificationUrl } from "../../../shared/outbound/callback-query.ts";
import type { Outbound, OutboundAnswer, OutboundRequest } from "../../../shared/outbound/outbound.ts";
import { createChallenge } from "../../../shared/random.ts";
import { verifyIntent } from "../../../shared/outbound/verification.ts";
import type { Verification } from "../../../shared/outbound/verification.ts";
import { decodeForm, parameterOf } from "../../support/form.ts";

const INTENT = { mode: "subscribe", topic: "t", callback: "http://c.example/cb", leaseMs: 60_000 } as const;

/** One reply of a callback: what it answers to a challenge, and how long that takes. */
type Reply = (challenge: string) => OutboundAnswer;
const answer = (status: number, body: (challenge: string) => string): Reply => (challenge) => ({
  kind: "answer",
  status,
  headers: {},
  body: new TextEncoder().encode(body(challenge)),
  url: "",
});
const echo = (status = 200) => answer(status, (challenge) => challenge);
const failed = (code: "timeout" | "network" | "forbidden" | "too_large"): Reply => () => ({
  kind: "failed",
  code,
  reason: "x",
});

/** Verifies against scripted replies, the last one staying; time passes only as the script says. */
async function verify(replies: readonly Reply[], tryMs = 10) {
  let time = 1_000;
  const calls: OutboundRequest[] = [];
  const pauses: number[] = [];
  const outbound: Outbound = {
    supports: { pinning: true },
    call: async (request) => {
      calls.push(request);
      time += Math.min(tryMs, request.deadlineMs);
      const reply = replies[Math.min(calls.length, replies.length) - 1]!;
      return reply(parameterOf(new URL(request.url).search.slice(1), "hub.challenge") ?? "");
    },
    close: async () => {},
  };
  const result = await verifyIntent(INTENT, {
    outbound,
    now: () => time,
    challenge: createChallenge,
    pause: async (ms) => {
      pauses.push(ms);
      time += ms;
    },
  });
  return { result, calls, pauses, elapsed: time - 1_000 };
}

const verdict = (result: Verification) => result.kind === "result" && result.verified;

describe("§5.3 verification of intent", () => {
  const NOT_CONFIRMED: readonly [what: string, reply: Reply][] = [
    ["an empty 200", answer(200, () => "")],
    ["a 204", answer(204, () => "")],
    ["the challenge and a line feed", answer(200, (challenge) => `${challenge}\n`)],
    ["a prefix of the challenge", answer(200, (challenge) => challenge.slice(0, -1))],
    ["the challenge in another case", answer(200, (challenge) => challenge.toUpperCase().toLowerCase())],
    ["the challenge in a page", answer(200, (challenge) => `<p>${challenge}</p>`)],
    ["a redirect with the challenge", echo(302)],
    ["a 404 with the challenge", echo(404)],
    ["a 410", echo(410)],
    ["an endless body", failed("too_large")],
    ["an address that the guard forbids", failed("forbidden")],
  ];
  for (const [what, reply] of NOT_CONFIRMED) {
    it(`H36 H37 takes ${what} for a no, after one GET`, async () => {
      const { result, calls } = await verify([reply]);
      assert.equal(result.kind, "result");
      assert.equal(verdict(result), false);
      assert.ok(result.kind === "result" && result.reason);
      assert.equal(calls.length, 1);
    });
  }

  it("H36 takes the exact challenge with any 2xx for a yes, whenever it comes", async () => {
    for (const status of [200, 201, 202, 299]) {
      const { result, calls, elapsed } = await verify([echo(status)], 9_000);
      assert.equal(verdict(result), true);
      assert.equal(calls.length, 1);
      // A3.7: the lease counts from when the challenge was sent, not from its answer.
      assert.ok(result.kind === "result");
      assert.equal(result.challengedAt, 1_000);
      assert.equal(elapsed, 9_000);
    }
  });

  it("asks again after 1 s and 4 s, each time with another challenge, where no complete answer or a 5xx came", async () => {
    for (const reply of [failed("network"), failed("timeout"), echo(500), echo(503)]) {
      const { result, calls, pauses } = await verify([reply]);
      assert.equal(verdict(result), false);
      assert.deepEqual(pauses, [1_000, 4_000]);
      const challenges = calls.map(({ url }) => parameterOf(new URL(url).search.slice(1), "hub.challenge"));
      assert.equal(new Set(challenges).size, 3);
    }
  });

  it("stops at the first complete answer of a later try, and the lease counts from that try", async () => {
    const { result, calls } = await verify([failed("network"), echo()]);
    assert.ok(result.kind === "result" && result.verified);
    assert.equal(result.tries, 2);
    assert.equal(result.challengedAt, 2_010);
    assert.equal(calls.length, 2);
    const refused = await verify([echo(500), echo(404), echo()]);
    assert.equal(verdict(refused.result), false);
    assert.equal(refused.calls.length, 2);
  });

  it("gives each try 10 s and all of them 40 s", async () => {
    const { calls, elapsed } = await verify([failed("timeout")], 60_000);
    assert.deepEqual(calls.map(({ deadlineMs }) => deadlineMs), [10_000, 10_000, 10_000]);
    assert.ok(elapsed <= 40_000, `${elapsed} ms`);
  });

  it("reports nothing once it was aborted", async () => {
    const stop = new AbortController();
    const outbound: Outbound = {
      supports: { pinning: true },
      call: async () => {
        stop.abort();
        return { kind: "failed", code: "aborted", reason: "aborted" };
      },
      close: async () => {},
    };
    const ports = { outbound, now: () => 0, challenge: createChallenge, pause: async () => {}, signal: stop.signal };
    assert.deepEqual(await verifyIntent(INTENT, ports), { kind: "aborted" });
  });
});

describe("the verification URL", () => {
  it("H19 H20 keeps the callback's own query, byte for byte, and appends", () => {
    const callback = "http://c.example/cb?foo=bar&red=fish&a.b=1&x=%20+&hub.challenge=imahacker";
    const url = verificationUrl({ ...INTENT, callback }, "CH");
    assert.equal(url, `${callback}&hub.mode=subscribe&hub.topic=t&hub.challenge=CH&hub.lease_seconds=60`);
  });

  it("percent-encodes every value, and echoes the topic exactly as it was sent", () => {
    const topic = "http://t.example/%7Eé?a=b&c=d+e#";
    const url = verificationUrl({ ...INTENT, topic, verifyToken: "t&k=1 2" }, "CH");
    assert.match(url, /^http:\/\/c\.example\/cb\?[!-~]+$/);
    assert.deepEqual(decodeForm(url.slice(url.indexOf("?") + 1)), [
      ["hub.mode", "subscribe"],
      ["hub.topic", topic],
      ["hub.challenge", "CH"],
      ["hub.lease_seconds", "60"],
      ["hub.verify_token", "t&k=1 2"],
    ]);
  });

  it("says no lease on unsubscribe", () => {
    const url = verificationUrl({ ...INTENT, mode: "unsubscribe" }, "CH");
    assert.equal(url, "http://c.example/cb?hub.mode=unsubscribe&hub.topic=t&hub.challenge=CH");
  });

  it("H35a has challenges of 43 characters of the allowed alphabet, all distinct", () => {
    const challenges = Array.from({ length: 1_000 }, createChallenge);
    for (const challenge of challenges) assert.match(challenge, /^[A-Za-z0-9_-]{43}$/);
    assert.equal(new Set(challenges).size, 1_000);
  });
});

describe("§5.2 the denied notice", () => {
  it("H31 has mode, topic as sent and reason after the callback's own query", () => {
    assert.equal(
      deniedUrl("http://c.example/cb?k=%2F+", "a b&c", "The topic ended."),
      "http://c.example/cb?k=%2F+&hub.mode=denied&hub.topic=a%20b%26c&hub.reason=The%20topic%20ended.",
    );
  });
});
