import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeEvent, encodeEvent, type HubEvent } from "../../../core/state/events.ts";
import { foldSubscription } from "../../../core/state/fold-subscription.ts";
import { targetOf } from "../../support/rigs/lanes.ts";
import { deniedUrl, verificationUrl } from "../../../shared/outbound/callback-query.ts";

const head = { id: "op-1", time: 1_700_000_000_000, topic: "https://example.com/feed" };
const callback = "http://127.0.0.1/callback";
const intent = { type: "intent", ...head, mode: "subscribe", callback, end: 0 } as const;
const result = { type: "result", ...head, intent: "op-0", callback, verified: true, challengedAt: 1 } as const;

const GOOD: readonly HubEvent[] = [
  { type: "register", ...head, end: 3 },
  { type: "deregister", ...head },
  { type: "ping", ...head },
  intent,
  { ...intent, mode: "unsubscribe" },
  { ...intent, start: 0, leaseMs: 1, secret: "s", verifyToken: "ü", concurrency: 64, denied: "no" },
  { ...intent, topic: "no URL, but a topic ✓" },
  result,
  { ...result, verified: false, end: 7 },
  { ...result, verified: false, outcome: "refused", reason: "status 404" },
  { type: "revoke", ...head, callback, reason: "why" },
];

const LONE_SURROGATE = "\ud800";
const BAD: readonly (readonly [what: string, event: unknown])[] = [
  ["no object", 7],
  ["null", null],
  ["an array", []],
  ["an unknown type", { ...intent, type: "subscribe" }],
  ["no id", { ...intent, id: undefined }],
  ["a time that is text", { ...intent, time: "now" }],
  ["no topic", { ...intent, topic: "" }],
  ["a topic with a lone surrogate", { ...intent, topic: LONE_SURROGATE }],
  ["no callback", { ...intent, callback: undefined }],
  ["a callback that cannot be called", { ...intent, callback: "not a url" }],
  ["a callback of another scheme", { ...intent, callback: "ftp://example.com/" }],
  ["a callback with credentials", { ...intent, callback: "http://user@example.com/" }],
  ["no end", { ...intent, end: undefined }],
  ["an end below 0", { ...intent, end: -1 }],
  ["an end that is no integer", { ...intent, end: 1.5 }],
  ["a lease of 0", { ...intent, leaseMs: 0 }],
  ["a lease beyond every date", { ...intent, leaseMs: 1e16 }],
  ["a secret that is no text", { ...intent, secret: 1 }],
  ["a verify token with a lone surrogate", { ...intent, verifyToken: LONE_SURROGATE }],
  ["no concurrency at all", { ...intent, concurrency: 0 }],
  ["a concurrency of millions", { ...intent, concurrency: 1e6 }],
  ["a result without a verdict", { ...result, verified: "yes" }],
  ["a result with an unknown outcome", { ...result, outcome: "maybe" }],
  ["a result with a reason without end", { ...result, reason: "x".repeat(201) }],
  ["a challenge at no date", { ...result, challengedAt: 1e300 }],
  ["a revoke without a reason", { type: "revoke", ...head, callback }],
];

describe("§6.6 events as they are read", () => {
  it("every kind comes back as it was written", () => {
    for (const event of GOOD) assert.deepEqual(decodeEvent(encodeEvent(event)), event);
  });

  it("what a later version adds is left out", () => {
    const more = { ...intent, colour: "blue" };
    assert.deepEqual(decodeEvent(Buffer.from(JSON.stringify(more))), intent);
  });

  for (const [what, event] of BAD) {
    it(`${what} is no event`, () => {
      assert.throws(() => decodeEvent(Buffer.from(JSON.stringify(event))));
    });
  }

  it("neither is a tombstone, garbage, or nothing", () => {
    assert.throws(() => decodeEvent(null));
    for (const bytes of [[], [0xff, 0x00], [0x7b]]) assert.throws(() => decodeEvent(Uint8Array.from(bytes)));
  });

  it("whatever is decoded can be folded, verified, denied and delivered to without throwing", () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constant(LONE_SURROGATE));
    const urls = fc.oneof(
      text,
      fc.webUrl({ withQueryParameters: true }),
      text.map((rest) => `http://a.example/${rest}`),
      text.map((host) => `http://${host}/`),
    );
    const anything = fc.record({
      type: fc.constantFrom("intent", "result", "revoke"),
      id: text,
      time: fc.oneof(fc.integer(), fc.double()),
      topic: urls,
      callback: urls,
      mode: fc.constantFrom("subscribe", "unsubscribe"),
      end: fc.nat(),
      leaseMs: fc.oneof(fc.integer(), fc.double()),
      secret: text,
      verifyToken: text,
      concurrency: fc.integer({ min: -1, max: 70 }),
      intent: text,
      verified: fc.boolean(),
      challengedAt: fc.double(),
      reason: text,
    }, { requiredKeys: ["type", "topic"] });
    let decoded = 0;
    fc.assert(
      fc.property(anything, (input) => {
        let event: HubEvent;
        try {
          event = decodeEvent(Buffer.from(JSON.stringify(input)));
        } catch {
          return;
        }
        decoded++;
        if (event.type !== "intent") return;
        const waiting = foldSubscription(undefined, event, 0)!;
        const answer: HubEvent = { ...result, id: "r", intent: event.id, topic: event.topic, callback: event.callback };
        const { topic, callback, secret, expiresAt } = foldSubscription(waiting, answer, 1)!;
        assert.ok(targetOf({ topic, callback, secret }).url);
        deniedUrl(callback, topic, "why");
        verificationUrl({ ...event }, "challenge");
        new Date(expiresAt).toISOString();
      }),
      { numRuns: 2_000 },
    );
    assert.ok(decoded > 20, `only ${decoded} of the inputs were events`);
  });
});
