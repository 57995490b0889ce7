import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { deniedUrl, verificationUrl } from "../../../shared/outbound/callback-query.ts";
import type { Outbound, OutboundAnswer, OutboundRequest } from "../../../shared/outbound/outbound.ts";
import { createChallenge } from "../../../shared/random.ts";
import { NOT_ASKED, verifyIntent } from "../../../shared/outbound/verification.ts";
import type { Verification } from "../../../shared/outbound/verification.ts";
import { decodeForm, parameterOf } from "../../support/form.ts";

const INTENT = { mode: "subscribe", topic: "t", callback: "http://c.example/cb", leaseMs: 60_000 } as const;

/** One reply of a callback: what it answers to a challenge, and how long that takes. */
type Reply = (challenge: string) => OutboundAnswer;
const answer = (
  status: number,
  body: (challenge: string) => string,
  headers: Readonly<Record<string, string>> = {},
): Reply =>
(challenge) => ({
  kind: "answer",
  status,
  headers,
  body: new TextEncoder().encode(body(challenge)),
  url: "",
});
const echo = (status = 200) => answer(status, (challenge) => challenge);
const later = (status: number, retryAfter: string) => answer(status, () => "", { "retry-after": retryAfter });
/** The wall clock where the monotonic one is at 0, ms since 1970. */
const NOW = Date.UTC(2026, 0, 1);
const failed = (code: "timeout" | "network" | "forbidden" | "too_large"): Reply => () => ({
  kind: "failed",
  code,
  reason: "x",
});

/** Verifies against scripted replies, the last one staying; time passes only as the script says. */
async function verify(replies: readonly Reply[], tryMs = 10, withinMs?: number) {
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
    clock: () => NOW + time,
    challenge: createChallenge,
    pause: async (ms) => {
      pauses.push(ms);
      time += ms;
    },
    ...(withinMs === undefined ? {} : { withinMs }),
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

  it('asks again after 1 s and 4 s, each time with another challenge, where no complete answer, a 5xx or a "not now" came', async () => {
    for (const reply of [failed("network"), failed("timeout"), echo(500), echo(503), echo(408), echo(425), echo(429)]) {
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

  const AN_HOUR = new Date(NOW + 3_600_000).toUTCString();
  const ASKS: readonly [what: string, replies: Reply[], pauses: number[], verified: boolean][] = [
    ["some seconds", [later(429, "7"), echo()], [7_000], true],
    ["some seconds, by a 503", [later(503, "30"), echo()], [30_000], true],
    ["less than the next pause", [later(429, "0"), later(429, "2"), echo()], [1_000, 4_000], true],
    ["a date", [later(503, new Date(NOW + 21_000).toUTCString()), echo()], [21_000 - 1_010], true],
    ["a date that is over", [later(503, "Thu, 01 Jan 1970 00:00:00 GMT"), echo()], [1_000], true],
    ["what nobody can read", [later(429, "soon"), echo()], [1_000], true],
    ["a pause each time, three times", [later(429, "1")], [1_000, 4_000], false],
    ["more than there is, and then it confirms", [later(503, "120"), echo()], [54_990], true],
    ["more than there is, by a date", [later(503, AN_HOUR), echo()], [54_990], true],
    ["nothing that another answer would be asked again for", [later(404, "1"), echo()], [], false],
  ];
  for (const [what, replies, pauses, verified] of ASKS) {
    it(`A3.6 gives a callback whose Retry-After asks for ${what} that time, within 60 s`, async () => {
      const { result, pauses: made, elapsed } = await verify(replies);
      assert.deepEqual([verdict(result), made], [verified, pauses]);
      assert.ok(result.kind === "result" && !result.later);
      assert.ok(elapsed <= 60_000, `${elapsed} ms`);
    });
  }

  it("A3.6 says so where the callback asks for more time than there is, after a last try", async () => {
    const inTime = await verify([later(429, "60")]);
    assert.ok(inTime.result.kind === "result" && inTime.result.later && !inTime.result.verified);
    assert.deepEqual(inTime.pauses, [54_990]);
    const short = await verify([later(429, "60")], 10, 20_000);
    assert.deepEqual(short.pauses, [14_990]);
    const none = await verify([later(429, "60")], 10, 5_000);
    assert.ok(none.result.kind === "result" && none.result.later);
    assert.deepEqual([none.calls.length, none.pauses], [1, []]);
    const plain = await verify([echo(503)], 10, 5_000);
    assert.ok(plain.result.kind === "result" && !plain.result.later && !plain.result.verified);
  });

  it("gives each try 10 s, and the last one at least 5 s", async () => {
    const { calls, elapsed } = await verify([later(503, "120"), failed("timeout")], 60_000);
    assert.deepEqual(calls.map(({ deadlineMs }) => deadlineMs), [10_000, 5_000]);
    assert.equal(elapsed, 60_000);
  });

  it("waits for its turn before each try, within the time that all have from the call on", async () => {
    let time = 0;
    const challengedAt: number[] = [];
    const waits: number[] = [];
    const outbound: Outbound = {
      supports: { pinning: true },
      call: async ({ url }) => {
        challengedAt.push(time);
        return (challengedAt.length < 2 ? later(503, "20") : echo())(
          parameterOf(new URL(url).search.slice(1), "hub.challenge") ?? "",
        );
      },
      close: async () => {},
    };
    const result = await verifyIntent(INTENT, {
      outbound,
      now: () => time,
      clock: () => time,
      challenge: createChallenge,
      pause: async (ms) => void (time += ms),
      inTurn: async (ask, { tries, waitMs }) => {
        assert.equal(tries, waits.length + 1);
        waits.push(waitMs);
        time += 15_000;
        return await ask();
      },
    });
    assert.ok(result.kind === "result" && result.verified);
    assert.deepEqual([challengedAt, waits], [[15_000, 50_000], [45_000, 20_000]]);
    // A3.7: the lease counts from the try, not from the wait for its turn.
    assert.equal(result.challengedAt, 50_000);
  });

  it("has failed without a turn in time; without one for another try, the last try says why", async () => {
    for (const turns of [0, 1]) {
      const result = await verifyIntent(INTENT, {
        outbound: {
          supports: { pinning: true },
          call: () => Promise.resolve(echo(503)("")),
          close: async () => {},
        },
        now: () => 0,
        clock: () => 0,
        challenge: createChallenge,
        pause: async () => {},
        inTurn: async (ask, { tries }) => tries > turns ? undefined : await ask(),
      });
      assert.ok(result.kind === "result" && !result.verified);
      assert.deepEqual([result.tries, result.reason], [[0, NOT_ASKED], [1, "status 503"]][turns]);
    }
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
    const ports = {
      outbound,
      now: () => 0,
      clock: () => 0,
      challenge: createChallenge,
      pause: async () => {},
      signal: stop.signal,
    };
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
    // A reason may name the topic, which then stands there twice.
    const long = deniedUrl("http://c.example/cb", "é".repeat(1_024), `topic "${"é".repeat(1_024)}" was deregistered`);
    assert.ok(long.length < 8_000, `${long.length}`);
  });
});
